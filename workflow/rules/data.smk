# Files from outside, real images, the features in which scores are taken, and the statistics of both splits.

# of the data set: the file that it is made from, if any, and what it takes of the config
DATA_SOURCE = config["data"].get("source")
DATA_SETTINGS = [
    key for key in sets.describe(config["data"]["name"]).takes if key not in ("archive", "sha256")
]


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


rule make_data:
    input:
        local_copy(DATA_SOURCE) if DATA_SOURCE else [],
    output:
        "<results>/data/images.h5",
    log:
        "<results>/logs/make_data.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        name=config["data"]["name"],
        given={key: (config["data"] | {"seed": config["seed"]}).get(key) for key in DATA_SETTINGS},
        origin=origin(DATA_SOURCE) if DATA_SOURCE else None,
        sha256=checksum(lambda wildcards: DATA_SOURCE or {"sha256": None}),
    script:
        "../scripts/make_data.py"


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
