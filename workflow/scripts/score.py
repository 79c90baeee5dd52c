"""Score a sample file."""

from get.evaluation.scores import score_samples
from get.files import read_json
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    score_samples(
        samples=snakemake.input.samples,
        references={"train": snakemake.input.train, "test": snakemake.input.test},
        store=snakemake.input.store,
        extractor=snakemake.params.extractor,
        weights=snakemake.input.weights,
        batch=snakemake.params.batch,
        scoring=read_json(snakemake.input.settings),
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
