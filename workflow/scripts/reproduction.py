"""Judge the claims of the paper."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.claims import write_reproduction
    from get.paper.reproduction import read_claims

    claims = read_claims(snakemake.input.settings, snakemake.input.costs)
    write_reproduction(claims, snakemake.params.caption, dict(snakemake.output.items()))
