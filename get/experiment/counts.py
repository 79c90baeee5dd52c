"""How many jobs of each rule an experiment takes from nothing, and how much work each of them does.

It follows from the config alone; tests/test_plan.py compares the numbers of jobs with Snakemake's. What a
unit of work costs is measured by `get.costs.units`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from get.data import sets
from get.experiment.checks import sources
from get.experiment.contents import FIGURES, TABLES, figures, grids, same_noise_figures
from get.experiment.experiment import HELD_OUT_PART, Experiment
from get.experiment.settings import DECISIVE, sampling_settings
from get.storage.hashing import canonical_json

Settings = dict[str, Any]

KINDS = {  # the kind of job of each rule; all others are light
    "costs": "costs",
    "generate_pairs": "pairs",
    "reference_statistics": "score",
    "same_noise": "sample",
    "sample_student": "sample",
    "score": "score",
    "train_classifier": "classifier",
    "train_student": "student",
    "train_teacher": "teacher",
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
COSTS_CALLS = 7  # of each step and batch whose costs are measured, with those that warm up (`costs.measure`)
CHECKPOINTED = 1.2  # steps that one in O(1) memory costs: most of its forward pass, a third, comes again


class Unit(NamedTuple):
    """A unit of work: the function of `costs.units` that times it, the kind of job, settings as JSON."""

    name: str
    kind: str
    settings: str


class Work(NamedTuple):
    """Work on one unit: how many of each of the seconds ('step', 'image', ...) that its timing gives."""

    unit: Unit
    amounts: Mapping[str, float]


@dataclass(frozen=True)
class Count:
    """Alike jobs.

    Attributes:
        rule: of the workflow; what: the row of the plan.
        jobs: how many.
        work: of each job, after its start; None if it is not known.
        disk: bytes that each job leaves, beside the weights of models.
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
        return KINDS.get(self.rule, "light")


def counts(experiment: Experiment, gpus: int = 0) -> list[Count]:
    """Return all jobs of an experiment, in the order of the stages.

    Args:
        experiment: of which nothing is made yet.
        gpus: how many there are; a training that asks for several shares its batch among them.
    """
    return [
        *light_counts(experiment),
        *data_counts(experiment),
        *teacher_counts(experiment, gpus),
        *pair_counts(experiment),
        *student_counts(experiment, gpus),
        *sample_counts(experiment),
        *score_counts(experiment),
        costs_count(experiment),
        *paper_counts(experiment),
    ]


def unit(name: str, kind: str, **settings: Any) -> Unit:
    """Return a `Unit`."""
    return Unit(name, kind, canonical_json(settings))


def training(step: Unit, steps: int) -> tuple[Work, ...]:
    """Return the work of so many steps, the first of which may take longer."""
    return (Work(step, {"step": steps, "first": 1}),)


def processes(experiment: Experiment, kind: str, gpus: int) -> int:
    """Return how many processes share the batch of a training."""
    return max(1, min(experiment.job(kind).gpu, gpus))


# ------------------------------------------------------------------------- settings, files from outside, data


def light_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield settings files and downloads."""
    milestones = sum(len(student.milestones) for student in experiment.students.values())
    shown = len(TABLES) + len(figures(experiment)) + 2  # reproduction and summary
    common = 2  # scoring and costs
    yield Count("settings", "all", len(experiment.students) + milestones + shown + common)
    unused = {
        f"teachers.{name}.source" for name in experiment.teachers.keys() - set(used_teachers(experiment))
    }
    wanted = [source for key, source in sources(experiment.config).items() if key not in unused]
    for url in dict.fromkeys(source.url for source in wanted if not source.path):
        yield Count("download", str(url), work=None)


def image_numbers(experiment: Experiment) -> tuple[int, int]:
    """Return how many real images there are to train and to test."""
    data = experiment.config.data
    images = sets.describe(data.name).images
    if isinstance(images, tuple):
        return images
    test = math.ceil(images * data.test_fraction)
    return images - test, test


def pixels(experiment: Experiment) -> int:
    """Return the numbers in an image."""
    return math.prod(experiment.config.data.shape)


def extraction(experiment: Experiment) -> Unit:
    """Return the unit of features of an image."""
    classifier, data = experiment.config.features.classifier, experiment.config.data
    extractor: Settings = {"name": experiment.config.features.extractor}
    if extractor["name"] == "classifier" and classifier:
        extractor["model"] = classifier.model.settings() | experiment.shape()
    batch = experiment.config.evaluation.batch
    return unit("features", "score", extractor=extractor, batch=batch, shape=data.shape)


def widths(experiment: Experiment) -> tuple[int, int]:
    """Return the numbers of penultimate features and of logits."""
    features = experiment.config.features
    if features.extractor == "classifier" and features.classifier:
        return features.classifier.model.features, experiment.config.data.classes
    return INCEPTION


def data_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the real images, the network whose features are compared, and the features."""
    features, images = experiment.config.features, sum(image_numbers(experiment))
    yield Count("make_data", experiment.config.data.name, disk=images * (pixels(experiment) + 9))
    if features.extractor == "classifier" and features.classifier:
        settings = features.classifier.settings()
        steps = settings.pop("steps")
        settings["model"] |= experiment.shape()
        yield Count(
            "train_classifier",
            "classifier",
            work=training(unit("classifier_step", "classifier", **settings), steps),
        )
    else:
        yield Count("import_inception", "inception")
    width, _ = widths(experiment)
    disk = 4 * images * width + 2 * 8 * width * (width + 1)  # features, means and covariances
    work = (Work(extraction(experiment), {"image": images}),)
    yield Count("reference_statistics", "both splits", work=work, disk=disk)


