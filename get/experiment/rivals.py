"""The students of `snakemake --cores all rivals`: methods at several budgets, after trials.

A method is trained for every set of pairs (its teacher's task), with every seed. Its learning rate is the
best of a few, each tried in a short training with a seed of its own, and so with noise that no table shows.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from get.experiment.config import Config
from get.experiment.config.errors import check
from get.experiment.config.rivals import Method, Rivals
from get.experiment.config.students import Student, check_student
from get.experiment.contents import Content, about_data, captions, row
from get.experiment.experiment import Experiment
from get.experiment.settings import Settings, costs_of, student_settings
from get.experiment.tuning import spelled
from get.student import objectives


class Run(NamedTuple):
    """What a method has at one budget: a student at a step."""

    budget: float
    student: str
    step: int


class Rival(NamedTuple):
    """A method on a set of pairs: its trials, students by their learning rate, and its runs by budget."""

    name: str  # of what it costs, and of its students, but for a budget or the factor of a trial
    method: str
    pairs: str
    trials: Mapping[str, float]
    runs: list[Run]

    @property
    def students(self) -> list[str]:
        """All students, of trials and of runs."""
        return list(dict.fromkeys([*self.trials, *(run.student for run in self.runs)]))


def rivals_in(config: Config, rivals: Rivals) -> list[Rival]:
    """Return all methods on all sets of pairs."""
    return [
        _rival(rivals, name, method, pairs)
        for pairs in rivals.pairs
        for name, method in rivals.methods.items()
        if method.pairs is None or pairs in method.pairs
    ]


def _rival(rivals: Rivals, name: str, method: Method, pairs: str) -> Rival:
    base = f"rival-{name}-{pairs}"
    trials = {
        f"{base}-try{_thousandths(factor)}": float(f"{method.training.lr * factor:.3g}")
        for factor in method.rates or rivals.rates
    }
    runs = [
        Run(budget, f"{base}-at{_thousandths(budget)}" if method.scaled else base, steps_of(method, budget))
        for budget in method.budgets or rivals.budgets
    ]
    return Rival(base, name, pairs, trials, runs)


def _thousandths(value: float) -> str:
    """Return a name of a share or factor, so that another one among them renames none."""
    return spelled(f"{1000 * value:g}")


def steps_of(method: Method, budget: float) -> int:
    """Return how many steps a method takes in a share of the reference budget."""
    return max(1, round(method.steps * budget))


def rivals_of(experiment: Experiment) -> Rivals:
    """Return what the config compares; raises `ConfigError` if it is nothing."""
    rivals = experiment.config.rivals
    check(rivals, "there is no key rivals; config.yaml has one to start from")
    assert rivals
    return rivals


def tasks(experiment: Experiment) -> list[str]:
    """Return the sets of pairs on which methods are compared, if the config has any."""
    rivals = experiment.config.rivals
    return rivals.pairs if rivals else []


def names(experiment: Experiment) -> list[str]:
    """Return the names of all students of the rivals, if the config has any."""
    rivals = experiment.config.rivals
    found = rivals_in(experiment.config, rivals) if rivals else []
    return [name for rival in found for name in rival.students]


def students(config: Config, rivals: Rivals) -> dict[str, Student]:
    """Return all students by name: those of trials with their rates, the others with the method's own."""
    found: dict[str, Student] = {}
    for rival in rivals_in(config, rivals):
        method = rivals.methods[rival.method]
        steps, seeds = [steps_of(method, rivals.trial)], [rivals.trial_seed]
        clash = ", ".join(name for name in rival.students if name in found)
        check(
            not clash, f"rivals.methods.{rival.method}: another one makes students called {clash}; rename it"
        )
        for name, rate in rival.trials.items():
            found[name] = _student(config, method, rival.pairs, rivals.trial, steps, seeds, rate)
        for run in rival.runs:
            alike = [other for other in rival.runs if other.student == run.student]
            milestones = sorted({other.step for other in alike})
            budget = run.budget if method.scaled else 1.0
            found[run.student] = _student(config, method, rival.pairs, budget, milestones, rivals.seeds)
    return found


def students_beside(config: Config, others: Iterable[str] = ()) -> dict[str, Student]:
    """Return the students of the rivals, if the config has any; raises `ConfigError` where names clash."""
    found = students(config, config.rivals) if config.rivals else {}
    for name, student in found.items():
        check(name not in {*config.students, *others}, f"students.{name}: `rivals` makes one, too")
        check_student(student, f"{name} (rivals.methods)", config)
    return found


