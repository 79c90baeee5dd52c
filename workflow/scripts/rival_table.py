"""Write the methods of one task: table, words, figure of budgets, samples side by side."""

from get.paper.naming import distance_called
from get.runtime.log import job

SHOWN = 8  # samples of each method

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.rival_figures import fid_over_budgets, side_by_side
    from get.paper.rivals import read_entries, write_table
    from get.sampling.files import open_samples
    from get.storage.reading import read_json

    entries = read_entries(snakemake.input.settings, snakemake.input.costs)
    reference = read_json(snakemake.input.settings)["reference"]
    fid_over_budgets(entries, [snakemake.output.pdf, snakemake.output.png])
    # Samples of the first seed, at the largest budget
    columns = []
    for entry in {entry.method: entry for entry in entries}.values():
        with open_samples(entry.about["samples"]) as content:
            headline, *_ = content.variants.values()
            columns.append((entry.row.label, headline[:SHOWN]))
    side_by_side(columns, [snakemake.output.samples_pdf, snakemake.output.samples_png])
    write_table(entries, reference, snakemake.params.caption, dict(snakemake.output.items()))