# ----------------------------------------------------------------------------------------- teachers and pairs


def used_teachers(experiment: Experiment) -> list[str]:
    """Return the teachers from whose pairs any student learns."""
    return list(dict.fromkeys(experiment.pairs[name].teacher for name in experiment.used_pairs))


def teacher_description(experiment: Experiment, name: str) -> Settings:
    """Return the description of a teacher; of an imported one, that of EDM's."""
    teacher = experiment.teachers[name]
    network = teacher.network.settings() if teacher.network else PUBLISHED
    return network | experiment.shape(teacher.conditional)


def teacher_counts(experiment: Experiment, gpus: int) -> Iterator[Count]:
    """Yield the teachers, trained or imported."""
    for name in used_teachers(experiment):
        teacher, model = experiment.teachers[name], teacher_description(experiment, name)
        if teacher.steps is None or teacher.training is None:
            weights = unit("weights", "light", of="teacher", model=model)
            yield Count("import_teacher", name, work=(Work(weights, {}),))
            continue
        step = unit(
            "teacher_step",
            "teacher",
            model=model,
            noise_levels=teacher.noise_levels.settings(),
            training=teacher.training.settings(),
            processes=processes(experiment, "teacher", gpus),
        )
        yield Count("train_teacher", name, work=training(step, teacher.steps))


