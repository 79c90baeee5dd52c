"""Draw one of the figures that are plots."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper import figures
    from get.paper.results import read_costs, read_history, read_rows
    from get.storage.reading import read_json

    name, settings, paths = snakemake.wildcards.figure, read_json(snakemake.input.settings), snakemake.output
    if name == "training-curves":
        for entry in settings["histories"]:
            entry["runs"] = [read_history(path) for path in entry["histories"]]
        figures.training_curves(settings["histories"], paths)
    else:
        costs = read_costs(snakemake.input.costs[0]) if snakemake.input.costs else {}
        getattr(figures, name)(read_rows(settings["rows"], costs), paths)
