# Pairs (noise, class, image) from the teachers, in shards, and a manifest that lists the shards.


rule generate_pairs:
    input:
        lambda wildcards: f"<results>/teachers/{experiment.pairs[wildcards.pairs].teacher}.safetensors",
    output:
        "<results>/pairs/{pairs}/{part}.h5",
    log:
        "<results>/logs/generate_pairs/{pairs}-{part}.log",
    benchmark:
        "<results>/benchmarks/generate_pairs/{pairs}-{part}.jsonl"
    priority: 90
    conda:
        "../../envs/get.yaml"
    threads: threads_of("pairs")
    resources:
        **resources_of("pairs"),
    params:
        indices=lambda wildcards: bounds(experiment.part_indices(wildcards.pairs, wildcards.part)),
        sampler=lambda wildcards: in_order(experiment.pairs[wildcards.pairs].sampler.settings()),
        identity=lambda wildcards: experiment.pairs_identity(wildcards.pairs),
        seed=experiment.config.seed,
        device=device_of("pairs"),
    script:
        "../scripts/generate_pairs.py"


rule make_manifest:
    input:
        lambda wildcards: expand(
            "<results>/pairs/{pairs}/{part}.h5",
            pairs=wildcards.pairs,
            part=experiment.parts(wildcards.pairs),
        ),
    output:
        "<results>/pairs/{pairs}/manifest.json",
    log:
        "<results>/logs/make_manifest/{pairs}.log",
    priority: 90
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        identity=lambda wildcards: experiment.pairs_identity(wildcards.pairs),
        shards=lambda wildcards: experiment.pairs[wildcards.pairs].shards,
    script:
        "../scripts/make_manifest.py"
