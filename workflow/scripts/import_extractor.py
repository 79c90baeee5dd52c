"""Take the weights of an extractor from the file that the config names."""

from pathlib import Path

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.imports.extractor import import_extractor

    import_extractor(
        name=Path(snakemake.output[0]).stem,
        source=snakemake.input[0],
        sha256=snakemake.params.sha256,
        output=snakemake.output[0],
    )
