"""Sample a student and measure its error on held-out pairs."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.evaluation.samples import open_samples, sample_student
    from get.files import read_json, require_keys
    from get.paper.mosaic import write_grid

    settings = read_json(snakemake.input.settings)
    require_keys(settings, ("batch", "iterations", "precision", "samples"), snakemake.input.settings)
    sample_student(
        weights=snakemake.input.weights,
        held_out=snakemake.input.held_out,
        **settings,
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output.samples,
    )
    with open_samples(snakemake.output.samples) as samples:
        headline, *_ = samples.variants.values()
        write_grid(snakemake.output.grid, headline[:64])
