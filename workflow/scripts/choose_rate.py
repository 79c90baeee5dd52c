"""Choose the learning rate of a method by the scores of its trials."""

from get.runtime.log import job, log

with job(snakemake.log[0]):
    from get.paper.rivals import best_trial
    from get.storage.atomic import write_text
    from get.storage.hashing import canonical_json
    from get.storage.reading import read_json

    trials = read_json(snakemake.input.trials)
    settings = trials["candidates"][best_trial(snakemake.input.scores)]
    log.info("learning rate %g", settings["training"]["lr"])
    write_text(snakemake.output[0], canonical_json(settings))
