"""Write the image store of the data set."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.data import sets

    archive = snakemake.input[0] if snakemake.input else None
    given = {**snakemake.params.given, "archive": archive, "sha256": snakemake.params.sha256}
    sets.write(snakemake.params.name, snakemake.output[0], given)
