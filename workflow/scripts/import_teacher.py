"""Take a published teacher's weights out of its pickle."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.imports.teachers import import_teacher

    import_teacher(
        source=snakemake.input[0],
        sha256=snakemake.params.sha256,
        conditional=snakemake.params.conditional,
        shape=snakemake.params.shape,
        classes=snakemake.params.classes,
        output=snakemake.output[0],
    )
