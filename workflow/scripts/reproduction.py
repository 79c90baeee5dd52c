"""Judge the claims of the paper."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.claims import reproduction, write_reproduction
    from get.paper.results import read_costs, read_rows
    from get.storage.reading import read_json

    settings = read_json(snakemake.input.settings)
    costs = read_costs(snakemake.input.costs[0])
    tables = {number: read_rows(rows, costs) for number, rows in settings["tables"].items()}
    claims = reproduction(tables, read_rows(settings["larger"], costs), settings["cifar10"])
    write_reproduction(claims, snakemake.params.caption, dict(snakemake.output.items()))
