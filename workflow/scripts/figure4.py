"""Draw Figure 4: uncurated samples, and a row per class."""

from get.evaluation.samples import read_samples
from get.files import read_json
from get.paper.grids import figure4a, figure4b
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    labels = read_json(snakemake.input.settings)["labels"]
    content = read_samples(snakemake.input.unconditional)
    headline = content.info["variants"][0]
    title = f"{labels['unconditional']}, unconditional: one evaluation"
    figure4a(content.variants[headline], title, [snakemake.output.a_pdf, snakemake.output.a_png])
    content = read_samples(snakemake.input.conditional)
    headline = content.info["variants"][0]
    title = f"{labels['conditional']}, class-conditional: one evaluation"
    paths = [snakemake.output.b_pdf, snakemake.output.b_png]
    figure4b(content.variants[headline], content.labels, title, paths)
