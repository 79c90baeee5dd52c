# The paper's tables and figures: functions of scores and samples alone.


rule table1:
    input:
        [path for _, paths in table1_entries() for path in paths],
    output:
        csv=report(
            "<results>/table1.csv",
            caption="../report/table1.rst",
            category="Tables",
            labels={"table": "1"},
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
        entries=table1_entries(),
        data=config["data"]["name"],
    script:
        "../scripts/table1.py"


rule figure4:
    input:
        settings="<results>/settings/figure4.json",
        unconditional=figure4_samples("unconditional"),
        conditional=figure4_samples("conditional"),
    output:
        a_pdf="<results>/figures/figure4a.pdf",
        a_png=report(
            "<results>/figures/figure4a.png",
            caption="../report/figure4a.rst",
            category="Figures",
            labels={"figure": "4a"},
        ),
        b_pdf="<results>/figures/figure4b.pdf",
        b_png=report(
            "<results>/figures/figure4b.png",
            caption="../report/figure4b.rst",
            category="Figures",
            labels={"figure": "4b"},
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
