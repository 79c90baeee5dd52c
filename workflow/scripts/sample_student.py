"""Sample a student and measure its error on held-out pairs."""

from get.evaluation.samples import sample_student
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    sample_student(
        weights=snakemake.input.weights,
        manifest=snakemake.input.manifest,
        **snakemake.params.settings,
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
