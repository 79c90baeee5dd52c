"""Sample a student and measure its error on held-out pairs."""

from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    from get.evaluation.samples import sample_student
    from get.files import read_json

    sample_student(
        weights=snakemake.input.weights,
        held_out=snakemake.input.held_out,
        **read_json(snakemake.input.settings),
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
