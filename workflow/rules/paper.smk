# The paper's tables and figures: functions of scores and samples alone.


def table1_entries():
    """(method, score files) of each row: students, teachers, and the ends of the scale."""
    rows = []
    for name, student in STUDENTS.items():
        step = student["milestones"][-1]
        runs = [
            f"<results>/scores/students/{name}/seed{seed}/{step}.json"
            for seed in student["seeds"]
        ]
        rows.append((student["label"], runs))
    for name in PAIRS:
        rows.append(("EDM teacher", [f"<results>/scores/teachers/{name}.json"]))
    rows.append(("real test images", ["<results>/scores/baselines/real.json"]))
    rows.append(("pure noise", ["<results>/scores/baselines/noise.json"]))
    return rows


rule table1:
    input:
        [path for _, paths in table1_entries() for path in paths],
    output:
        csv=report(
            "<results>/table1.csv", caption="../report/table1.rst", category="Tables"
        ),
        md="<results>/table1.md",
        tex="<results>/table1.tex",
    log:
        "<results>/logs/table1.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        entries=[[method, len(paths)] for method, paths in table1_entries()],
        data=config["data"]["name"],
    script:
        "../scripts/table1.py"


def figure4_samples(part):
    """The sample file that one part of Figure 4 shows: first seed, last milestone."""
    name = config["paper"]["figure4"][part]
    student = STUDENTS[name]
    return f"<results>/samples/students/{name}/seed{student['seeds'][0]}/{student['milestones'][-1]}.h5"


rule figure4:
    input:
        unconditional=figure4_samples("unconditional"),
        conditional=figure4_samples("conditional"),
    output:
        a=report(
            multiext("<results>/figures/figure4a", ".pdf", ".png"),
            caption="../report/figure4a.rst",
            category="Figures",
        ),
        b=report(
            multiext("<results>/figures/figure4b", ".pdf", ".png"),
            caption="../report/figure4b.rst",
            category="Figures",
        ),
    log:
        "<results>/logs/figure4.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        labels={
            part: STUDENTS[name]["label"]
            for part, name in config["paper"]["figure4"].items()
        },
    script:
        "../scripts/figure4.py"
