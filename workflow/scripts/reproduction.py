"""Judge the claims of the paper."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.claims import write_reproduction
    from get.paper.reproduction import read_claims

    claims = read_claims(snakemake.input.settings, snakemake.input.costs)
    write_reproduction(claims, snakemake.params.caption, dict(snakemake.output.items()))
