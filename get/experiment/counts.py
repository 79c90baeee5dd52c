"""How many jobs of each rule an experiment takes from nothing, and how much work each of them does.

It follows from the config alone; tests/test_plan.py compares the numbers of jobs with Snakemake's. What one
unit of work costs is measured by `get.costs.units`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from get.data import sets
from get.experiment.checks import sources
from get.experiment.config import Classifier
from get.experiment.contents import FIGURES, TABLES, figures, grids, same_noise_figures
from get.experiment.experiment import HELD_OUT_PART, Experiment
from get.experiment.settings import DECISIVE, sampling_settings
from get.storage.hashing import canonical_json

Settings = dict[str, Any]

RULES = {  # in their order: the kind of job, and the stage; the jobs of a stage run side by side
    "costs": ("costs", "costs"),
    "settings": ("light", "data"),
    "download": ("light", "data"),
    "make_data": ("light", "data"),
    "import_inception": ("light", "data"),
    "train_classifier": ("classifier", "data"),
    "reference_statistics": ("score", "data"),
    "import_teacher": ("light", "teachers"),
    "train_teacher": ("teacher", "teachers"),
    "generate_pairs": ("pairs", "pairs"),
    "make_manifest": ("light", "pairs"),
    "import_student": ("light", "students"),
    "train_student": ("student", "students"),
    "sample_student": ("sample", "samples"),
    "sample_teacher": ("light", "samples"),
    "sample_baseline": ("light", "samples"),
    "score": ("score", "samples"),
    "table": ("light", "paper"),
    "figure": ("light", "paper"),
    "figure4": ("light", "paper"),
    "same_noise": ("sample", "paper"),
    "reproduction": ("light", "paper"),
    "summary": ("light", "paper"),
}
INCEPTION = (2048, 1008)  # its features and its logits
PUBLISHED = {  # EDM's networks for CIFAR-10, which are imported (Karras et al. 2022)
    "sigma_data": 0.5,
    "model_channels": 128,
    "channel_mult": [2, 2, 2],
    "blocks": 4,
    "attention_resolutions": [16],
    "dropout": 0.13,
    "augment_dim": 9,
}
COSTS_CALLS = 8  # of each step whose costs are measured: to warm up, timed, profiled (`costs.measure`)
CLASSIFIER_STEP = 3  # forward passes that a step takes as long as: the backward pass counts twice
CHECKPOINTED = 1.2  # plain steps that one in O(1) memory costs: most of its forward pass comes twice


class Unit(NamedTuple):
    """A unit of work: the function of `costs.units` that times it, the kind of job, settings as JSON."""

    name: str
    kind: str
    settings: str


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


def counts(experiment: Experiment, gpus: int = 0) -> list[Count]:
    """Return all jobs of an experiment of which nothing is made yet, in the order of `RULES`.

    A training that asks for several GPUs shares its batch among as many as there are, at most `gpus`.
    """
    found = [costs_count(experiment), *data_counts(experiment), *paper_counts(experiment)]
    found += [*teacher_counts(experiment, gpus), *pair_counts(experiment)]
    found += student_counts(experiment, gpus)
    order = list(RULES)
    return sorted(found, key=lambda count: order.index(count.rule))


def unit(name: str, kind: str, **settings: Any) -> Unit:
    """Return a `Unit`."""
    return Unit(name, kind, canonical_json(settings))


def training(step: Unit, steps: int) -> tuple[Work, ...]:
    """Return the work of so many steps, the first of which may take longer."""
    return (Work(step, {"step": steps, "first": 1}),)


# -------------------------------------------------------------------------- settings, data, features, paper


def data_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield settings files, downloads, the real images and baselines, and their features."""
    config, students = experiment.config, experiment.students.values()
    shown = len(TABLES) + len(figures(experiment)) + 2  # reproduction and summary
    milestones = sum(len(student.milestones) for student in students)
    yield Count("settings", "all", len(students) + milestones + shown + 2)  # scoring and costs
    learned = {experiment.pairs[name].teacher for name in experiment.used_pairs}
    unused = {f"teachers.{name}.source" for name in experiment.teachers.keys() - learned}
    unused |= {"features.source"} if classifier_of(experiment) else set()
    wanted = [source for key, source in sources(config).items() if key not in unused]
    for url in dict.fromkeys(source.url for source in wanted if not source.path):
        yield Count("download", str(url), work=None)
    train, test = real_images(experiment)
    label, pixels = 8, math.prod(config.data.shape)
    yield Count("make_data", config.data.name, disk=(train + test) * (pixels + label + 1))  # and the split
    for kind, number in (("real", test), ("noise", config.evaluation.samples)):
        yield Count("sample_baseline", kind, disk=number * (pixels + label))
        yield score_count(experiment, kind)  # of real images, which may be fewer, as of the others
    if classifier := classifier_of(experiment):
        images = CLASSIFIER_STEP * classifier.steps * classifier.training.batch
        yield Count("train_classifier", "classifier", work=(Work(extraction(experiment), {"image": images}),))
    else:
        yield Count("import_inception", "inception")
    work = (Work(extraction(experiment), {"image": train + test}),)
    width, _ = widths(experiment)
    disk = 4 * (train + test) * width + 2 * 8 * width * (width + 1)  # features, means and covariances
    yield Count("reference_statistics", "both splits", work=work, disk=disk)


