# The paper's tables and figures: functions of scores, costs, histories and samples alone.


rule table:
    input:
        settings="<results>/settings/paper/table{number}.json",
        scores=lambda wildcards: files_of(f"table{wildcards.number}"),
        costs=lambda wildcards: costs_of(f"table{wildcards.number}"),
    output:
        csv="<results>/table{number}.csv",
        md="<results>/table{number}.md",
        tex="<results>/table{number}.tex",
        html=report(
            "<results>/table{number}.html",
            caption="../report/caption.rst",
            category="2 Tables",
            labels=lambda wildcards: {"table": title(f"table{wildcards.number}")},
        ),
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
            category="3 Figures",
            labels=lambda wildcards: {"figure": title(wildcards.figure)},
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
            category="4 Samples",
            labels=lambda wildcards: {"shows": title(wildcards.grid)},
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


rule same_noise:
    input:
        settings="<results>/settings/paper/same-noise-{pairs}.json",
        held_out="<results>/pairs/{pairs}/held-out.h5",
        weights=lambda wildcards: [student["weights"] for student in answering(wildcards.pairs)],
    output:
        pdf="<results>/figures/same-noise-{pairs}.pdf",
        png=report(
            "<results>/figures/same-noise-{pairs}.png",
            caption="../report/caption.rst",
            category="4 Samples",
            labels={"shows": "The same noise: {pairs}"},
        ),
    log:
        "<results>/logs/same-noise-{pairs}.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("sample")
    resources:
        **asks("sample"),
    params:
        caption=caption("same-noise"),
        device=device_of("sample"),
    script:
        "../scripts/same_noise.py"


rule reproduction:
    input:
        settings="<results>/settings/paper/reproduction.json",
        scores=files_of("reproduction"),
        costs="<results>/costs.json",
    output:
        csv="<results>/reproduction.csv",
        md="<results>/reproduction.md",
        html=report(
            "<results>/reproduction.html",
            caption="../report/caption.rst",
            category="1 Question and answer",
            labels={"page": "Verdicts on all claims"},
        ),
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


rule summary:
    input:
        settings="<results>/settings/paper/summary.json",
        claims="<results>/settings/paper/reproduction.json",
        scores=files_of("reproduction"),
        table1="<results>/table1.csv",
        costs="<results>/costs.json",
        hashed=hashed,
    output:
        overview=report(
            "<results>/overview.html",
            caption="../report/overview.rst",
            category="1 Question and answer",
            labels={"page": "Overview"},
        ),
        markdown="<results>/overview.md",
        costs=report(
            "<results>/costs.html",
            caption="../report/costs.rst",
            category="6 Costs",
            labels={"page": "What the students cost"},
        ),
        provenance="<results>/provenance.json",
        provenance_page=report(
            "<results>/provenance.html",
            caption="../report/provenance.rst",
            category="7 Provenance",
            labels={"page": "Versions, seeds, hashes, durations"},
        ),
    log:
        "<results>/logs/summary.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        costs_caption=caption("costs"),
    script:
        "../scripts/summary.py"