def _student(
    config: Config,
    method: Method,
    pairs: str,
    budget: float,
    milestones: list[int],
    seeds: list[int],
    rate: float | None = None,
) -> Student:
    training, model = method.training.settings(), method.model
    changes = {key: max(1, round(training[key] * budget)) for key in method.scaled}
    if rate is not None:
        changes["lr"] = rate
    if not config.teachers[config.pairs[pairs].teacher].conditional:
        model = model.model_copy(update={"conditioning": "none"})
    return Student(
        label=method.label,
        pairs=pairs,
        model=model,
        training=method.training.model_copy(update=changes),
        milestones=milestones,
        seeds=seeds,
    )


def trials_of(experiment: Experiment) -> dict[str, Mapping[str, float]]:
    """Return the trials of every student whose learning rate is chosen, and the rate of each."""
    rivals = experiment.config.rivals
    found = rivals_in(experiment.config, rivals) if rivals else []
    return {run.student: rival.trials for rival in found for run in rival.runs}


def seeds_by_use(experiment: Experiment) -> tuple[list[int], list[int]]:
    """Return the seeds whose samples are kept (those of the first are shown), and the others."""
    rivals = experiment.config.rivals
    return (rivals.seeds[:1], [*rivals.seeds[1:], rivals.trial_seed]) if rivals else ([], [])


def trial_scores(experiment: Experiment, student: str) -> list[str]:
    """Return the scores of the trials that decide the learning rate of a student."""
    seed, students = rivals_of(experiment).trial_seed, experiment.all_students
    return [
        experiment.run_file(name, seed, students[name].shown_step, "scores", "json")
        for name in trials_of(experiment)[student]
    ]


def rates(experiment: Experiment, pairs: str) -> Content:
    """Return what table and figure of the trials on a set of pairs show: a row for each."""
    rivals, students = rivals_of(experiment), experiment.all_students
    rows = [
        {
            **row(experiment, trial, students[trial].shown_step),
            "tried_for": rival.method,
            "value": rate,
            "own": rivals.methods[rival.method].training.lr,
            "settings": f"{experiment.results}/settings/students/{rival.runs[-1].student}.json",
        }
        for rival in rivals_in(experiment.config, rivals)
        for trial, rate in rival.trials.items()
        if rival.pairs == pairs
    ]
    return {"part": "rivals.methods", "key": "lr", "rows": rows}


def rate_scores(experiment: Experiment, pairs: str) -> list[str]:
    """Return the scores of the trials on a set of pairs."""
    return [path for entry in rates(experiment, pairs)["rows"] for path in entry["scores"]]


def candidates(experiment: Experiment, student: str) -> Settings:
    """Return for every trial of a student the settings that it would have, and those of the trial itself."""
    settings, trials = student_settings(experiment, student), trials_of(experiment)[student]
    rivals = rivals_of(experiment)
    return {
        # read by nobody: other ones are other trials
        "seed": rivals.trial_seed,
        "step": experiment.all_students[next(iter(trials))].shown_step,
        "candidates": [
            {**settings, "training": {**settings["training"], "lr": rate}} for rate in trials.values()
        ],
        "trials": [student_settings(experiment, trial) for trial in trials],
    }


# ------------------------------------------------------------------------------------- what is shown of them


def content(experiment: Experiment, pairs: str) -> Content:
    """Return what the table and the figures of a set of pairs show."""
    rivals = rivals_of(experiment)
    return {
        "reference": rivals.reference,
        "nfe": experiment.evaluations(pairs),
        "teacher": experiment.pairs[pairs].teacher,
        "rows": list(_rows(experiment, rivals, pairs)),
    }


def _rows(experiment: Experiment, rivals: Rivals, pairs: str) -> Iterator[Content]:
    for rival in rivals_in(experiment.config, rivals):
        if rival.pairs != pairs:
            continue
        method = rivals.methods[rival.method]
        training = method.training.decisive()
        learns = "pairs" in objectives.needs(training)
        about = {
            "method": rival.method,
            "kind": kind_of(method),
            "from_teacher": method.training.init == "teacher",
            "pairs": (method.training.pairs or experiment.pairs[pairs].count) if learns else 0,
            "rates": list(rival.trials.values()),
        }
        for run in rival.runs:
            settings = f"{experiment.results}/settings/students/{run.student}.json"
            samples = experiment.run_file(run.student, rivals.seeds[0], run.step, "samples", "h5")
            found = {"costs_of": rival.name, "settings": settings, "samples": samples}
            yield {**row(experiment, run.student, run.step), **found, **about, "budget": run.budget}


