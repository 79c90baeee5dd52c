"""Write the image store of the digits."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.data.digits import write_digits

    write_digits(
        snakemake.output[0], test_fraction=snakemake.params.test_fraction, seed=snakemake.params.seed
    )
