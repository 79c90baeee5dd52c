"""Sample a GET in the ways that a study compares."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.evaluation.studies import sample_initial_states, sample_solvers
    from get.files import read_json

    draw = {"initial": sample_initial_states, "solvers": sample_solvers}[snakemake.wildcards.study]
    draw(
        weights=snakemake.input.weights,
        **read_json(snakemake.input.settings),
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
