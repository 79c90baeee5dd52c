"""Write the image store of CIFAR-10."""

from get.log import logging_to

with logging_to(snakemake.log[0]):
    from get.data.cifar10 import write_cifar10

    write_cifar10(snakemake.output[0], archive=snakemake.input[0], sha256=snakemake.params.sha256)
