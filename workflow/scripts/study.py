"""Write one of the studies: table, text, figure."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.paper.results import read_rows
    from get.paper.studies import write_study
    from get.storage.reading import read_json

    settings = read_json(snakemake.input.settings)
    write_study(
        snakemake.wildcards.study,
        read_rows(settings["rows"]),
        settings,
        title=snakemake.params.title,
        caption=snakemake.params.caption,
        paths=dict(snakemake.output.items()),
    )
