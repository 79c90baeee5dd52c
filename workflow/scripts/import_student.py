"""Take a published student's weights out of its checkpoint."""

from get.runtime.log import job

with job(snakemake.log[0]):
    from get.imports.students import import_student

    import_student(
        source=snakemake.input.source,
        sha256=snakemake.params.sha256,
        settings=snakemake.input.settings,
        seed=int(snakemake.wildcards.seed),
        step=int(snakemake.wildcards.step),
        shape=snakemake.params.shape,
        classes=snakemake.params.classes,
        output=snakemake.output[0],
    )
