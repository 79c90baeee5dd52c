# Files from outside, real images, the features in which scores are taken, and the statistics of both splits.

data, features = experiment.config.data, experiment.config.features


rule download:
    output:
        "<results>/inputs/{file}",
    log:
        "<results>/logs/download/{file}.log",
    localrule: True
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        url=lambda wildcards: experiment.downloads[wildcards.file].url,
        sha256=checksum(lambda wildcards: experiment.downloads[wildcards.file]),
    script:
        "../scripts/download.py"


rule make_data:
    input:
        # a folder counts as another by its content (`origin`), not by its time
        [ancient(path) if os.path.isdir(path) else path for path in experiment.data_files],
    output:
        "<results>/data/images.h5",
    log:
        "<results>/logs/make_data.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        name=data.name,
        given=experiment.data_arguments,
        origin=experiment.data_origin,
        sha256=lambda wildcards, input: data.source and data.source.sha256,
    script:
        "../scripts/make_data.py"


if features.trained:

    rule train_extractor:
        input:
            "<results>/data/images.h5",
        output:
            experiment.extractor_weights,
        log:
            f"<results>/logs/train_{features.extractor}.log",
        benchmark:
            f"<results>/benchmarks/train_{features.extractor}.jsonl"
        conda:
            "../../envs/get.yaml"
        threads: threads_of("classifier")
        resources:
            **resources_of("classifier"),
        params:
            settings=in_order(features.trained.settings()),
            seed=experiment.config.seed,
            device=device_of("classifier"),
        script:
            "../scripts/train_extractor.py"

else:

    rule import_extractor:
        input:
            experiment.local_copy(features.source),
        output:
            experiment.extractor_weights,
        log:
            f"<results>/logs/import_{features.extractor}.log",
        conda:
            "../../envs/get.yaml"
        threads: threads_of("light")
        resources:
            **resources_of("light"),
        params:
            origin=origin(features.source),
            sha256=checksum(lambda wildcards: features.source),
        script:
            "../scripts/import_extractor.py"


rule reference_statistics:
    input:
        store="<results>/data/images.h5",
        weights=experiment.extractor_weights,
    output:
        train="<results>/features/reference-train.npz",
        test="<results>/features/reference-test.npz",
        train_features="<results>/features/reference-train.npy",
        test_features="<results>/features/reference-test.npy",
    log:
        "<results>/logs/reference_statistics.log",
    benchmark:
        "<results>/benchmarks/reference_statistics.jsonl"
    conda:
        "../../envs/get.yaml"
    threads: threads_of("score")
    resources:
        **resources_of("score"),
    params:
        extractor=features.extractor,
        batch=experiment.config.evaluation.batch,
        device=device_of("score"),
    script:
        "../scripts/reference_statistics.py"
