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
        number="[1-6]",
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
        caption=lambda wildcards: caption(wildcards.figure),
    script:
        "../scripts/figure.py"


rule figure4:
    input:
        settings="<results>/settings/paper/figure4.json",
        unconditional=figure4_samples("unconditional"),
        conditional=figure4_samples("conditional"),
    output:
        a_pdf="<results>/figures/figure4a.pdf",
        a_png=report(
            "<results>/figures/figure4a.png",
            caption="../report/figure4a.rst",
            category="Figures",
            labels={"figure": "figure4a"},
        ),
        b_pdf="<results>/figures/figure4b.pdf",
        b_png=report(
            "<results>/figures/figure4b.png",
            caption="../report/figure4b.rst",
            category="Figures",
            labels={"figure": "figure4b"},
        ),
    log:
        "<results>/logs/figure4.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
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
