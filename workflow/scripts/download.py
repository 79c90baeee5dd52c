"""Download a file from outside."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.data.download import download

    download(snakemake.params.url, snakemake.output[0], snakemake.params.sha256)
