"""Check the shards of a set of pairs and list them."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.pairs.manifest import write_manifest

    write_manifest(snakemake.output[0], snakemake.input, snakemake.params.identity)
