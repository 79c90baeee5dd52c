# One-step methods at equal budgets: `snakemake --cores all rivals`. No other rule asks for them.
#
# Trials are students like others. Their scores choose the learning rate in the settings of the students proper; once
# chosen, it is chosen again only where the trials would be others, not where they were merely scored anew.


rule rivals:
    input:
        lambda wildcards: rivals.outputs(experiment),


use rule score_student as score_rival with:
    output:
        samples="<results>/samples/students/{student}/seed{seed}/{step}.h5",
        scores="<results>/scores/students/{student}/seed{seed}/{step}.json",
    log:
        "<results>/logs/score_rival/{student}-seed{seed}-{step}.log",
    benchmark:
        "<results>/benchmarks/score_rival/{student}-seed{seed}-{step}.jsonl"
    wildcard_constraints:
        student=one_of(rivals.names(experiment)),
        seed=one_of(map(str, rivals.seeds_by_use(experiment)[0])),


use rule score_rival as score_rival_alone with:
    output:
        # nobody asks for samples of trials, nor for those of seeds that are not shown
        samples=temp("<results>/samples/students/{student}/seed{seed}/{step}.h5"),
        scores="<results>/scores/students/{student}/seed{seed}/{step}.json",
    wildcard_constraints:
        student=one_of(rivals.names(experiment)),
        seed=one_of(map(str, rivals.seeds_by_use(experiment)[1])),
    # trials first: other trainings wait for what they choose
    priority: 85


rule choose_rate:
    input:
        trials="<results>/settings/rivals-trials/{student}.json",
        scores=lambda wildcards: [
            ancient_if(settings_of(wildcards.student), path)
            for path in rivals.trial_scores(experiment, wildcards.student)
        ],
    output:
        "<results>/settings/students/{student}.json",
    log:
        "<results>/logs/choose_rate/{student}.log",
    wildcard_constraints:
        student=one_of(rivals.trials_of(experiment)),
    priority: 85
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    script:
        "../scripts/choose_rate.py"


use rule trials as rival_rates with:
    input:
        settings="<results>/settings/rivals-rates/{pairs}.json",
        scores=lambda wildcards: rivals.rate_scores(experiment, wildcards.pairs),
        rates=lambda wildcards: rivals.settings_files(experiment, wildcards.pairs),
    output:
        csv="<results>/rivals/{pairs}-rates.csv",
        md="<results>/rivals/{pairs}-rates.md",
        html=report(
            "<results>/rivals/{pairs}-rates.html",
            caption="../report/caption.rst",
            category="9 Rivals",
            labels={"task": "{pairs}", "shows": "learning rates tried"},
        ),
        pdf="<results>/rivals/{pairs}-rates.pdf",
        png="<results>/rivals/{pairs}-rates.png",
    log:
        "<results>/logs/rivals/{pairs}-rates.log",
    wildcard_constraints:
        pairs=one_of(rivals.tasks(experiment)),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: rivals.caption(experiment, "rival-rates"),


rule rival_costs:
    input:
        "<results>/settings/rivals-costs.json",
    output:
        "<results>/rivals/costs.json",
    log:
        "<results>/logs/rivals/costs.log",
    benchmark:
        "<results>/benchmarks/rivals/costs.jsonl"
    priority: 1000
    conda:
        "../../envs/get.yaml"
    # all cores of this machine, that nothing else runs meanwhile
    threads: all_cores
    resources:
        **resources_of("costs"),
    script:
        "../scripts/costs.py"


rule rival_budgets:
    input:
        "<results>/settings/rivals-budgets.json",
    output:
        "<results>/rivals/budgets.md",
    log:
        "<results>/logs/rivals/budgets.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    script:
        "../scripts/rival_budgets.py"


rule rival_table:
    input:
        settings="<results>/settings/rivals/{pairs}.json",
        costs="<results>/rivals/costs.json",
        scores=lambda wildcards: rivals.score_files(experiment, wildcards.pairs),
        rates=lambda wildcards: rivals.settings_files(experiment, wildcards.pairs),
        samples=lambda wildcards: rivals.sample_files(experiment, wildcards.pairs),
    output:
        csv="<results>/rivals/{pairs}.csv",
        md="<results>/rivals/{pairs}.md",
        html=report(
            "<results>/rivals/{pairs}.html",
            caption="../report/caption.rst",
            category="9 Rivals",
            labels={"task": "{pairs}", "shows": "methods"},
        ),
        pdf="<results>/rivals/{pairs}.pdf",
        png="<results>/rivals/{pairs}.png",
        samples_pdf="<results>/rivals/{pairs}-samples.pdf",
        samples_png="<results>/rivals/{pairs}-samples.png",
    log:
        "<results>/logs/rivals/{pairs}.log",
    wildcard_constraints:
        pairs=one_of(rivals.tasks(experiment)),
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: rivals.caption(experiment),
    script:
        "../scripts/rival_table.py"


rule rival_claims:
    input:
        settings=expand(
            "<results>/settings/rivals/{pairs}.json",
            pairs=rivals.tasks(experiment),
        ),
        costs="<results>/rivals/costs.json",
        scores=lambda wildcards: rivals.score_files(experiment),
        rates=lambda wildcards: rivals.settings_files(experiment),
    output:
        csv="<results>/rivals/claims.csv",
        md="<results>/rivals/claims.md",
        html=report(
            "<results>/rivals/claims.html",
            caption="../report/caption.rst",
            category="9 Rivals",
            labels={"task": "all", "shows": "claims"},
        ),
    log:
        "<results>/logs/rivals/claims.log",
    conda:
        "../../envs/get.yaml"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        distance=experiment.config.features.distance,
        caption=lambda wildcards: rivals.caption(experiment),
    script:
        "../scripts/rival_claims.py"
