# What the experiment will take on this machine, measured before it starts; no other rule asks for it.


rule plan:
    input:
        "<results>/settings/plan.json",
    output:
        csv=report(
            "<results>/plan.csv",
            caption="../report/caption.rst",
            category="Plan",
            labels={"plan": "all jobs"},
        ),
        md="<results>/plan.md",
    log:
        "<results>/logs/plan.log",
    conda:
        "../../envs/get.yaml"
    # all cores of this machine, which it uses as the jobs will
    threads: all_cores
    resources:
        **resources_of("costs"),
    params:
        cores=lambda wildcards, threads: threads,
        gpus=gpu_count(),
        caption=contents.captions()["plan"],
    script:
        "../scripts/plan.py"
