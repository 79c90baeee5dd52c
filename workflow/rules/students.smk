# Students: a chain of milestones, each made from the one before.
#
# A milestone depends on its own settings and on the fingerprint of the pairs, not on the list of milestones
# or on when its inputs were written. So a new milestone, seed or student re-runs nothing, and a shard that
# was made again re-trains nothing.


def milestone_before(wildcards):
    """The state that training starts from, if this is not the first milestone."""
    before = [
        step
        for step in STUDENTS[wildcards.student]["milestones"]
        if step < int(wildcards.step)
    ]
    folder = f"<results>/students/{wildcards.student}/seed{wildcards.seed}"
    return ancient(f"{folder}/{before[-1]}.pt") if before else []


rule train_student:
    input:
        manifest=lambda wildcards: ancient(
            f"<results>/pairs/{student_pairs(wildcards)}/manifest.json"
        ),
        start=milestone_before,
    output:
        state="<results>/students/{student}/seed{seed}/{step}.pt",
        weights="<results>/students/{student}/seed{seed}/{step}.safetensors",
        history="<results>/students/{student}/seed{seed}/{step}.json",
    log:
        "<results>/logs/train_student/{student}-seed{seed}-{step}.log",
    benchmark:
        "<results>/benchmarks/train_student/{student}-seed{seed}-{step}.jsonl"
    priority: 80
    conda:
        "../../envs/get.yaml"
    threads: threads_of("student")
    resources:
        **asks("student"),
    params:
        identity=lambda wildcards: pairs_identity(student_pairs(wildcards)),
        model=as_json("students/{student}/model"),
        training=as_json("students/{student}/training"),
        start=lambda wildcards, input: (
            f"--start {input.start}" if input.get("start") else ""
        ),
        device=config["device"],
    shell:
        "python -m get train-student --manifest {input.manifest} --identity {params.identity}"
        " --model {params.model:q} --training {params.training:q} --seed {wildcards.seed}"
        " --steps {wildcards.step} {params.start} --device {params.device} --output {output.state} --log {log}"
