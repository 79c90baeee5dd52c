"""Collect the teacher's images of its first pairs as its samples."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.sampling.sources import teacher_samples
    from get.teacher.samplers import evaluations

    teacher_samples(
        manifest=snakemake.input[0],
        samples=snakemake.params.samples,
        nfe=evaluations({"num_steps": snakemake.params.num_steps}),
        output=snakemake.output[0],
    )
