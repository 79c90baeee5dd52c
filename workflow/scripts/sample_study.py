"""Sample a GET in the ways that a study compares."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.storage.reading import read_json
    from get.studies import load

    sample = load(snakemake.wildcards.study).sample
    assert sample, "the rule names studies that sample"
    sample(
        weights=snakemake.input.weights,
        **read_json(snakemake.input.settings),
        seed=int(snakemake.wildcards.seed),
        device=snakemake.params.device,
        output=snakemake.output[0],
    )
