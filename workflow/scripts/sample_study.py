"""Sample a GET in the ways that a study compares."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.evaluation.studies import sample_initial_states, sample_solvers

    draw = {"initial": sample_initial_states, "solvers": sample_solvers}[snakemake.wildcards.study]
    draw(
        weights=snakemake.input[0],
        samples=snakemake.params.samples,
        batch=snakemake.params.batch,
        precision=snakemake.params.precision,
        **snakemake.params.more,
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
