# Trials of one key of training, the same for several students: `snakemake --cores all tuning`. No other rule asks for them.


rule tuning:
    input:
        lambda wildcards: tuning.outputs(experiment),


use rule score_student as score_trial with:
    output:
        # nobody asks for the samples
        samples=temp("<results>/samples/students/{student}/seed{seed}/{step}.h5"),
        scores="<results>/scores/students/{student}/seed{seed}/{step}.json",
    log:
        "<results>/logs/score_trial/{student}-seed{seed}-{step}.log",
    benchmark:
        "<results>/benchmarks/score_trial/{student}-seed{seed}-{step}.jsonl"
    wildcard_constraints:
        student=one_of(tuning.names(experiment)),


rule trials:
    input:
        settings="<results>/settings/tuning/{key}.json",
        scores=lambda wildcards: tuning.score_files(experiment),
    output:
        csv="<results>/tuning/{key}.csv",
        md="<results>/tuning/{key}.md",
        html=report(
            "<results>/tuning/{key}.html",
            caption="../report/caption.rst",
            category="8 Tuning and studies",
            labels={"study": "Tuning of {key}"},
        ),
        pdf="<results>/tuning/{key}.pdf",
        png="<results>/tuning/{key}.png",
    log:
        "<results>/logs/tuning/{key}.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: tuning.caption(experiment),
    script:
        "../scripts/trials.py"
