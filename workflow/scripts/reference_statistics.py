"""Write features and statistics of the real images of both splits."""

from get.evaluation.scores import write_reference
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    for split, output in snakemake.output.items():
        write_reference(
            store=snakemake.input.store,
            split=split,
            extractor=snakemake.params.extractor,
            weights=snakemake.input.weights,
            batch=snakemake.params.batch,
            device=snakemake.params.device,
            output=output,
        )
