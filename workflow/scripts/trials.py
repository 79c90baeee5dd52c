"""Write what trials of one key of training reached: table, words, figure."""

from get.paper.naming import distance_called
from get.runtime.log import job

with job(snakemake.log[0]), distance_called(snakemake.params.distance):
    from get.paper.tuning import read_trials, write_trials
    from get.storage.reading import read_json

    tried = read_trials(read_json(snakemake.input.settings))
    write_trials(tried, snakemake.params.caption, dict(snakemake.output.items()))
