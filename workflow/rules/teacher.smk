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
        teacher=one_of(name for name in TEACHERS if name not in IMPORTED_TEACHERS),
    priority: 100
    conda:
        "../../envs/get.yaml"
    threads: threads_of("teacher")
    resources:
        **asks("teacher"),
    params:
        settings=as_json("teachers/{teacher}"),
        seed=config["seed"],
        device=device_of("teacher"),
        launcher=launcher,
    shell:
        "{params.launcher} -m get train-teacher --store {input} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads} --output {output.weights} --history {output.history} > {log} 2>&1"


rule import_teacher:
    input:
        lambda wildcards: local_copy(TEACHERS[wildcards.teacher]["source"]),
    output:
        "<results>/teachers/{teacher}.safetensors",
    log:
        "<results>/logs/import_teacher/{teacher}.log",
    wildcard_constraints:
        teacher=one_of(IMPORTED_TEACHERS),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        conditional=lookup("teachers/{teacher}/conditional", within=config),
        shape=config["data"]["shape"],
        classes=config["data"]["classes"],
        origin=lambda wildcards: origin(TEACHERS[wildcards.teacher]["source"]),
        sha256=checksum(lambda wildcards: TEACHERS[wildcards.teacher]["source"]),
    script:
        "../scripts/import_teacher.py"
