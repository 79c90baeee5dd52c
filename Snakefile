# One-step diffusion distillation via deep equilibrium models: from real images to the paper's tables.
#
#   snakemake --cores all                                             the embedded experiment (config.yaml)
#   snakemake --cores all --configfile workflow/config/cifar10.yaml   the paper's experiment
#   snakemake --cores all results/table1.csv                          one target, with what it needs
#   snakemake --cores all results/plan.csv                            what all of it will take
#   snakemake --cores all tuning                                      learning rates of the students, tried alike
#   snakemake --cores all studies                                     what the paper lacks, about the solver and training
#   snakemake --cores all rivals                                      other one-step methods at equal budgets
from get.experiment import ConfigError, contents, text
from get.studies import load_experiment
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")


# --configfile would merge into this one, and another experiment's students would leak in
if not workflow.config_settings.configfiles:

    configfile: "config.yaml"


try:
    text.check_files(workflow.configfiles)
    text.check_options(workflow.config_settings.config_args)
    experiment = load_experiment(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/settings.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/rivals.smk"


rule all:
    default_target: True
    input:
        expand(
            "<results>/{table}.{format}",
            table=contents.tables(experiment),
            format=["csv", "md", "tex", "html"],
        ),
        expand(
            "<results>/figures/{figure}.{format}",
            figure=contents.figures(experiment),
            format=["pdf", "png", "html"],
        ),
        "<results>/reproduction.csv",
        "<results>/reproduction.html",
        "<results>/overview.html",
        expand(
            "<results>/scaling/{laws}",
            laws=contents.LAWS if contents.compared_laws(experiment) else [],
        ),
