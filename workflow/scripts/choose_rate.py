"""Choose the learning rate of a method by the scores of its trials."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.rivals import choose_rate

    choose_rate(snakemake.params.candidates, snakemake.input, snakemake.output[0])
