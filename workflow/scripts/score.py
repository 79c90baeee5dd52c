"""Score a sample file."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.scoring.scores import score_samples
    from get.storage.reading import read_json

    score_samples(
        samples=snakemake.input.samples,
        statistics={"train": snakemake.input.train, "test": snakemake.input.test},
        features={"train": snakemake.input.train_features, "test": snakemake.input.test_features},
        store=snakemake.input.store,
        extractor=snakemake.params.extractor,
        weights=snakemake.input.weights,
        batch=snakemake.params.batch,
        scoring=read_json(snakemake.input.settings),
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
