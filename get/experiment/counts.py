"""How many jobs of each rule an experiment takes from nothing, and how much work each of them does.

It follows from the config alone; tests/test_plan.py compares the numbers of jobs with Snakemake's. What one
unit of work costs is measured by `get.costs.units`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from get.experiment.config.files import sources
from get.experiment.contents import FIGURES, compared_laws, figures, grids, same_noise_figures, tables
from get.experiment.experiment import HELD_OUT_PART, Experiment
from get.experiment.rivals import rivals_in, rivals_of, seeds_by_use
from get.experiment.rivals import students as students_of_rivals
from get.experiment.settings import costs_of, sampling_settings
from get.teacher import samplers

RULES = {  # in their order: the kind of job, and the stage; the jobs of a stage run side by side
    "costs": ("costs", "costs"),
    "rival_costs": ("costs", "costs"),
    "settings": ("light", "data"),
    "download": ("light", "data"),
    "make_data": ("light", "data"),
    "import_extractor": ("light", "data"),
    "train_extractor": ("classifier", "data"),
    "reference_statistics": ("score", "data"),
    "import_teacher": ("light", "teachers"),
    "train_teacher": ("teacher", "teachers"),
    "generate_pairs": ("pairs", "pairs"),
    "make_manifest": ("light", "pairs"),
    "import_student": ("light", "students"),
    "train_student": ("student", "students"),
    "choose_rate": ("light", "students"),
    "score_student": ("score", "samples"),
    "sample_teacher": ("light", "samples"),
    "few_evaluations": ("pairs", "samples"),
    "sample_baseline": ("light", "samples"),
    "score": ("score", "samples"),
    "score_rival": ("score", "samples"),
    "score_rival_alone": ("score", "samples"),
    "table": ("light", "paper"),
    "figure": ("light", "paper"),
    "figure4": ("light", "paper"),
    "same_noise": ("sample", "paper"),
    "reproduction": ("light", "paper"),
    "scaling": ("light", "paper"),
    "summary": ("light", "paper"),
    "rival_budgets": ("light", "paper"),
    "rival_rates": ("light", "paper"),
    "rival_table": ("light", "paper"),
    "rival_claims": ("light", "paper"),
}
SAMPLED = ("score_student", "score_rival", "score_rival_alone")  # whose jobs sample before they score
KEPT = ("score_student", "score_rival")  # which keep the samples
IN_TRAINING = ("checkpointing", "implicit", "accumulate")  # keys that steps depend on, which costs leaves out
COSTS_CALLS = 8  # of each step whose costs are measured: to warm up, timed, profiled (`costs.measure`)
EXTRACTOR_STEP = 3  # forward passes that a step takes as long as: the backward pass counts twice
CHECKPOINTED = 1.2  # plain steps that one in O(1) memory costs: most of its forward pass comes twice
LABEL = 8  # bytes


class Unit(NamedTuple):
    """A unit of work: the function of `costs.units` that times it, the kind of job, and what it is of.

    That is the name of a student, a teacher, a set of pairs or, where a process starts, what it imports.
    """

    name: str
    kind: str
    of: str = ""


class Work(NamedTuple):
    """How many of each of the seconds ('step', 'image', ...) that the timing of a unit gives."""

    unit: Unit
    amounts: Mapping[str, float]


@dataclass(frozen=True)
class Count:
    """Alike jobs.

    Attributes:
        rule: of the workflow; what: the row of the plan; jobs: how many.
        work: of each job, after its start; None if it is not known.
        disk: bytes that each job leaves, beside those of models.
        chain: rows of one chain run one after the other.
    """

    rule: str
    what: str
    jobs: int = 1
    work: tuple[Work, ...] | None = ()
    disk: float = 0
    chain: str | None = None

    @property
    def kind(self) -> str:
        """The kind of job, of `jobs` in the config."""
        return RULES[self.rule][0]

    @property
    def stage(self) -> str:
        """The stage of the workflow."""
        return RULES[self.rule][1]


FEATURES, SCORING = Unit("features", "score"), Unit("scoring", "score")


def counts(experiment: Experiment) -> list[Count]:
    """Return all jobs of an experiment of which nothing is made yet, in the order of `RULES`."""
    parts = (data_counts, teacher_counts, pair_counts, student_counts, paper_counts)
    costs = Count("costs", "all students", work=costs_work(experiment, experiment.students))
    return in_order([costs, *(count for part in parts for count in part(experiment))])


def in_order(found: Iterable[Count]) -> list[Count]:
    """Return counts in the order of `RULES`."""
    order = list(RULES)
    return sorted(found, key=lambda count: order.index(count.rule))


def training(step: Unit, steps: int) -> tuple[Work, ...]:
    """Return the work of so many steps, the first of which may take longer."""
    return (Work(step, {"step": steps, "first": 1}),)


def score_count(experiment: Experiment, what: str) -> Count:
    """Return the scores of what is no student."""
    return Count("score", what, work=score_work(experiment))


def score_work(experiment: Experiment, variants: int = 1) -> tuple[Work, ...]:
    """Return the work of scoring samples of so many variants."""
    features = Work(FEATURES, {"image": variants * experiment.config.evaluation.samples})
    return features, Work(SCORING, {"variant": variants, "headline": 1})


def data_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield settings files, downloads, the real images and baselines, and their features."""
    config, students = experiment.config, experiment.students.values()
    train, test = config.data.counts
    # Settings: of students, their samplings, tables and figures, reproduction, summary, scoring, costs
    milestones = sum(len(student.milestones) for student in students)
    shown = len(tables(experiment)) + len(figures(experiment)) + bool(compared_laws(experiment)) + 4
    yield Count("settings", "all", len(students) + milestones + shown)
    # Downloads, but of teachers and extractors that nothing uses
    learned = {experiment.pairs[name].teacher for name in experiment.used_pairs}
    unused = {f"teachers.{name}.source" for name in experiment.teachers.keys() - learned}
    unused |= {"features.source"} if config.features.trained else set()
    unused |= {key for key in sources(config) if key.startswith("rivals.")}
    wanted = [source for key, source in sources(config).items() if key not in unused]
    for url in dict.fromkeys(source.url for source in wanted if not source.path):
        yield Count("download", str(url), work=None)
    # Images and baselines
    pixels = math.prod(config.data.shape)
    yield Count("make_data", config.data.name, disk=(train + test) * (pixels + LABEL + 1))  # and the split
    for kind, number in (("real", test), ("noise", config.evaluation.samples)):
        yield Count("sample_baseline", kind, disk=number * (pixels + LABEL))
        yield score_count(experiment, kind)  # of real images, which may be fewer, as of the others
    # Features, and of each split their mean and covariance
    width = config.features.width
    if trained := config.features.trained:
        images = EXTRACTOR_STEP * trained.steps * trained.training.batch
        yield Count("train_extractor", config.features.extractor, work=(Work(FEATURES, {"image": images}),))
    else:
        yield Count("import_extractor", config.features.extractor)
    disk = 4 * (train + test) * width + 2 * 8 * width * (width + 1)
    work = (Work(FEATURES, {"image": train + test}),)
    yield Count("reference_statistics", "both splits", work=work, disk=disk)


