"""Write the real test images, or pure noise, as samples: the ends of the scale."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.sampling.sources import baseline_samples

    baseline_samples(
        store=snakemake.input[0],
        kind=snakemake.wildcards.kind,
        samples=snakemake.params.samples,
        seed=snakemake.params.seed,
        output=snakemake.output[0],
    )
