"""Sample a student, measure its error on held-out pairs, and score the samples."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.sampling.files import open_samples
    from get.sampling.students import sample_student
    from get.scoring.scores import score_samples
    from get.storage.mosaic import write_grid
    from get.storage.reading import read_json
    from get.storage.settings import require_keys

    # Samples
    settings = read_json(snakemake.input.sampling)
    require_keys(settings, ("batch", "iterations", "precision", "samples"), snakemake.input.sampling)
    sample_student(
        weights=snakemake.input.weights,
        held_out=snakemake.input.held_out,
        **settings,
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.sampling_device,
        output=snakemake.output.samples,
        images=snakemake.input.get("images"),
    )
    if "grid" in snakemake.output.keys():  # noqa: SIM118 (a named list, not a mapping)
        with open_samples(snakemake.output.samples) as samples:
            headline, *_ = samples.variants.values()
            write_grid(snakemake.output.grid, headline[:64])
    # Scores
    score_samples(
        samples=snakemake.output.samples,
        statistics={"train": snakemake.input.train, "test": snakemake.input.test},
        features={"train": snakemake.input.train_features, "test": snakemake.input.test_features},
        store=snakemake.input.store,
        extractor=snakemake.params.extractor,
        weights=snakemake.input.extractor,
        batch=snakemake.params.batch,
        scoring=read_json(snakemake.input.scoring),
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output.scores,
    )
