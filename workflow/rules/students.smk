# Students: a chain of milestones, each made from the one before.
#
# A milestone depends on the student's settings, which name what it learns from by its fingerprint; not on the list
# of milestones, nor on when the pairs, the images, the teacher or the milestone before were written. So a new
# milestone, seed or student re-runs nothing, and a shard that was made again re-trains nothing.


rule train_student:
    input:
        unpack(learned_from),
        settings="<results>/settings/students/{student}.json",
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
        files=lambda wildcards, input: " ".join(
            f"--{name} {shlex.quote(input[name])}"
            for name in ("manifest", "images", "teacher", "loss")
            if name in input.keys()
        ),
        previous=lambda wildcards, input: (f"--previous {input.start}" if input.get("start") else ""),
        device=device_of("student"),
        launcher=launcher,
        # these read `input`, so that Snakemake takes them for derived: they re-run nothing
        prefetch=lambda wildcards, input: experiment.all_students[wildcards.student].training.prefetch,
        accumulate=lambda wildcards, input: experiment.all_students[wildcards.student].training.accumulate
        or 1,
        trackers=lambda wildcards, input: watched,
    shell:
        "{params.launcher} -m get train-student --settings {input.settings} {params.files}"
        " --seed {wildcards.seed} --steps {wildcards.step} {params.previous} --device {params.device} --threads {threads}"
        " --prefetch {params.prefetch} --accumulate {params.accumulate} {params.trackers} --output {output.state} > {log} 2>&1"


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
