"""Sample a teacher with few evaluations, as someone would who does not distil it."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.sampling.sources import few_evaluations

    few_evaluations(
        teacher=snakemake.input[0],
        sampler=snakemake.params.sampler,
        samples=snakemake.params.samples,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
