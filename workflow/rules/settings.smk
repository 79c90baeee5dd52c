# Settings as files, for jobs below an ancient() input.
#
# ancient() says: that this input is newer re-runs nothing. So a shard that was made again re-trains nothing. But
# Snakemake does not look at the parameters of a job below one that has to run where all that lies between is
# ancient; two edits at once would leave stale results. A file is seen always.


rule settings:
    output:
        "<results>/settings/{settings}.json",
    log:
        "<results>/logs/settings/{settings}.log",
    wildcard_constraints:
        settings="|".join(
            [
                "costs|plan|scoring",
                f"students/({'|'.join(ALL_STUDENTS)})",
                rf"sampling/({'|'.join(ALL_STUDENTS)})/[1-9]\d*",
                f"studies/({'|'.join(STUDIES)})",
                f"studies-sampling/({'|'.join(SAMPLED)})",
                f"paper/(table({'|'.join(TABLES)})|reproduction|summary|{'|'.join([*FIGURES, *GRIDS, *SAME_NOISE])})",
            ]
        ),
    localrule: True
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **asks("light"),
    params:
        content=settings_of,
    shell:
        "python -c 'import sys; from get.files import write_text; write_text(*sys.argv[1:])'"
        " {output} {params.content:q} > {log} 2>&1"
