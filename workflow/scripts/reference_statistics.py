"""Write features and statistics of the real images of both splits."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.data.store import SPLITS
    from get.scoring.reference import write_reference

    for split in SPLITS:
        write_reference(
            store=snakemake.input.store,
            split=split,
            extractor=snakemake.params.extractor,
            weights=snakemake.input.weights,
            batch=snakemake.params.batch,
            device=snakemake.params.device,
            statistics=snakemake.output[split],
            features=snakemake.output[f"{split}_features"],
        )
