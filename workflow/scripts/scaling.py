"""Fit FID over training compute: laws, where they cross, words, figure."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.scaling import draw, read_pairs, write_scaling

    pairs = read_pairs(snakemake.input.settings, snakemake.input.costs)
    paths = dict(snakemake.output.items())
    figure = [paths.pop(kind) for kind in ("pdf", "png")]
    write_scaling(pairs, snakemake.params.caption, paths)
    draw(pairs, figure)
