# Samples of every source under one roof, and their scores; what the students cost.
#
# A student is sampled and scored by one job: to start another would take as long as either.


rule score_student:
    input:
        unpack(images_learned_from),
        weights="<results>/students/{student}/seed{seed}/{step}.safetensors",
        sampling="<results>/settings/sampling/{student}/{step}.json",
        held_out=lambda wildcards: f"<results>/pairs/{experiment.all_students[wildcards.student].pairs}/held-out.h5",
        scoring="<results>/settings/scoring.json",
        store="<results>/data/images.h5",
        extractor=experiment.extractor_weights,
        train="<results>/features/reference-train.npz",
        test="<results>/features/reference-test.npz",
        train_features="<results>/features/reference-train.npy",
        test_features="<results>/features/reference-test.npy",
    output:
        samples="<results>/samples/students/{student}/seed{seed}/{step}.h5",
        scores="<results>/scores/students/{student}/seed{seed}/{step}.json",
        grid=report(
            "<results>/samples/students/{student}/seed{seed}/{step}.png",
            caption="../report/grid.rst",
            category="5 Samples of every checkpoint",
            # the report sorts labels as text
            labels=lambda wildcards: {
                "student": wildcards.student,
                "seed": wildcards.seed,
                "step": f"{wildcards.step:>8}",
            },
        ),
    log:
        "<results>/logs/score_student/{student}-seed{seed}-{step}.log",
    benchmark:
        "<results>/benchmarks/score_student/{student}-seed{seed}-{step}.jsonl"
    wildcard_constraints:
        student=one_of(
            experiment.all_students.keys() - {*rivals.names(experiment), *tuning.names(experiment)}
        ),
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: max(threads_of("sample"), threads_of("score"))
    resources:
        **resources_of_both("sample", "score"),
    params:
        extractor=experiment.config.features.extractor,
        batch=experiment.config.evaluation.batch,
        seed=experiment.config.seed,
        sampling_device=device_of("sample"),
        device=device_of("score"),
        # of the caption alone: it reads `input`, so that Snakemake takes it for derived
        classes=lambda wildcards, input: experiment.config.data.classes,
    script:
        "../scripts/score_student.py"


rule sample_teacher:
    input:
        "<results>/pairs/{pairs}/manifest.json",
    output:
        "<results>/samples/teachers/{pairs}.h5",
    log:
        "<results>/logs/sample_teacher/{pairs}.log",
    wildcard_constraints:
        pairs="[^/_]+",
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        samples=experiment.config.evaluation.samples,
        # read by nothing: without it, Snakemake would take samples of version 0.1.0 for outdated
        num_steps=lambda wildcards: experiment.pairs[wildcards.pairs].sampler.settings().get("num_steps"),
        # it reads `input`, so that Snakemake takes it for derived: another sampler makes the pairs anew
        nfe=lambda wildcards, input: experiment.evaluations(wildcards.pairs),
    script:
        "../scripts/sample_teacher.py"


rule few_evaluations:
    input:
        lambda wildcards: f"<results>/teachers/{experiment.pairs[wildcards.pairs].teacher}.safetensors",
    output:
        "<results>/samples/teachers/{pairs}_{few}.h5",
    log:
        "<results>/logs/few_evaluations/{pairs}_{few}.log",
    benchmark:
        "<results>/benchmarks/few_evaluations/{pairs}_{few}.jsonl"
    wildcard_constraints:
        pairs="[^/_]+",
        few="[^/]+",
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: threads_of("pairs")
    resources:
        **resources_of("pairs"),
    params:
        sampler=lambda wildcards: in_order(experiment.few_evaluations[wildcards.few]),
        samples=experiment.config.evaluation.samples,
        seed=experiment.config.seed,
        device=device_of("pairs"),
    script:
        "../scripts/few_evaluations.py"


rule sample_baseline:
    input:
        "<results>/data/images.h5",
    output:
        "<results>/samples/baselines/{kind}.h5",
    log:
        "<results>/logs/sample_baseline/{kind}.log",
    wildcard_constraints:
        kind="real|noise",
    priority: 20
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        samples=experiment.config.evaluation.samples,
        seed=experiment.config.seed,
    script:
        "../scripts/sample_baseline.py"


rule score:
    input:
        settings="<results>/settings/scoring.json",
        samples="<results>/samples/{source}.h5",
        store="<results>/data/images.h5",
        weights=experiment.extractor_weights,
        train="<results>/features/reference-train.npz",
        test="<results>/features/reference-test.npz",
        train_features="<results>/features/reference-train.npy",
        test_features="<results>/features/reference-test.npy",
    output:
        "<results>/scores/{source}.json",
    log:
        "<results>/logs/score/{source}.log",
    benchmark:
        "<results>/benchmarks/score/{source}.jsonl"
    wildcard_constraints:
        source="(teachers|baselines|studies)/.+",
    priority: 10
    conda:
        "../../envs/get.yaml"
    threads: threads_of("score")
    resources:
        **resources_of("score"),
    params:
        extractor=experiment.config.features.extractor,
        batch=experiment.config.evaluation.batch,
        seed=experiment.config.seed,
        device=device_of("score"),
    script:
        "../scripts/score.py"


rule costs:
    input:
        "<results>/settings/costs.json",
    output:
        "<results>/costs.json",
    log:
        "<results>/logs/costs.log",
    benchmark:
        "<results>/benchmarks/costs.jsonl"
    priority: 1000
    conda:
        "../../envs/get.yaml"
    # all cores of this machine, that nothing else runs meanwhile; it computes with those of training
    threads: all_cores
    resources:
        **resources_of("costs"),
    script:
        "../scripts/costs.py"
