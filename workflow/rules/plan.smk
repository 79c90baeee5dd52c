# What the experiment, or its rivals, will take on this machine, measured before it starts; no other rule asks for it.


rule plan:
    input:
        "<results>/settings/plan.json",
    output:
        csv=report(
            "<results>/{of}plan.csv",
            caption="../report/caption.rst",
            category="Plan",
            labels={"plan": "{of}all jobs"},
        ),
        md="<results>/{of}plan.md",
    log:
        "<results>/logs/{of}plan.log",
    wildcard_constraints:
        of="(rivals/)?",
    conda:
        "../../envs/get.yaml"
    # all cores of this machine, which it uses as the jobs will
    threads: all_cores
    resources:
        **resources_of("costs"),
    params:
        cores=lambda wildcards, threads: threads,
        gpus=gpu_count(),
        caption=contents.captions(experiment)["plan"],
    script:
        "../scripts/plan.py"
