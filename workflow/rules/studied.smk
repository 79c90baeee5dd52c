# What `snakemake studies` adds to the config (one GET trained in other ways, and pairs for it), and what each study shows.
STUDIES = ["states", "initial", "solvers", "gradients", "supervision", "pairs"]
SAMPLED = ["initial", "solvers"]  # those that sample GETs in other ways
STUDY = config.get("studies")
STUDIED, STUDIED_PAIRS = {}, {}


def studied(change, pairs=None):
    """The GET of the config's `studies.trained`, to its headline milestone, its training changed."""
    base = config["students"][STUDY["trained"]]
    step = base.get("headline", base["milestones"][-1])
    pairs, training = pairs or base["pairs"], base["training"] | change
    return base | {"pairs": pairs, "training": training, "milestones": [step], "headline": step}


def most_pairs():
    """Pairs of which there are enough for all numbers to learn from: those of the GET, or more like them."""
    name, most = config["students"][STUDY["trained"]]["pairs"], STUDY["pairs"][-1]
    base = config["pairs"][name]
    if most <= base["count"]:
        return name
    larger = f"{name}-{most}"
    STUDIED_PAIRS[larger] = base | {"count": most, "shards": -(-base["shards"] * most // base["count"])}
    return larger


def by_pairs(count):
    """The name of the GET that learns from so many pairs."""
    return f"{STUDY['trained']}-{count}-pairs"


def add_studied():
    """Fill `STUDIED` and `STUDIED_PAIRS`."""
    STUDIED[LAST] = studied({"loss_decay": 0.0})
    STUDIED[IMPLICIT] = studied({"implicit": True, "checkpointing": False, "compile": False})
    pairs = most_pairs()
    for count in STUDY["pairs"]:
        STUDIED[by_pairs(count)] = studied({"pairs": count}, pairs)
    for name in (*STUDIED, *STUDIED_PAIRS):
        taken = name in config["students"] or name in config["pairs"]
        check(not taken, f"{name} is a name that `studies` uses; choose another")


if STUDY:
    LAST, IMPLICIT = f"{STUDY['trained']}-last-state", f"{STUDY['trained']}-implicit"
    add_studied()


def sampled_row(study, student):
    """A row of a study that samples a student, of all its seeds, in other ways."""
    files = [f"studies/{study}/{student}/seed{seed}" for seed in STUDENTS[student]["seeds"]]
    scores = [f"{RESULTS}/scores/{file}.json" for file in files]
    return {"label": full_label(student), "student": student, "scores": scores}


def shown_in_study(name):
    """The content of a study."""
    trained = STUDY["trained"]
    content = {"student": full_label(trained)}
    if name == "states":
        solving = [student for student in STUDENTS if STUDENTS[student]["model"]["family"] == "get"]
        content["rows"] = [row(student, label=full_label(student)) for student in solving]
    elif name in SAMPLED:
        content["rows"] = [sampled_row(name, student) for student in STUDY["sampled"]]
        content["evaluations"] = STUDY["evaluations"] if name == "solvers" else []
    elif name == "gradients":
        names = {
            "unrolled, all states": trained,
            "unrolled, last state": LAST,
            "implicit, last state": IMPLICIT,
        }
        content["rows"] = [row(student, label=label) for label, student in names.items()]
    elif name == "supervision":
        content["rows"] = [row(trained, label="all states"), row(LAST, label="the last state")]
    else:
        content["pairs"] = STUDY["pairs"]
        content["rows"] = [row(by_pairs(count), label=f"{count:,} pairs") for count in STUDY["pairs"]]
    return content


def scores_of_study(wildcards):
    """The scores that a study reads."""
    return [path for entry in shown_in_study(wildcards.study)["rows"] for path in entry["scores"]]


def outputs_of_studies(wildcards):
    """All that `snakemake studies` leaves."""
    check(STUDY, "there is no key studies; config.yaml has one to start from")
    return expand(
        "<results>/studies/{study}.{format}", study=STUDIES, format=["csv", "md", "html", "pdf", "png"]
    )
