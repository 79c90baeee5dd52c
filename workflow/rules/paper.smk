# The paper's tables and figures: functions of scores, costs, histories and samples alone.


rule table:
    input:
        settings="<results>/settings/paper/table{number}.json",
        scores=lambda wildcards: files_of(f"table{wildcards.number}"),
        costs=lambda wildcards: costs_of(f"table{wildcards.number}"),
    output:
        csv=report(
            "<results>/table{number}.csv",
            caption="../report/caption.rst",
            category="Tables",
            labels={"table": "{number}"},
        ),
        md="<results>/table{number}.md",
        tex="<results>/table{number}.tex",
    log:
        "<results>/logs/table{number}.log",
    wildcard_constraints:
        number="|".join(TABLES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        caption=lambda wildcards: caption(f"table{wildcards.number}"),
    script:
        "../scripts/table.py"


rule figure:
    input:
        settings="<results>/settings/paper/{figure}.json",
        results=lambda wildcards: files_of(wildcards.figure),
        costs=lambda wildcards: costs_of(wildcards.figure),
    output:
        pdf="<results>/figures/{figure}.pdf",
        png=report(
            "<results>/figures/{figure}.png",
            caption="../report/caption.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        "<results>/logs/{figure}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        caption=lambda wildcards, input: caption(wildcards.figure),
    script:
        "../scripts/figure.py"


rule figure4:
    input:
        settings="<results>/settings/paper/{grid}.json",
        samples=lambda wildcards: figure4_samples(wildcards.grid),
    output:
        pdf="<results>/figures/{grid}.pdf",
        png=report(
            "<results>/figures/{grid}.png",
            caption="../report/caption.rst",
            category="Figures",
            labels={"figure": "{grid}"},
        ),
    log:
        "<results>/logs/{grid}.log",
    wildcard_constraints:
        grid=one_of(GRIDS),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        caption=lambda wildcards, input: caption(wildcards.grid),
    script:
        "../scripts/figure4.py"


rule reproduction:
    input:
        settings="<results>/settings/paper/reproduction.json",
        scores=files_of("reproduction"),
        costs=costs_of("reproduction"),
    output:
        csv=report(
            "<results>/reproduction.csv",
            caption="../report/caption.rst",
            category="Reproduction",
            labels={"claims": "all"},
        ),
        md="<results>/reproduction.md",
    log:
        "<results>/logs/reproduction.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        caption=caption("reproduction"),
    script:
        "../scripts/reproduction.py"
