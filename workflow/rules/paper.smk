# The paper's tables and figures: functions of scores, costs, histories and samples alone.


rule table:
    input:
        settings="<results>/settings/paper/table{number}.json",
        scores=lambda wildcards: contents.result_files(experiment, f"table{wildcards.number}"),
        costs=lambda wildcards: contents.cost_files(experiment, f"table{wildcards.number}"),
    output:
        csv="<results>/table{number}.csv",
        md="<results>/table{number}.md",
        tex="<results>/table{number}.tex",
        html=report(
            "<results>/table{number}.html",
            caption="../report/caption.rst",
            category="2 Tables",
            labels=lambda wildcards: {"table": contents.title(experiment, f"table{wildcards.number}")},
        ),
    log:
        "<results>/logs/table{number}.log",
    wildcard_constraints:
        number=one_of(name.removeprefix("table") for name in contents.TABLES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: contents.caption(experiment, f"table{wildcards.number}"),
    script:
        "../scripts/table.py"


rule figure:
    input:
        settings="<results>/settings/paper/{figure}.json",
        results=lambda wildcards: contents.result_files(experiment, wildcards.figure),
        costs=lambda wildcards: contents.cost_files(experiment, wildcards.figure),
    output:
        pdf="<results>/figures/{figure}.pdf",
        png="<results>/figures/{figure}.png",
        html=report(
            "<results>/figures/{figure}.html",
            caption="../report/caption.rst",
            category="3 Figures",
            labels=lambda wildcards: {"figure": contents.title(experiment, wildcards.figure)},
        ),
    log:
        "<results>/logs/{figure}.log",
    wildcard_constraints:
        figure=one_of(contents.FIGURES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        title=lambda wildcards: contents.title(experiment, wildcards.figure),
        caption=lambda wildcards: contents.caption(experiment, wildcards.figure),
    script:
        "../scripts/figure.py"


rule figure4:
    input:
        settings="<results>/settings/paper/{grid}.json",
        samples=lambda wildcards: contents.figure4_samples(experiment, wildcards.grid),
    output:
        pdf="<results>/figures/{grid}.pdf",
        png="<results>/figures/{grid}.png",
        html=report(
            "<results>/figures/{grid}.html",
            caption="../report/caption.rst",
            category="4 Samples",
            labels=lambda wildcards: {"shows": contents.title(experiment, wildcards.grid)},
        ),
    log:
        "<results>/logs/{grid}.log",
    wildcard_constraints:
        grid=one_of(contents.grids(experiment)),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        title=lambda wildcards: contents.title(experiment, wildcards.grid),
        caption=lambda wildcards: contents.caption(experiment, wildcards.grid),
    script:
        "../scripts/figure4.py"


rule same_noise:
    input:
        settings="<results>/settings/paper/same-noise-{pairs}.json",
        held_out="<results>/pairs/{pairs}/held-out.h5",
        weights=lambda wildcards: [
            student["weights"] for student in contents.learners(experiment, wildcards.pairs)
        ],
    output:
        pdf="<results>/figures/same-noise-{pairs}.pdf",
        png="<results>/figures/same-noise-{pairs}.png",
        html=report(
            "<results>/figures/same-noise-{pairs}.html",
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
        **resources_of("sample"),
    params:
        caption=contents.caption(experiment, "same-noise"),
        device=device_of("sample"),
    script:
        "../scripts/same_noise.py"


rule reproduction:
    input:
        settings="<results>/settings/paper/reproduction.json",
        scores=contents.result_files(experiment, "reproduction"),
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
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=contents.caption(experiment, "reproduction"),
    script:
        "../scripts/reproduction.py"


rule scaling:
    input:
        settings="<results>/settings/paper/scaling.json",
        scores=contents.result_files(experiment, "scaling"),
        costs="<results>/costs.json",
    output:
        csv="<results>/scaling/laws.csv",
        crossings="<results>/scaling/crossings.csv",
        md="<results>/scaling/laws.md",
        html=report(
            "<results>/scaling/laws.html",
            caption="../report/caption.rst",
            category="3 Figures",
            labels={"figure": f"Laws of {experiment.config.features.distance} over training compute"},
        ),
        pdf="<results>/scaling/laws.pdf",
        png="<results>/scaling/laws.png",
    log:
        "<results>/logs/scaling.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=contents.caption(experiment, "scaling"),
    script:
        "../scripts/scaling.py"


rule summary:
    input:
        settings="<results>/settings/paper/summary.json",
        claims="<results>/settings/paper/reproduction.json",
        scores=contents.result_files(experiment, "reproduction"),
        table1="<results>/table1.csv",
        costs="<results>/costs.json",
        reproduction="<results>/reproduction.csv",  # not read: who has it made again wants both
        hashed=contents.provenance_files(experiment),
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
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        costs_caption=contents.caption(experiment, "costs"),
        # these read `input`, so that Snakemake takes them for derived: they make no page anew
        config=lambda wildcards, input: fingerprint(experiment.config.settings()),
        threads=lambda wildcards, input: {
            kind: job.threads for kind, job in experiment.config.jobs.by_kind().items()
        },
    script:
        "../scripts/summary.py"