def teacher_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the teachers from whose pairs any student learns, trained or imported."""
    for name, pairs in {experiment.pairs[pairs].teacher: pairs for pairs in experiment.used_pairs}.items():
        steps = experiment.teachers[name].steps
        if steps:
            yield Count("train_teacher", name, work=training(Unit("teacher_step", "teacher", name), steps))
        else:
            yield Count("import_teacher", name, work=(Work(Unit("evaluation", "pairs", pairs), {}),))


def pair_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the shards of pairs, their manifests, and the samples and scores of the teachers."""
    pixels = math.prod(experiment.config.data.shape)
    for name in experiment.used_pairs:
        pairs = experiment.pairs[name]
        evaluation = Unit("evaluation", "pairs", name)
        for part, number, jobs in (("train", pairs.count, pairs.shards), (HELD_OUT_PART, pairs.held_out, 1)):
            batches = math.ceil(number / pairs.sampler.batch)  # whole ones, of which the last may be cut
            images = batches * pairs.sampler.batch / jobs * experiment.evaluations(name)
            disk = number / jobs * (2 * 2 * pixels + LABEL)  # noise and image in float16
            yield Count(
                "generate_pairs", f"{name}, {part}", jobs, (Work(evaluation, {"image": images}),), disk
            )
        yield Count("make_manifest", name)
        yield Count("sample_teacher", name, disk=experiment.config.evaluation.samples * (pixels + LABEL))
        yield score_count(experiment, f"teacher {name}")
        samples, batch = experiment.config.evaluation.samples, experiment.config.evaluation.batch
        for few, sampler in experiment.few_evaluations.items():
            images = math.ceil(samples / batch) * batch * samplers.evaluations(sampler)
            work, disk = Work(evaluation, {"image": images}), samples * (pixels + LABEL)
            yield Count("few_evaluations", f"{name}, {few}", work=(work,), disk=disk)
            yield score_count(experiment, f"teacher {name}, {few}")


