"""Collect the teacher's images of its first pairs as its samples."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.sampling.sources import teacher_samples

    teacher_samples(
        manifest=snakemake.input[0],
        samples=snakemake.params.samples,
        nfe=snakemake.params.nfe,
        output=snakemake.output[0],
    )
