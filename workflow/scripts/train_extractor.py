"""Train the extractor whose features the scores compare."""

from pathlib import Path

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.scoring.trained import train_extractor

    train_extractor(
        name=Path(snakemake.output[0]).stem,
        store=snakemake.input[0],
        **snakemake.params.settings,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
