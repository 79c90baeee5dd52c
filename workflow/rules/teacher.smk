# Diffusion teachers: trained with EDM's loss, or EDM's published ones.


rule train_teacher:
    input:
        "<results>/data/images.h5",
    output:
        weights="<results>/teachers/{teacher}.safetensors",
        history="<results>/teachers/{teacher}.json",
    log:
        "<results>/logs/train_teacher/{teacher}.log",
    benchmark:
        "<results>/benchmarks/train_teacher/{teacher}.jsonl"
    wildcard_constraints:
        teacher=one_of(experiment.teachers.keys() - experiment.imported_teachers),
    priority: 100
    conda:
        "../../envs/get.yaml"
    threads: threads_of("teacher")
    resources:
        **resources_of("teacher"),
    params:
        settings=lambda wildcards: canonical_json(experiment.teachers[wildcards.teacher].settings()),
        seed=experiment.config.seed,
        device=device_of("teacher"),
        launcher=launcher,
        trackers=lambda wildcards, input: watched,  # derived, as `input` is: re-runs nothing
    shell:
        "{params.launcher} -m get train-teacher --store {input} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads} {params.trackers} --output {output.weights} --history {output.history} > {log} 2>&1"


rule import_teacher:
    input:
        lambda wildcards: experiment.local_copy(experiment.teachers[wildcards.teacher].source),
    output:
        "<results>/teachers/{teacher}.safetensors",
    log:
        "<results>/logs/import_teacher/{teacher}.log",
    wildcard_constraints:
        teacher=one_of(experiment.imported_teachers),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        conditional=lambda wildcards: experiment.teachers[wildcards.teacher].conditional,
        shape=experiment.config.data.shape,
        classes=experiment.config.data.classes,
        origin=lambda wildcards: origin(experiment.teachers[wildcards.teacher].source),
        sha256=checksum(lambda wildcards: experiment.teachers[wildcards.teacher].source),
    script:
        "../scripts/import_teacher.py"
