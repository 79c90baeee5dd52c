# What `snakemake studies` adds to the config (one GET trained in other ways, and pairs for it), and what each study shows.
STUDIES = ["states", "initial", "solvers", "gradients", "supervision", "pairs"]
SAMPLED = ["initial", "solvers"]  # those that sample GETs in other ways
SUPERVISED = {  # those that train a GET in other ways, and what each is called
    "gradients": {
        "": "unrolled, all states",
        "last-state": "unrolled, last state",
        "implicit": "implicit, last state",
    },
    "supervision": {"": "all states", "last-state": "the last state"},
}
STUDY = config.get("studies")
STUDIED, STUDIED_PAIRS = {}, {}


def studied(change, pairs=None):
    """The GET of the config's `studies.trained`, to its headline milestone, its training changed."""
    base = config["students"][STUDY["trained"]]
    step = base.get("headline", base["milestones"][-1])
    pairs, training = pairs or base["pairs"], base["training"] | change
    return base | {"pairs": pairs, "training": training, "milestones": [step], "headline": step}


def pairs_for(count):
    """The name of pairs of which there are `count`: those of the GET, or, for more, a set as large as the largest."""
    name = config["students"][STUDY["trained"]]["pairs"]
    base, most = config["pairs"][name], STUDY["pairs"][-1]
    if count <= base["count"]:
        return name
    shards = min(-(-base["shards"] * most // base["count"]), -(-most // base["sampler"]["batch"]))
    STUDIED_PAIRS[f"{name}-{most}"] = base | {"count": most, "shards": shards}
    return f"{name}-{most}"


def by_pairs(count):
    """The name of the GET that learns from so many pairs."""
    return f"{STUDY['trained']}-{count}-pairs"


def supervised(change, lower):
    """The name of the GET with its training changed in a way below, at its learning rate or at the lower one."""
    return "-".join(filter(None, [STUDY["trained"], change, "lower-lr" if lower else ""]))


WAYS = {  # of training, and what each changes
    "": {},
    "last-state": {"loss_decay": 0.0},
    "implicit": {"implicit": True, "checkpointing": False, "compile": False},
}


def add_studied():
    """Fill `STUDIED` and `STUDIED_PAIRS`."""
    for way, change in WAYS.items():
        STUDIED[supervised(way, True)] = studied(change | {"lr": STUDY["lower_lr"]})
        if change:
            STUDIED[supervised(way, False)] = studied(change)
    for count in STUDY["pairs"]:
        STUDIED[by_pairs(count)] = studied({"pairs": count}, pairs_for(count))
    for part, added in (("students", STUDIED), ("pairs", STUDIED_PAIRS)):
        for name in added:
            check(
                name not in config[part], f"{part}.{name}: `studies` makes one of that name; choose another"
            )


if STUDY:
    add_studied()


def check_studied():
    check(STUDY, "there is no key studies; config.yaml has one to start from")


def sampling_of_study(name):
    """How a study samples GETs."""
    check_studied()
    content = {key: config["evaluation"][key] for key in ("batch", "precision", "samples")}
    return content | ({"evaluations": sorted(STUDY["evaluations"])} if name == "solvers" else {})


def sampled_row(study, student):
    """A row of a study that samples a student, of all its seeds, in other ways."""
    files = [f"studies/{study}/{student}/seed{seed}" for seed in STUDENTS[student]["seeds"]]
    scores = [f"{RESULTS}/scores/{file}.json" for file in files]
    return {"label": full_label(student), "student": student, "scores": scores}


def shown_in_study(name):
    """The content of a study."""
    check_studied()
    trained = STUDY["trained"]
    content = {"student": full_label(trained)}
    if name == "states":
        solving = [student for student in STUDENTS if STUDENTS[student]["model"]["family"] == "get"]
        content["rows"] = [row(student, label=full_label(student)) for student in solving]
    elif name in SAMPLED:
        content["rows"] = [sampled_row(name, student) for student in STUDY["sampled"]]
        content["evaluations"] = sorted(STUDY["evaluations"]) if name == "solvers" else []
    elif name in SUPERVISED:
        content["rates"] = [
            STUDIED[supervised("", True)]["training"]["lr"],
            STUDENTS[trained]["training"]["lr"],
        ]
        content["rows"] = [
            row(supervised(way, lower), label=label)
            for lower in (True, False)
            for way, label in SUPERVISED[name].items()
        ]
    else:
        content["pairs"] = STUDY["pairs"]
        content["rows"] = [row(by_pairs(count), label=f"{count:,} pairs") for count in STUDY["pairs"]]
    return content


def scores_of_study(wildcards):
    """The scores that a study reads."""
    return [path for entry in shown_in_study(wildcards.study)["rows"] for path in entry["scores"]]


def outputs_of_studies(wildcards):
    """All that `snakemake studies` leaves."""
    check_studied()
    return expand(
        "<results>/studies/{study}.{format}", study=STUDIES, format=["csv", "md", "html", "pdf", "png"]
    )
