"""Draw one of the figures that are plots, and a page of it with its caption."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.documents import write_figure_page
    from get.paper.figures import FIGURES, training_curves
    from get.paper.results import read_curves, read_rows
    from get.storage.reading import read_json

    name, settings = snakemake.wildcards.figure, read_json(snakemake.input.settings)
    output, params = snakemake.output, snakemake.params
    pictures = [output.pdf, output.png]
    if name in FIGURES:
        rows = read_rows(settings["rows"], next(iter(snakemake.input.costs), None))
        FIGURES[name](rows, pictures)
    else:
        training_curves(read_curves(settings["histories"]), pictures)
    write_figure_page(params.title, output.png, params.caption, output.html)
