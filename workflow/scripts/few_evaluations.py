"""Sample a teacher with few evaluations, as someone would who does not distil it."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.sampling.sources import few_evaluations

    few_evaluations(
        teacher=snakemake.input[0],
        sampler=snakemake.params.sampler,
        samples=snakemake.params.samples,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
