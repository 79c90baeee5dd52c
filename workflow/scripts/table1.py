"""Write Table 1."""

from get.files import read_json
from get.paper.tables import Entry, readable, table1, write_table
from get.runtime import logging_to

CAPTIONS = {
    "digits": (
        "One-step generation, digits 8x8 (the embedded experiment: no number here compares with CIFAR-10). "
        "FID in the features of a small classifier, against the train and the test split; ± is one standard "
        "deviation, over bootstrap resamples of the samples for one seed, over seeds for several. The test "
        "split has few images, which lifts every FID against it; digits are too few for good unconditional "
        "students."
    ),
    "cifar10": (
        "One-step generation, CIFAR-10. FID against the train and the test split; ± is one standard "
        "deviation, over bootstrap resamples of the samples for one seed, over seeds for several. "
        "The paper does not say against which split its FID is."
    ),
}

with logging_to(snakemake.log[0]):
    files, entries = iter(snakemake.input), []
    for method, paths in snakemake.params.entries:
        entries.append(Entry(method, [read_json(next(files)) for _ in paths]))
    data = snakemake.params.data
    table = table1(entries, with_published=data == "cifar10")
    write_table(table, readable(table), CAPTIONS[data], "tab:one-step", dict(snakemake.output.items()))
