# Real images, the features in which scores are taken, and the reference statistics of both splits.


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
            device=device,
        script:
            "../scripts/train_classifier.py"


rule reference_statistics:
    input:
        store="<results>/data/images.h5",
        weights=EXTRACTOR_WEIGHTS,
    output:
        train="<results>/features/reference-train.npz",
        test="<results>/features/reference-test.npz",
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
        device=device,
    script:
        "../scripts/reference_statistics.py"
