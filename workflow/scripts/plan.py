"""Measure what the jobs of the experiment will take."""

from get.runtime.log import job

if __name__ == "__main__":  # not in the processes that it starts
    with job(snakemake.log[0]):
        from get.costs.plan import make_plan

        make_plan(
            settings=snakemake.input[0],
            cores=snakemake.threads,
            gpus=snakemake.params.gpus,
            output=snakemake.output.csv,
            readable=snakemake.output.md,
            rivals=bool(snakemake.wildcards.of),
        )