def kind_of(method: Method) -> str:
    """Return what sort of method one is: 'get', 'vit', or for a U-Net its objective."""
    if method.model.family != "unet":
        return method.model.family
    name = method.training.objective_name
    if name == "consistency":
        return "distillation" if method.training.settings()["distillation"] else "training"
    return name


def costs_settings(experiment: Experiment) -> Settings:
    """Return what decides the costs of all methods, measured side by side, and of their teachers."""
    evaluation, rivals = experiment.config.evaluation, rivals_of(experiment)
    students = {rival.name: rival.runs[-1].student for rival in rivals_in(experiment.config, rivals)}
    teachers = {experiment.pairs[pairs].teacher for pairs in rivals.pairs}
    return {
        "students": {name: costs_of(experiment, student) for name, student in students.items()},
        "teachers": {name: experiment.network_of(experiment.teachers[name]) for name in sorted(teachers)},
        "evaluation": {"batch": evaluation.batch, "iterations": [], "precision": evaluation.precision},
        "threads": experiment.jobs["student"].threads,
        "device": experiment.device("costs"),
    }


def budgets_settings(experiment: Experiment) -> Settings:
    """Return what decides how many steps each method takes in the reference budget, and how many it has."""
    rivals = rivals_of(experiment)
    methods: dict[str, Settings] = {}
    for rival in rivals_in(experiment.config, rivals):
        steps = {"steps": rivals.methods[rival.method].steps}
        methods.setdefault(rival.method, steps | costs_of(experiment, rival.runs[-1].student))
    return {"reference": rivals.reference, "methods": methods}


def outputs(experiment: Experiment) -> list[str]:
    """Return all that the rule `rivals` makes."""
    results, pairs = experiment.results, rivals_of(experiment).pairs
    figures = [f"{name}{part}" for name in pairs for part in ("", "-rates", "-samples")]
    tables = [*(f"{name}{part}" for name in pairs for part in ("", "-rates")), "claims"]
    return [
        f"{results}/rivals/budgets.md",
        *(f"{results}/rivals/{name}.{format}" for name in tables for format in ("csv", "md", "html")),
        *(f"{results}/rivals/{name}.{format}" for name in figures for format in ("pdf", "png")),
    ]


def score_files(experiment: Experiment, *pairs: str) -> list[str]:
    """Return the scores that the tables of these sets of pairs read; without any, of all."""
    return list(dict.fromkeys(path for entry in _entries(experiment, *pairs) for path in entry["scores"]))


def settings_files(experiment: Experiment, *pairs: str) -> list[str]:
    """Return the settings of the students of these sets of pairs; without any, of all."""
    return list(dict.fromkeys(entry["settings"] for entry in _entries(experiment, *pairs)))


def sample_files(experiment: Experiment, *pairs: str) -> list[str]:
    """Return the samples that are shown of each method, at its largest budget."""
    return list({entry["method"]: entry["samples"] for entry in _entries(experiment, *pairs)}.values())


def documents(experiment: Experiment) -> dict[str, list[str]]:
    """Return the files that each table and figure is made from."""
    costs = f"{experiment.results}/rivals/costs.json"
    found = {"rivals/claims": [costs, *score_files(experiment)]}
    for pairs in rivals_of(experiment).pairs:
        found[f"rivals/{pairs}-rates"] = rate_scores(experiment, pairs)
        found[f"rivals/{pairs}"] = [costs, *score_files(experiment, pairs)]
        found[f"rivals/{pairs}-samples"] = sample_files(experiment, pairs)
    return found


def _entries(experiment: Experiment, *pairs: str) -> list[Content]:
    return [entry for name in pairs or tasks(experiment) for entry in content(experiment, name)["rows"]]


def caption(experiment: Experiment, name: str = "rivals") -> str:
    """Return the caption of the tables and figures, with what is particular to the data."""
    data: dict[str, Any] = about_data(experiment)
    return " ".join([captions(experiment)[name], data["all"], data["tables"]])
