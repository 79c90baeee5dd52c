"""Write the methods of one task: table, words, figure of budgets, samples side by side."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.rival_figures import fid_over_budgets, side_by_side
    from get.paper.rivals import read_entries, write_table
    from get.storage.reading import read_json

    entries = read_entries(snakemake.input.settings, snakemake.input.costs)
    reference = read_json(snakemake.input.settings)["reference"]
    write_table(entries, reference, snakemake.params.caption, dict(snakemake.output.items()))
    fid_over_budgets(entries, [snakemake.output.pdf, snakemake.output.png])
    side_by_side(entries, [snakemake.output.samples_pdf, snakemake.output.samples_png])
