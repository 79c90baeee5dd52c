"""Draw Figure 4: uncurated samples, and a row per class."""

from get.evaluation.samples import read_samples
from get.paper.figures import figure4a, figure4b
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    labels = snakemake.params.labels
    content = read_samples(snakemake.input.unconditional)
    headline = content.info["variants"][0]
    title = f"{labels['unconditional']}, unconditional: one evaluation"
    figure4a(content.variants[headline], title, snakemake.output.a)
    content = read_samples(snakemake.input.conditional)
    headline = content.info["variants"][0]
    title = f"{labels['conditional']}, class-conditional: one evaluation"
    figure4b(content.variants[headline], content.labels, title, snakemake.output.b)
