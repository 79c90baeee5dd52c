# Studies of what the paper leaves open: `snakemake studies`. No other rule asks for them.
for shown in STUDIES:
    check(f"study-{shown}" in CAPTIONS, f"workflow/report/captions.yaml has no caption of the study {shown}")


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
        content["evaluations"] = STUDY["evaluations"]
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


rule studies:
    input:
        outputs_of_studies,


rule sample_study:
    input:
        lambda wildcards: checkpoint(wildcards.student, wildcards.seed),
    output:
        "<results>/samples/studies/{study}/{student}/seed{seed}.h5",
    log:
        "<results>/logs/sample_study/{study}-{student}-seed{seed}.log",
    wildcard_constraints:
        study="|".join(SAMPLED),
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: threads_of("sample")
    resources:
        **asks("sample"),
    params:
        samples=config["evaluation"]["samples"],
        batch=config["evaluation"]["batch"],
        precision=config["evaluation"]["precision"],
        more=lambda wildcards: {"evaluations": STUDY["evaluations"]} if wildcards.study == "solvers" else {},
        device=device_of("sample"),
    script:
        "../scripts/sample_study.py"


rule study:
    input:
        settings="<results>/settings/studies/{study}.json",
        scores=scores_of_study,
    output:
        csv="<results>/studies/{study}.csv",
        md="<results>/studies/{study}.md",
        html=report(
            "<results>/studies/{study}.html",
            caption="../report/caption.rst",
            category="8 Studies",
            labels=lambda wildcards: {"study": wildcards.study, "shows": "table"},
        ),
        pdf="<results>/studies/{study}.pdf",
        png=report(
            "<results>/studies/{study}.png",
            caption="../report/caption.rst",
            category="8 Studies",
            labels=lambda wildcards: {"study": wildcards.study, "shows": "figure"},
        ),
    log:
        "<results>/logs/studies/{study}.log",
    wildcard_constraints:
        study="|".join(STUDIES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        caption=lambda wildcards: caption(f"study-{wildcards.study}"),
    script:
        "../scripts/study.py"
