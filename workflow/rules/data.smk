# Files from outside, real images, the features in which scores are taken, and the statistics of both splits.


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
        **asks("light"),
    params:
        url=lambda wildcards: DOWNLOADS[wildcards.file]["url"],
        sha256=checksum(lambda wildcards: DOWNLOADS[wildcards.file]),
    script:
        "../scripts/download.py"


if config["data"]["name"] == "digits":

    rule make_digits:
        output:
            "<results>/data/images.h5",
        log:
            "<results>/logs/make_digits.log",
        conda:
            "../../envs/get.yaml"
        threads: threads_of("light")
        resources:
            **asks("light"),
        params:
            test_fraction=config["data"]["test_fraction"],
            seed=config["seed"],
        script:
            "../scripts/make_digits.py"


if config["data"]["name"] == "cifar10":

    rule make_cifar10:
        input:
            local_copy(config["data"]["source"]),
        output:
            "<results>/data/images.h5",
        log:
            "<results>/logs/make_cifar10.log",
        conda:
            "../../envs/get.yaml"
        threads: threads_of("light")
        resources:
            **asks("light"),
        params:
            origin=origin(config["data"]["source"]),
            sha256=checksum(lambda wildcards: config["data"]["source"]),
        script:
            "../scripts/make_cifar10.py"


if config["features"]["extractor"] == "classifier":

    rule train_classifier:
        input:
            "<results>/data/images.h5",
        output:
            "<results>/features/classifier.safetensors",
        log:
            "<results>/logs/train_classifier.log",
        benchmark:
            "<results>/benchmarks/train_classifier.jsonl"
        conda:
            "../../envs/get.yaml"
        threads: threads_of("classifier")
        resources:
            **asks("classifier"),
        params:
            settings=part_of_config("features/classifier"),
            seed=config["seed"],
            device=device_of("classifier"),
        script:
            "../scripts/train_classifier.py"


if config["features"]["extractor"] == "inception":

    rule import_inception:
        input:
            local_copy(config["features"]["source"]),
        output:
            EXTRACTOR_WEIGHTS,
        log:
            "<results>/logs/import_inception.log",
        conda:
            "../../envs/get.yaml"
        threads: threads_of("light")
        resources:
            **asks("light"),
        params:
            origin=origin(config["features"]["source"]),
            sha256=checksum(lambda wildcards: config["features"]["source"]),
        script:
            "../scripts/import_inception.py"


rule reference_statistics:
    input:
        store="<results>/data/images.h5",
        weights=EXTRACTOR_WEIGHTS,
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
        **asks("score"),
    params:
        extractor=config["features"]["extractor"],
        batch=config["evaluation"]["batch"],
        device=device_of("score"),
    script:
        "../scripts/reference_statistics.py"
