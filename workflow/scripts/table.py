"""Write one of the tables."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.results import read_costs, read_rows
    from get.paper.tables import TABLES, readable, write_table
    from get.storage.reading import read_json

    number, settings = snakemake.wildcards.number, read_json(snakemake.input.settings)
    costs = read_costs(snakemake.input.costs[0]) if snakemake.input.costs else {}
    rows = read_rows(settings["rows"], costs)
    table = TABLES[number](rows, settings["cifar10"], **settings["arguments"])
    paths = dict(snakemake.output.items())
    write_table(table, readable(table, number), snakemake.params.caption, f"tab:table{number}", paths)
