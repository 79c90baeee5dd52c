"""Write one of the studies: table, text, figure."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.results import read_rows
    from get.storage.reading import read_json
    from get.studies import load
    from get.studies.common.files import write_study

    settings = read_json(snakemake.input.settings)
    write_study(
        load(snakemake.wildcards.study),
        read_rows(settings["rows"]),
        settings,
        caption=snakemake.params.caption,
        paths=dict(snakemake.output.items()),
    )