def real_images(experiment: Experiment) -> tuple[int, int]:
    """Return how many real images there are to train and to test."""
    images = sets.describe(experiment.config.data.name).images
    if isinstance(images, tuple):
        return images
    test = math.ceil(images * experiment.config.data.test_fraction)
    return images - test, test


def classifier_of(experiment: Experiment) -> Classifier | None:
    """Return the classifier whose features are compared, if no other network's are."""
    features = experiment.config.features
    return features.classifier if features.extractor == "classifier" else None


def widths(experiment: Experiment) -> tuple[int, int]:
    """Return the numbers of penultimate features and of logits."""
    classifier = classifier_of(experiment)
    return (classifier.model.features, experiment.config.data.classes) if classifier else INCEPTION


def extraction(experiment: Experiment) -> Unit:
    """Return the unit of features of an image."""
    config, classifier = experiment.config, classifier_of(experiment)
    model = classifier.model.settings() | experiment.shape() if classifier else None
    return unit("features", "score", model=model, batch=config.evaluation.batch, shape=config.data.shape)


def score_count(experiment: Experiment, what: str, jobs: int = 1, variants: int = 1) -> Count:
    """Return the scores of samples of so many variants."""
    evaluation, (train, _) = experiment.config.evaluation, real_images(experiment)
    scoring = unit(
        "scoring",
        "score",
        shape=experiment.config.data.shape,
        options=evaluation.scoring.settings(),
        samples=evaluation.samples,
        train=train,
        widths=widths(experiment),
    )
    features = Work(extraction(experiment), {"image": variants * evaluation.samples})
    return Count("score", what, jobs, (features, Work(scoring, {"variant": variants, "headline": 1})))


def paper_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield tables, figures, claims and the overview."""
    shown = {"table": TABLES, "figure": FIGURES, "figure4": grids(experiment)}
    shown |= {"same_noise": same_noise_figures(experiment)}
    shown |= {name: [name] for name in ("reproduction", "summary")}
    for rule, names in shown.items():
        for name in names:
            yield Count(rule, name)


# ------------------------------------------------------------------------------------- teachers and pairs


def teacher_description(experiment: Experiment, name: str) -> Settings:
    """Return the description of a teacher; of an imported one, that of EDM's."""
    teacher = experiment.teachers[name]
    network = teacher.network.settings() if teacher.network else PUBLISHED
    return network | experiment.shape(teacher.conditional)


def evaluation(experiment: Experiment, pairs: str) -> Unit:
    """Return the unit of an evaluation of the teacher of a set of pairs."""
    teacher, sampler = experiment.pairs[pairs].teacher, experiment.pairs[pairs].sampler
    model = teacher_description(experiment, teacher)
    return unit("teacher_evaluation", "pairs", model=model, batch=sampler.batch, precision=sampler.precision)


def teacher_counts(experiment: Experiment, gpus: int) -> Iterator[Count]:
    """Yield the teachers from whose pairs any student learns, trained or imported."""
    for name, pairs in {experiment.pairs[pairs].teacher: pairs for pairs in experiment.used_pairs}.items():
        teacher, model = experiment.teachers[name], teacher_description(experiment, name)
        if not (teacher.training and teacher.steps):
            yield Count("import_teacher", name, work=(Work(evaluation(experiment, pairs), {}),))
            continue
        step = unit(
            "teacher_step",
            "teacher",
            model=model,
            noise_levels=teacher.noise_levels.settings(),
            training=teacher.training.settings(),
            processes=max(1, min(experiment.jobs["teacher"].gpu, gpus)),
        )
        yield Count("train_teacher", name, work=training(step, teacher.steps))


