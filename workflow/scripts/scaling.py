"""Fit FID over training compute: laws, where they cross, words, figure."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.scaling import read_pairs, write_scaling

    pairs = read_pairs(snakemake.input.settings, snakemake.input.costs)
    write_scaling(pairs, snakemake.params.caption, dict(snakemake.output.items()))
