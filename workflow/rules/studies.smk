# Studies of what the paper leaves open: `snakemake --cores all studies`. No other rule asks for them.


rule studies:
    input:
        lambda wildcards: studies.outputs(experiment),


rule sample_study:
    input:
        settings="<results>/settings/studies-sampling/{study}.json",
        weights=lambda wildcards: experiment.checkpoint(wildcards.student, wildcards.seed),
    output:
        "<results>/samples/studies/{study}/{student}/seed{seed}.h5",
    log:
        "<results>/logs/sample_study/{study}-{student}-seed{seed}.log",
    benchmark:
        "<results>/benchmarks/sample_study/{study}-{student}-seed{seed}.jsonl"
    wildcard_constraints:
        study=one_of(studies.sampled()),
        student=one_of(experiment.config.studies.sampled if experiment.config.studies else []),
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: threads_of("sample")
    resources:
        **resources_of("sample"),
    params:
        device=device_of("sample"),
    script:
        "../scripts/sample_study.py"


rule study:
    input:
        settings="<results>/settings/studies/{study}.json",
        scores=lambda wildcards: studies.score_files(experiment, wildcards.study),
    output:
        csv="<results>/studies/{study}.csv",
        md="<results>/studies/{study}.md",
        html=report(
            "<results>/studies/{study}.html",
            caption="../report/caption.rst",
            category="8 Tuning and studies",
            labels=lambda wildcards: {"study": studies.load(wildcards.study).title},
        ),
        pdf="<results>/studies/{study}.pdf",
        png="<results>/studies/{study}.png",
    log:
        "<results>/logs/studies/{study}.log",
    wildcard_constraints:
        study=one_of(studies.NAMES),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: studies.caption(experiment, wildcards.study),
    script:
        "../scripts/study.py"
