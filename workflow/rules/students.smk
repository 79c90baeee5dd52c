# Students: a chain of milestones, each made from the one before.
#
# A milestone depends on the student's settings, which name the pairs by their fingerprint; not on the list of
# milestones, nor on when the manifest or the milestone before was written. So a new milestone, seed or student
# re-runs nothing, and a shard that was made again re-trains nothing.


rule train_student:
    input:
        settings="<results>/settings/students/{student}.json",
        manifest=student_manifest,
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
        start=lambda wildcards, input: (f"--start {input.start}" if input.get("start") else ""),
        device=device,
    shell:
        "python -m get train-student --settings {input.settings} --manifest {input.manifest}"
        " --seed {wildcards.seed} --steps {wildcards.step} {params.start} --device {params.device} --threads {threads}"
        " --output {output.state} > {log} 2>&1"