def pair_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the shards of pairs, their manifests, and the samples and scores of the teachers."""
    label, pixels = 8, math.prod(experiment.config.data.shape)
    for name in experiment.used_pairs:
        pairs = experiment.pairs[name]
        for part, number, jobs in (("train", pairs.count, pairs.shards), (HELD_OUT_PART, pairs.held_out, 1)):
            batches = math.ceil(number / pairs.sampler.batch)  # whole ones, of which the last may be cut
            amounts = {"batch": batches / jobs * experiment.evaluations(name)}
            disk = number / jobs * (2 * 2 * pixels + label)  # noise and image in float16
            work = (Work(evaluation(experiment, name), amounts),)
            yield Count("generate_pairs", f"{name}, {part}", jobs, work, disk)
        yield Count("make_manifest", name)
        yield Count("sample_teacher", name, disk=experiment.config.evaluation.samples * (pixels + label))
        yield score_count(experiment, f"teacher {name}")


# --------------------------------------------------------------------------------------- students and costs


def student_description(experiment: Experiment, name: str) -> Settings:
    """Return the whole description of a student."""
    student = experiment.students[name]
    return student.model.settings() | experiment.shape(experiment.teacher_of(student).conditional)


def distillation(experiment: Experiment, name: str, processes: int, **change: Any) -> Unit:
    """Return the unit of a step of distillation, its training changed as said."""
    given = experiment.students[name].training.settings() | change
    decisive = {key: given[key] for key in (*DECISIVE, "checkpointing", "implicit") if key in given}
    model = student_description(experiment, name)
    return unit("student_step", "student", model=model, training=decisive, processes=processes)


def sampling(experiment: Experiment, name: str) -> Unit:
    """Return the unit of sampling a student."""
    evaluation, model = experiment.config.evaluation, student_description(experiment, name)
    most = max([1, model.get("iterations", 1), *evaluation.iterations])
    return unit(
        "sampling", "sample", model=model, most=most, batch=evaluation.batch, precision=evaluation.precision
    )


def student_counts(experiment: Experiment, gpus: int) -> Iterator[Count]:
    """Yield the milestones of students, their samples and scores; milestones of a run form a chain."""
    samples, label, pixels = experiment.config.evaluation.samples, 8, math.prod(experiment.config.data.shape)
    share = max(1, min(experiment.jobs["student"].gpu, gpus))
    for name, student in experiment.students.items():
        step, sample = distillation(experiment, name, share), sampling(experiment, name)
        images = samples + experiment.pairs[student.pairs].held_out
        for before, stop in pairwise([0, *student.milestones]):
            what, seeds = f"{name}, step {stop}", len(student.seeds)
            if student.source:
                yield Count("import_student", what, seeds, (Work(sample, {}),))
            else:
                yield Count("train_student", what, seeds, training(step, stop - before), chain=name)
            iterations = variants(experiment, name, stop)
            work = Work(sample, {"image": images, "iteration": images * max(iterations)})
            disk = samples * (len(iterations) * pixels + label)
            yield Count("sample_student", what, seeds, (work,), disk)
            yield score_count(experiment, what, seeds, len(iterations))


def variants(experiment: Experiment, name: str, step: int) -> list[int]:
    """Return the iterations of the variants in the samples of a student; 0 of one without a state."""
    trained = experiment.students[name].model.iterations
    if trained is None:
        return [0]
    others = sampling_settings(experiment, name, str(step))["iterations"]
    return [trained, trained, *(number for number in others if number != trained)]


def costs_count(experiment: Experiment) -> Count:
    """Return the measuring of costs; what students share is measured once."""
    evaluation = experiment.config.evaluation
    calls, work = COSTS_CALLS * evaluation.batch, dict[Unit, Mapping[str, float]]()
    for name, student in experiment.students.items():
        trained = student.model.iterations
        steps = 1 + CHECKPOINTED if trained else 1
        step = distillation(experiment, name, 1, checkpointing=False)
        work[step] = {"step": COSTS_CALLS * steps, "first": steps}
        iterations = {trained, *evaluation.iterations} if trained else {0}
        amounts = {"image": calls * len(iterations), "iteration": calls * sum(iterations)}
        work[sampling(experiment, name)] = amounts
    return Count("costs", "all students", work=tuple(Work(*item) for item in work.items()))
