"""Train the classifier whose features the scores compare."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.scoring.extractors.classifier import train_classifier

    train_classifier(
        store=snakemake.input[0],
        **snakemake.params.settings,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
