"""Let the teacher write one shard of pairs."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.teacher.generation import write_pairs
    from get.teacher.samplers import Sampler

    write_pairs(
        teacher=snakemake.input[0],
        indices=range(*snakemake.params.indices),
        sampler=Sampler(**snakemake.params.sampler),
        seed=snakemake.params.seed,
        identity=snakemake.params.identity,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
