"""Judge whether the reference is better than the other one-step methods, on all tasks."""

from pathlib import Path

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.claims import corrected
    from get.paper.rivals import claims_of, read_entries, write_claims
    from get.storage.reading import read_json

    claims = []
    for settings in snakemake.input.settings:
        entries = read_entries(settings, snakemake.input.costs)
        claims += claims_of(entries, read_json(settings)["reference"], Path(settings).stem)
    write_claims(corrected(claims), snakemake.params.caption, dict(snakemake.output.items()))
