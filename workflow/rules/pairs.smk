# Pairs (noise, class, image) from the teachers, in shards, and a manifest that lists the shards.


def part_indices(wildcards):
    """First and last + 1 of the pair indices of one part."""
    pairs = PAIRS[wildcards.pairs]
    if wildcards.part == "held-out":
        return [HELD_OUT, HELD_OUT + pairs["held_out"]]
    shard = int(wildcards.part.removeprefix("train-"))
    check(
        shard < pairs["shards"],
        f"pairs.{wildcards.pairs}.shards is {pairs['shards']}: no shard {shard}",
    )
    indices = shard_range(
        shard, pairs["shards"], pairs["count"], pairs["sampler"]["batch"]
    )
    return [indices.start, indices.stop]


def parts(wildcards):
    """The files of a set of pairs."""
    names = [
        f"train-{shard:05d}" for shard in range(PAIRS[wildcards.pairs]["shards"])
    ] + ["held-out"]
    return expand(
        "<results>/pairs/{pairs}/{part}.h5", pairs=wildcards.pairs, part=names
    )


rule generate_pairs:
    input:
        lambda wildcards: f"<results>/teachers/{PAIRS[wildcards.pairs]['teacher']}.safetensors",
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
        **asks("pairs"),
    params:
        indices=part_indices,
        sampler=lookup("pairs/{pairs}/sampler", within=config),
        identity=lambda wildcards: pairs_identity(wildcards.pairs),
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/generate_pairs.py"


rule make_manifest:
    input:
        parts,
    output:
        "<results>/pairs/{pairs}/manifest.json",
    log:
        "<results>/logs/make_manifest/{pairs}.log",
    priority: 90
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        identity=lambda wildcards: pairs_identity(wildcards.pairs),
    script:
        "../scripts/make_manifest.py"
