# Students: a chain of milestones, each made from the one before.
#
# A milestone depends on the student's settings, which name the pairs by their fingerprint; not on the list of
# milestones, nor on when the manifest or the milestone before was written. So a new milestone, seed or student
# re-runs nothing, and a shard that was made again re-trains nothing.


rule train_student:
    input:
        settings="<results>/settings/students/{student}.json",
        manifest=lambda wildcards: ancient_once_made(
            wildcards,
            f"{experiment.results}/pairs/{experiment.all_students[wildcards.student].pairs}/manifest.json",
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
    wildcard_constraints:
        student=one_of(experiment.all_students.keys() - experiment.imported_students),
    priority: 80
    conda:
        "../../envs/get.yaml"
    threads: threads_of("student")
    resources:
        **resources_of("student"),
    params:
        previous=lambda wildcards, input: (f"--previous {input.start}" if input.get("start") else ""),
        device=device_of("student"),
        launcher=launcher,
        # it reads `input`, so that Snakemake takes it for derived: it changes no number, and re-runs nothing
        prefetch=lambda wildcards, input: experiment.all_students[wildcards.student].training.prefetch,
    shell:
        "{params.launcher} -m get train-student --settings {input.settings} --manifest {input.manifest}"
        " --seed {wildcards.seed} --steps {wildcards.step} {params.previous} --device {params.device} --threads {threads}"
        " --prefetch {params.prefetch} --output {output.state} > {log} 2>&1"


rule import_student:
    input:
        settings="<results>/settings/students/{student}.json",
        source=lambda wildcards: experiment.local_copy(experiment.students[wildcards.student].source),
    output:
        "<results>/students/{student}/seed{seed}/{step}.safetensors",
    log:
        "<results>/logs/import_student/{student}-seed{seed}-{step}.log",
    wildcard_constraints:
        student=one_of(experiment.imported_students),
        seed="0",
        step=one_of(str(experiment.students[name].shown_step) for name in experiment.imported_students),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        shape=experiment.config.data.shape,
        classes=experiment.config.data.classes,
        origin=lambda wildcards: origin(experiment.students[wildcards.student].source),
        sha256=checksum(lambda wildcards: experiment.students[wildcards.student].source),
    script:
        "../scripts/import_student.py"