def pair_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the shards of pairs, and their manifests."""
    for name in experiment.used_pairs:
        pairs = experiment.pairs[name]
        model = teacher_description(experiment, pairs.teacher)
        evaluation = unit("teacher_evaluation", "pairs", model=model, sampler=pairs.sampler.settings())
        for part, count, jobs in (("train", pairs.count, pairs.shards), (HELD_OUT_PART, pairs.held_out, 1)):
            batches = math.ceil(count / pairs.sampler.batch)  # whole ones, of which the last may be cut
            work = (Work(evaluation, {"batch": batches / jobs * experiment.evaluations(name)}),)
            disk = count / jobs * (2 * 2 * pixels(experiment) + 8)  # noise and image in float16, the label
            yield Count("generate_pairs", f"{name}, {part}", jobs, work, disk)
        yield Count("make_manifest", name)


# ---------------------------------------------------------------------------------- students, samples, scores


def student_description(experiment: Experiment, name: str) -> Settings:
    """Return the whole description of a student."""
    student = experiment.students[name]
    return student.model.settings() | experiment.shape(experiment.teacher_of(student).conditional)


def student_step(experiment: Experiment, name: str, processes: int, **change: Any) -> Unit:
    """Return the unit of a step of distillation, its training changed as said."""
    given = experiment.students[name].training.settings() | change
    decisive = {key: given[key] for key in (*DECISIVE, "checkpointing", "implicit") if key in given}
    model = student_description(experiment, name)
    return unit("student_step", "student", model=model, training=decisive, processes=processes)


def student_counts(experiment: Experiment, gpus: int) -> Iterator[Count]:
    """Yield the milestones of students; those of one run form a chain."""
    for name, student in experiment.students.items():
        step = student_step(experiment, name, processes(experiment, "student", gpus))
        weights = unit("weights", "light", of="student", model=student_description(experiment, name))
        seeds = len(student.seeds)
        for before, stop in zip([0, *student.milestones], student.milestones, strict=False):
            what = f"{name}, step {stop}"
            if student.source:
                yield Count("import_student", what, seeds, (Work(weights, {}),))
            else:
                yield Count("train_student", what, seeds, training(step, stop - before), chain=name)


def variants(experiment: Experiment, name: str, step: int) -> list[int]:
    """Return the iterations of the variants in the samples of a student; 0 of one without a state."""
    trained = experiment.students[name].model.iterations
    if trained is None:
        return [0]
    others = sampling_settings(experiment, name, str(step))["iterations"]
    return [trained, trained, *(count for count in others if count != trained)]


def sampling(experiment: Experiment, name: str) -> Unit:
    """Return the unit of sampling a student."""
    evaluation, model = experiment.config.evaluation, student_description(experiment, name)
    most = max([1, model.get("iterations", 1), *evaluation.iterations])
    given: Settings = {"batch": evaluation.batch, "precision": evaluation.precision}
    return unit("sampling", "sample", model=model, most=most, **given)


def milestones(experiment: Experiment) -> Iterator[tuple[str, int, int]]:
    """Yield name, step and number of seeds of all milestones of students."""
    for name, student in experiment.students.items():
        for step in student.milestones:
            yield name, step, len(student.seeds)


def sample_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the samples of students, teachers and baselines."""
    samples = experiment.config.evaluation.samples
    label, image = 8, pixels(experiment)
    for name, step, seeds in milestones(experiment):
        iterations = variants(experiment, name, step)
        images = samples + experiment.pairs[experiment.students[name].pairs].held_out
        amounts = {"image": images, "iteration": images * max(iterations)}
        disk = samples * (len(iterations) * image + label)
        work = (Work(sampling(experiment, name), amounts),)
        yield Count("sample_student", f"{name}, step {step}", seeds, work, disk)
    for name in experiment.used_pairs:
        yield Count("sample_teacher", name, disk=samples * (image + label))
    _, test = image_numbers(experiment)
    for kind, count in (("real", test), ("noise", samples)):
        yield Count("sample_baseline", kind, disk=count * (image + label))


def score_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield the scores of all samples; the real images may be fewer, and count as many as the others."""
    evaluation, (train, _) = experiment.config.evaluation, image_numbers(experiment)
    scoring = unit(
        "scoring",
        "score",
        shape=experiment.config.data.shape,
        options=evaluation.scoring.settings(),
        samples=evaluation.samples,
        train=train,
        widths=widths(experiment),
    )
    rows = [
        (f"{name}, step {step}", seeds, len(variants(experiment, name, step)))
        for name, step, seeds in milestones(experiment)
    ]
    rows += [(f"teacher {name}", 1, 1) for name in experiment.used_pairs]
    rows += [(kind, 1, 1) for kind in ("real", "noise")]
    for what, jobs, number in rows:
        features = Work(extraction(experiment), {"image": number * evaluation.samples})
        yield Count("score", what, jobs, (features, Work(scoring, {"variant": number, "headline": 1})))


# ------------------------------------------------------------------------------------------- costs, the paper


def costs_count(experiment: Experiment) -> Count:
    """Return the measuring of costs; what students share is measured once."""
    work: dict[Unit, Work] = {}
    batch, others = experiment.config.evaluation.batch, experiment.config.evaluation.iterations
    for name, student in experiment.students.items():
        trained = student.model.iterations
        steps = 1 + CHECKPOINTED if trained else 1
        step = student_step(experiment, name, 1, checkpointing=False)
        work[step] = Work(step, {"step": COSTS_CALLS * steps, "profile": steps, "first": steps})
        iterations = {trained, *others} if trained else {0}
        calls = COSTS_CALLS * batch
        drawn = sampling(experiment, name)
        work[drawn] = Work(drawn, {"image": calls * len(iterations), "iteration": calls * sum(iterations)})
    return Count("costs", "all students", work=tuple(work.values()))


def paper_counts(experiment: Experiment) -> Iterator[Count]:
    """Yield tables, figures, claims and the overview."""
    shown = {
        "table": TABLES,
        "figure": FIGURES,
        "figure4": grids(experiment),
        "same_noise": same_noise_figures(experiment),
        "reproduction": ["reproduction"],
        "summary": ["summary"],
    }
    for rule, names in shown.items():
        for name in names:
            yield Count(rule, name)
