"""Measure what every student costs."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.evaluation.costs import measure_costs
    from get.files import read_json

    measure_costs(**read_json(snakemake.input[0]), output=snakemake.output[0])
