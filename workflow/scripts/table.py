"""Write one of the tables."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.results import read_rows
    from get.paper.tables import TABLES, write_table
    from get.storage.reading import read_json

    number, settings = snakemake.wildcards.number, read_json(snakemake.input.settings)
    rows = read_rows(settings["rows"], next(iter(snakemake.input.costs), None))
    lines = TABLES[number].lines(rows, **settings["arguments"])
    write_table(lines, number, snakemake.params.caption, dict(snakemake.output.items()))
