"""Sample and score all milestones of a run."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.scoring.runs import score_run
    from get.storage.reading import read_json
    from get.storage.settings import require_keys

    sampling = read_json(snakemake.input.sampling)
    require_keys(sampling, ("batch", "iterations", "precision", "samples", "steps"), snakemake.input.sampling)
    del sampling["steps"]  # those of the weights
    score_run(
        milestones=snakemake.input.weights,
        sampling={
            **sampling,
            "held_out": snakemake.input.held_out,
            "images": snakemake.input.get("images"),
            "seed": int(snakemake.wildcards.seed),
            "device": snakemake.params.sampling_device,
        },
        scoring={
            "statistics": {"train": snakemake.input.train, "test": snakemake.input.test},
            "features": {"train": snakemake.input.train_features, "test": snakemake.input.test_features},
            "store": snakemake.input.store,
            "extractor": snakemake.params.extractor,
            "weights": snakemake.input.extractor,
            "batch": snakemake.params.batch,
            "scoring": read_json(snakemake.input.scoring),
            "seed": snakemake.params.seed,
            "device": snakemake.params.device,
        },
        output=snakemake.output[0],
    )
