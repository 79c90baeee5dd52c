"""Draw one of the figures that are plots."""

from get.files import read_json
from get.paper import figures
from get.paper.results import read_rows
from get.runtime import logging_to

with logging_to(snakemake.log[0]):
    name, settings, paths = snakemake.wildcards.figure, read_json(snakemake.input.settings), snakemake.output
    measured = read_json(snakemake.input.costs[0]) if snakemake.input.costs else {}
    if name == "training-curves":
        for entry in settings["histories"]:
            entry["runs"] = [read_json(path) for path in entry["histories"]]
        figures.training_curves(settings["histories"], paths)
    else:
        rows = read_rows(settings["rows"], measured.get("students"))
        if name == "figure3a":
            figures.figure3a(rows, measured["device"], paths)
        else:
            getattr(figures, name)(rows, paths)
