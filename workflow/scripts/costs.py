"""Measure what every student costs."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.costs.measure import measure_costs
    from get.storage.reading import read_json

    measure_costs(**read_json(snakemake.input[0]), output=snakemake.output[0])
