"""Take torch-fidelity's Inception weights from the file that the config names."""

from get.runtime.log import logging_to

with logging_to(snakemake.log[0]):
    from get.imports.inception import import_inception

    import_inception(source=snakemake.input[0], sha256=snakemake.params.sha256, output=snakemake.output[0])
