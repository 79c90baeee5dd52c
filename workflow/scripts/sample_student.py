"""Sample a student and measure its error on held-out pairs."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.mosaic import write_grid
    from get.sampling.files import open_samples
    from get.sampling.students import sample_student
    from get.storage.reading import read_json
    from get.storage.settings import require_keys

    settings = read_json(snakemake.input.settings)
    require_keys(settings, ("batch", "iterations", "precision", "samples"), snakemake.input.settings)
    sample_student(
        weights=snakemake.input.weights,
        held_out=snakemake.input.held_out,
        **settings,
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output.samples,
        images=snakemake.input.get("images"),
    )
    with open_samples(snakemake.output.samples) as samples:
        headline, *_ = samples.variants.values()
        write_grid(snakemake.output.grid, headline[:64])
