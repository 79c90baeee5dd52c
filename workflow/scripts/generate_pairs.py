"""Let the teacher write one shard of pairs."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.storage.settings import from_settings
    from get.teacher.generation import Sampler, write_pairs

    write_pairs(
        teacher=snakemake.input[0],
        indices=range(*snakemake.params.indices),
        sampler=from_settings(Sampler, snakemake.params.sampler, "sampler"),
        seed=snakemake.params.seed,
        identity=snakemake.params.identity,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
