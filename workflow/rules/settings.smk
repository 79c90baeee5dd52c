# Settings of jobs as files: get/experiment/settings.py says what is in them, and why they are files.


rule settings:
    output:
        "<results>/settings/{settings}.json",
    log:
        "<results>/logs/settings/{settings}.log",
    wildcard_constraints:
        settings=settings.settings_pattern(experiment),
    localrule: True
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        content=lambda wildcards: settings.settings_text(experiment, wildcards.settings),
    shell:
        "python -c 'import sys; from get.storage.atomic import write_text; write_text(*sys.argv[1:])'"
        " {output} {params.content:q} > {log} 2>&1"