def student_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the milestones of students, their samples and scores."""
    for name, student in experiment.students.items():
        if student.source:
            sample = Unit("sampling", "sample", alike(experiment, name))
            yield Count(
                "import_student",
                f"{name}, step {student.shown_step}",
                len(student.seeds),
                (Work(sample, {}),),
            )
        else:
            yield from training_counts(experiment, name)
        for step in student.milestones:
            yield student_score_count(experiment, "score_student", name, step, len(student.seeds))


def training_counts(experiment: Experiment, name: str) -> Iterator[Count]:
    """Yield the milestones of a student; those of a run form a chain."""
    student = experiment.all_students[name]
    step = Unit("student_step", "student", alike(experiment, name, True, IN_TRAINING))
    for before, stop in pairwise([0, *student.milestones]):
        work = training(step, stop - before)
        yield Count("train_student", f"{name}, step {stop}", len(student.seeds), work, chain=name)


def student_score_count(experiment: Experiment, rule: str, name: str, step: int, jobs: int) -> Count:
    """Return the samples and scores of a student at a step."""
    student, iterations = experiment.all_students[name], variants(experiment, name, step)
    samples, pixels = experiment.config.evaluation.samples, math.prod(experiment.config.data.shape)
    # Sampling, and the error on the held-out pairs
    images = samples + experiment.pairs[student.pairs].held_out
    unit = Unit("sampling", "sample", alike(experiment, name))
    sampling = Work(unit, {"image": images, "iteration": images * max(iterations)})
    work = (sampling, *score_work(experiment, len(iterations)))
    disk = samples * (len(iterations) * pixels + LABEL) if rule in KEPT else 0
    return Count(rule, f"{name}, step {step}", jobs, work, disk)


def variants(experiment: Experiment, name: str, step: int) -> list[int]:
    """Return the iterations of the variants in the samples of a student; 0 of one without a state."""
    trained = experiment.all_students[name].model.iterations
    if trained is None:
        return [0]
    others = sampling_settings(experiment, name, str(step))["iterations"]
    return [trained, trained, *(number for number in others if number != trained)]


def alike(experiment: Experiment, name: str, trained: bool = False, keys: Iterable[str] = ()) -> str:
    """Return the first student of this one's description; if `trained`, whose training costs as much, too.

    What both cost is measured once. `keys` are of training, and must have the same values.
    """

    def cause(other: str) -> list[Any]:
        student = experiment.all_students[other]
        training = student.training.settings()
        conditional = experiment.teacher_of(student).conditional
        costs = costs_of(experiment, other) if trained else None
        return [student.model, conditional, costs, *(training.get(key) for key in keys)]

    return next(other for other in experiment.all_students if cause(other) == cause(name))


def costs_work(experiment: Experiment, names: Iterable[str]) -> tuple[Work, ...]:
    """Return the work of measuring costs of students; what they share is measured once."""
    evaluation, work = experiment.config.evaluation, dict[Unit, Mapping[str, float]]()
    calls = COSTS_CALLS * evaluation.batch
    for name in names:
        trained = experiment.all_students[name].model.iterations
        steps = 1 + CHECKPOINTED if trained else 1
        first = alike(experiment, name, True)
        step = Unit("whole_step" if differs(experiment, first) else "student_step", "student", first)
        work[step] = {"step": COSTS_CALLS * steps, "first": steps}
        iterations = {trained, *evaluation.iterations} if trained else {0}
        sample = Unit("sampling", "sample", alike(experiment, name))
        work[sample] = {"image": calls * len(iterations), "iteration": calls * sum(iterations)}
    return tuple(Work(*item) for item in work.items())


def differs(experiment: Experiment, name: str) -> bool:
    """Return whether a training of a student may take other steps than the job costs does."""
    training = experiment.all_students[name].training.settings()
    return experiment.jobs["student"].gpu > 1 or any(training.get(key) for key in IN_TRAINING)


def paper_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield tables, figures, claims and the overview."""
    names = {"table": tables(experiment), "figure": FIGURES, "figure4": grids(experiment)}
    names |= {"same_noise": same_noise_figures(experiment)}
    laws = ["scaling"] if compared_laws(experiment) else []
    names |= {rule: [rule] for rule in ("reproduction", *laws, "summary")}
    for rule, each in names.items():
        yield from (Count(rule, name) for name in each)


def rival_counts(experiment: Experiment) -> list[Count]:
    """Return all jobs of the rivals, beside images, teachers and pairs, in the order of `RULES`.

    Raises:
        ConfigError: the config has none.
    """
    rivals = rivals_of(experiment)
    found, methods = list[Count](), rivals_in(experiment.config, rivals)
    # Trainings: trials, whose scores choose learning rates, and those proper
    names = list(students_of_rivals(experiment.config, rivals))
    for name in names:
        student = experiment.all_students[name]
        found.extend(training_counts(experiment, name))
        for rule, seeds in zip(("score_rival", "score_rival_alone"), seeds_by_use(experiment), strict=True):
            jobs = len(set(student.seeds) & set(seeds))
            if jobs:
                found += [
                    student_score_count(experiment, rule, name, step, jobs) for step in student.milestones
                ]
    runs = {run.student: run for rival in methods for run in rival.runs}
    found.append(Count("choose_rate", "all", len(runs)))
    # Costs, and what shows them
    ends = [rival.runs[-1] for rival in methods]
    found.append(
        Count("rival_costs", "all methods", work=costs_work(experiment, [end.student for end in ends]))
    )
    found += [Count(rule, pairs) for rule in ("rival_rates", "rival_table") for pairs in rivals.pairs]
    found += [Count("rival_claims", "all"), Count("rival_budgets", "all")]
    samplings = sum(len(experiment.all_students[name].milestones) for name in names)
    settings = len(names) + samplings + 2 * len(rivals.pairs) + 3  # and of scoring, costs, budgets
    return in_order([*found, Count("settings", "all", settings)])
