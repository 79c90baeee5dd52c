"""Count how many steps of each method take the operations of the reference's."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.costs.budgets import write_budgets

    write_budgets(snakemake.input[0], snakemake.output[0])
