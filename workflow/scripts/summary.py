"""Write question and answer, what students cost, and where the results come from."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from pathlib import Path

    import pandas as pd

    from get.paper.provenance import provenance, provenance_page
    from get.paper.reproduction import read_claims
    from get.paper.results import read_costs
    from get.paper.summary import costs_page, findings, overview_page, overview_text
    from get.storage.atomic import write_json, write_text
    from get.storage.reading import read_json

    settings, paths = read_json(snakemake.input.settings), snakemake.output
    folder = Path(paths.overview).parent
    claims = read_claims(snakemake.input.claims, snakemake.input.costs)
    costs = read_costs(snakemake.input.costs)
    found = findings(pd.read_csv(snakemake.input.table1), claims)
    write_text(paths.markdown, overview_text(found, settings["scope"]))
    write_text(paths.overview, overview_page(found, settings["scope"], claims))
    write_text(paths.costs, costs_page(costs, settings["labels"], snakemake.params.costs_caption))
    content = provenance(
        config=snakemake.params.config,
        threads=snakemake.params.threads,
        seeds=settings["seeds"],
        files=snakemake.input.hashed,
        # no input: a record that was deleted must not make its job run again
        benchmarks=folder / "benchmarks",
        measured_on=costs.device,
        folder=folder,
    )
    write_json(paths.provenance, content)
    write_text(paths.provenance_page, provenance_page(content))
