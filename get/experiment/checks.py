"""What the keys of a config must agree on. Each message names the key, and what would do."""

import csv
import os
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import get
from get import plugins
from get.data import sets
from get.experiment.config import (
    Config,
    Data,
    Distillation,
    Features,
    Job,
    Network,
    Pairs,
    Rivals,
    Row,
    Source,
    Student,
    Studies,
    Teacher,
)
from get.storage.errors import UserError
from get.student import architectures, losses, objectives
from get.teacher import samplers

PACKAGE = Path(get.__file__).resolve().parent
PUBLISHED_CSV = PACKAGE / "paper" / "published.csv"
LONGEST_NAME, LONGEST_PATH = 255, 1000  # of a folder: files have the names of students after that
OWN_FOLDERS = (  # of the repository
    ".ci", ".git", ".github", ".snakemake",
    "benchmarks", "docs", "envs", "get", "profiles", "tests", "workflow",
)  # fmt: skip


class ConfigError(UserError):
    """A key of the config is wrong; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Error in the config: {message}")


def check(condition: object, message: str) -> None:
    """Raise `ConfigError` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn errors of the package, which name the key, into errors of the config."""
    try:
        yield
    except UserError as error:
        raise ConfigError(str(error)) from None


def check_config(config: Config) -> None:
    """Refuse what each key allows but the keys together do not.

    Raises:
        ConfigError: the message names the key.
    """
    check_results(config.results)
    check_data(config.data)
    check_features(config.features, config.data)
    check_sources(sources(config))
    for name, teacher in config.teachers.items():
        check_teacher(teacher, f"teachers.{name}", config.data.size)
    for name, pairs in config.pairs.items():
        check_pairs(pairs, f"pairs.{name}", config)
    for name, student in config.students.items():
        check_student(student, f"students.{name}", config)
    check_paper(config)
    if config.studies:
        check_studies(config.studies, config)
    if config.rivals:
        check_rivals(config.rivals, config)
    for kind, job in config.jobs.by_kind().items():
        check_job(job, kind)
    samples, splits = config.evaluation.samples, config.evaluation.scoring.splits
    check(splits <= samples, "evaluation.scoring.splits is larger than evaluation.samples")


# ---------------------------------------------------------------- results, data, features, teachers, pairs


def check_results(results: str) -> None:
    """Check that the folder of results is apart from the code and from what Snakemake keeps."""
    folder, repository = Path(results).resolve(), PACKAGE.parent
    short = max(map(len, folder.parts)) <= LONGEST_NAME and len(str(folder)) <= LONGEST_PATH
    check(short, f"results: {reprlib.repr(results)} is too long for the path of a folder; choose another")
    here = Path.cwd()
    holds = repository.is_relative_to(folder) or (here.is_relative_to(folder) and here != folder)
    within = any(folder.is_relative_to(repository / name) for name in OWN_FOLDERS)
    check(
        not holds and not within,
        f"results: {results} is no folder of its own, but one of the code or above it; name another, such as"
        " results/new",
    )
    files = [place for place in (folder, *folder.parents) if os.path.isfile(place)]
    check(not files, f"results: {results}: {files and files[0]} is a file; name a folder")


def check_data(data: Data) -> None:
    """Check the description of the data set against what its module says."""
    with config_errors():
        known = sets.describe(data.name)
    check(data.shape == known.shape, f"data.shape: {data.name} has images of shape {known.shape}")
    check(data.classes == known.classes, f"data.classes: {data.name} has {known.classes} classes")
    channels, height, width = known.shape
    check(
        channels in (1, 3) and height == width and height % 4 == 0,
        f"data.name: {data.name} has images of shape {known.shape}; they must be grey or in colour, and"
        " square with sides of a multiple of 4",
    )
    wants = "archive" in known.takes
    how = "made from a file, which it names" if wants else "not made from a file"
    check(wants == (data.source is not None), f"data.source: {data.name} is {how}")


def check_features(features: Features, data: Data) -> None:
    """Check that the extractor has what it needs, and can read the images."""
    inception = features.extractor == "inception"
    check(not inception or data.shape[0] == 3, "features.extractor: inception wants images in colour")
    needed = "source" if inception else "classifier"
    check(
        getattr(features, needed),
        f"features.{needed} is missing: the extractor {features.extractor} needs it",
    )


def sources(config: Config) -> dict[str, Source]:
    """Return the files from outside, by the key that names them."""
    found = {"data.source": config.data.source, "features.source": config.features.source}
    found |= {f"teachers.{name}.source": teacher.source for name, teacher in config.teachers.items()}
    enabled = {name: student for name, student in config.students.items() if not student.disabled}
    found |= {f"students.{name}.import": student.source for name, student in enabled.items()}
    trained = {name: student for name, student in enabled.items() if not student.source}
    found |= {
        f"students.{name}.training.loss.source": student.training.loss_source
        for name, student in trained.items()
    }
    found |= {
        f"rivals.methods.{name}.training.loss.source": method.training.loss_source
        for name, method in (config.rivals.methods.items() if config.rivals else ())
    }
    return {key: source for key, source in found.items() if source}


def check_sources(found: dict[str, Source]) -> None:
    """Check that local copies are there, and that downloads do not take each other's names."""
    urls: dict[str, str] = {}
    for key, source in found.items():
        check(source.path or source.url, f"{key} names no file: give it a url, or the path of a local copy")
        if source.path:
            check(os.path.exists(source.path), f"{key}.path: there is no {source.path}")
        elif source.url:
            name = os.path.basename(source.url)
            check(
                urls.setdefault(name, source.url) == source.url,
                f"{key}.url: another file of the name {name} is downloaded too; give one of them as a path",
            )


def check_teacher(teacher: Teacher, key: str, size: int) -> None:
    """Check that a teacher is either imported or trained, and that its network fits the images."""
    own = ("network", "steps", "training")
    for name in own:
        given = getattr(teacher, name) is not None
        if teacher.source:
            check(not given, f"{key}.{name}: a teacher with a source is imported, not trained; leave one out")
        else:
            check(given, f"{key}.{name} is missing: a teacher needs {', '.join(own)}, or a source")
    if teacher.network:
        check_network(teacher.network, f"{key}.network", size)


def check_network(network: Network, key: str, size: int) -> None:
    """Check the resolutions of a U-Net."""
    levels = len(network.channel_mult)
    check(
        size % 2 ** (levels - 1) == 0,
        f"{key}.channel_mult: an image of size {size} cannot be halved {levels - 1} times",
    )
    resolutions = [size >> level for level in range(levels)]
    for resolution in network.attention_resolutions:
        check(
            resolution in resolutions, f"{key}.attention_resolutions: {resolution} is none of {resolutions}"
        )


def check_pairs(pairs: Pairs, key: str, config: Config) -> None:
    """Check that there are enough pairs, and batches for all shards."""
    check(pairs.teacher in config.teachers, f"{key}.teacher: no teacher {pairs.teacher!r}")
    check(
        config.evaluation.samples <= pairs.count,
        f"evaluation.samples is larger than {key}.count, and the teacher is scored on its pairs",
    )
    batches = -(-pairs.count // pairs.sampler.batch)
    check(
        pairs.shards <= batches,
        f"{key}.shards: there are only {batches} batches of {pairs.sampler.batch} pairs to share",
    )
    check_sampler(pairs.sampler.settings(), f"{key}.sampler")


def check_sampler(sampler: dict[str, Any], key: str) -> None:
    """Check the arguments of a teacher's sampler."""
    with config_errors():
        samplers.check(sampler, key)


# ---------------------------------------------------------------------------------------------- students


def check_student(student: Student, key: str, config: Config) -> None:
    """Check a student's model, its pairs and its milestones."""
    steps = student.milestones
    if student.source:
        check(len(steps) == 1, f"{key}.milestones: an imported student has one step")
        check(student.seeds == [0], f"{key}.seeds: an imported student has the seed 0")
    check(student.pairs in config.pairs, f"{key}.pairs: no pairs {student.pairs!r}")
    check_model(student, f"{key}.model", config.data.size)
    pairs = config.pairs[student.pairs]
    check(
        (student.training.pairs or 1) <= pairs.count,
        f"{key}.training.pairs is larger than pairs.{student.pairs}.count",
    )
    check_training(student, f"{key}.training")
    check_loss(student.training, f"{key}.training.loss", config.data)
    check_implicit(student.training, f"{key}.training", student.model.family)
    check(
        config.teachers[pairs.teacher].conditional or not student.model.conditional,
        f"{key}.model.conditioning must be none: its teacher is unconditional",
    )
    check_taught(student, key, pairs.teacher, config)
    check(steps == sorted(steps), f"{key}.milestones must increase")
    check(
        student.shown_step in steps,
        f"{key}.headline: {student.headline} is none of its milestones {steps}",
    )


def check_model(student: Student, key: str, size: int) -> None:
    """Check the arguments of an architecture, and the sizes of a transformer."""
    model = student.model.settings()
    with config_errors():
        architectures.check(model, key)
    if student.model.family in ("get", "vit"):
        check(size % model["patch"] == 0, f"{key}.patch must divide the image size {size}")
        check(model["width"] % model["heads"] == 0, f"{key}.heads must divide {key}.width")
        check(model["width"] % 4 == 0, f"{key}.width must be a multiple of 4")
    if architectures.has_form(model):
        if student.model.network:
            check_network(student.model.network, f"{key}.network", size)
        check(
            0 < model["sigma_min"] < model["sigma_max"],
            f"{key}: sigma_min must be above 0 and below sigma_max",
        )


def check_training(student: Student, key: str) -> None:
    """Check the objective of a student, and that its network is one for it."""
    training, name = student.training, student.training.objective_name
    with config_errors():
        plugins.require_known(objectives.PACKAGE, name, f"{key}.objective")
        own = objectives.keys(name)
        given = {other: value for other, value in training.settings().items() if other in own}
        objectives.check(name, given, key)
    if objectives.about(name).get("LEVELS"):
        check(
            architectures.has_form(student.model.settings()),
            f"{key}.objective: {name} evaluates a network at noise levels, which a {student.model.family} has"
            " not; it wants a unet",
        )
    if objectives.about(name).get("FROM_TEACHER"):
        check(training.init == "teacher", f"{key}.init must be teacher: {name} starts from its weights")
    check(
        training.pairs is None or "pairs" in objectives.needs(training.settings()),
        f"{key}.pairs: {name} learns from no pairs; leave it out",
    )
    check(
        training.batch % (training.accumulate or 1) == 0,
        f"{key}.accumulate must divide {key}.batch ({training.batch})",
    )


def check_taught(student: Student, key: str, name: str, config: Config) -> None:
    """Check that a student that starts from its teacher, or asks it while it is trained, fits to it."""
    training, model, teacher = student.training, student.model.settings(), config.teachers[name]
    if "teacher" in objectives.needs(training.settings()):
        why = "starts from it" if training.init else f"asks it ({training.objective_name})"
        check(
            student.model.conditional or not teacher.conditional,
            f"{key}.model.conditioning must not be none: teachers.{name} sees the class, and the student"
            f" {why}; write embedding, or name other {key}.pairs",
        )
    if training.init:
        init = f"{key}.training.init"
        check(
            architectures.has_form(model), f"{init}: only a unet has the network of a teacher; leave it out"
        )
        check(
            teacher.network is None or model["network"] == teacher.network.settings(),
            f"{init}: {key}.model.network must be teachers.{name}.network",
        )


def check_loss(training: Distillation, key: str, data: Data) -> None:
    """Check the loss of a student, and that it takes the images."""
    if training.loss:
        with config_errors():
            losses.check(training.loss.settings(), key)
            losses.check_fit(training.loss.name, data.shape, training.objective_name, key)


def check_implicit(training: Distillation, key: str, family: str) -> None:
    """Check what implicit gradients go with."""
    if not training.implicit:
        return
    check(family == "get", f"{key}.implicit: only a GET has a fixed point")
    for other in ("checkpointing", "compile"):
        check(
            not getattr(training, other),
            f"{key}.{other} goes with unrolled gradients; leave it or {key}.implicit out",
        )


# ----------------------------------------------------------------------------------- paper, studies, jobs


def check_paper(config: Config) -> None:
    """Check that rows and figures show students that there are."""
    for part, name in config.paper.figure4.settings().items():
        if name is not None:
            check_figure4(part, name, config)
    for name, rows in config.paper.rows().items():
        check_rows(rows, name, config)
    for name, wanted in (("table4", ["vit", "get"]), ("larger_vit", ["get", "vit"])):
        for position, (row, family) in enumerate(zip(config.paper.rows()[name], wanted, strict=False)):
            found = config.students[row.student].model.family
            check(found == family, f"paper.{name}[{position}].student: {row.student} is no {family}")


def check_figure4(part: str, name: str, config: Config) -> None:
    """Check that a part of Figure 4 shows a student of its kind."""
    key = f"paper.figure4.{part}"
    check(name in config.students, f"{key}: no student {name!r}")
    student = config.students[name]
    check(not student.disabled, f"{key}: {name} is disabled")
    conditional = student.model.conditional
    check(
        conditional == (part == "conditional"), f"{key}: {name} is {'' if conditional else 'un'}conditional"
    )


def check_rows(rows: Sequence[Row], name: str, config: Config) -> None:
    """Check the rows of one table, of which no two stand for the same published one."""
    table = name.replace("table", "table ")
    known = published_rows(table)
    standing = [row.published for row in rows if row.published]
    for position, row in enumerate(rows):
        key = f"paper.{name}[{position}]"
        check(row.student in config.students, f"{key}.student: no student {row.student!r}")
        steps = config.students[row.student].milestones
        check(
            row.step is None or row.step in steps,
            f"{key}.step: {row.step} is none of the milestones {steps} of {row.student}",
        )
        if row.published is None:
            continue
        check(name.startswith("table"), f"{key}: no published row belongs there")
        check(
            known.count(row.published) == 1,
            f"{key}.published: {row.published!r} names {known.count(row.published)} rows of the paper's"
            f" {table}; there are {', '.join(sorted(set(known)))}",
        )
        count = standing.count(row.published)
        check(count == 1, f"paper.{name}: {count} rows stand for the published {row.published!r}")


def published_rows(table: str) -> list[str]:
    """Return what the rows of one of the paper's tables ('table 2') are called."""
    with open(PUBLISHED_CSV, encoding="utf-8") as file:
        return [line["method"] for line in csv.DictReader(file) if line["table"] == f"paper {table}"]


def check_studies(studies: Studies, config: Config) -> None:
    """Check that the GETs of the studies are there, and what is derived from them."""
    for key, names in (("trained", [studies.trained]), ("sampled", studies.sampled)):
        for name in names:
            check(name in config.students, f"studies.{key}: no student {name!r}")
            student = config.students[name]
            trained_here = not (student.source or student.disabled)
            check(
                student.model.family == "get" and trained_here,
                f"studies.{key}: {name} must be a GET that is trained here",
            )
    training = config.students[studies.trained].training
    check(
        training.loss_decay and training.implicit is None and training.pairs is None,
        f"studies.trained: {studies.trained} must have all states supervised, unrolled, from all pairs",
    )
    check(studies.lower_lr < training.lr, "studies.lower_lr must be below the student's own")
    check(studies.pairs == sorted(studies.pairs), "studies.pairs must increase")


def check_rivals(rivals: Rivals, config: Config) -> None:
    """Check that the methods and tasks of the rivals are there, and what they must agree on."""
    check(rivals.reference in rivals.methods, f"rivals.reference: no method {rivals.reference!r}")
    for key in ("budgets", "rates"):
        values = getattr(rivals, key)
        check(values == sorted(values), f"rivals.{key} must increase")
    check(rivals.trial_seed not in rivals.seeds, "rivals.trial_seed is one of rivals.seeds; take another")
    for pairs in rivals.pairs:
        check(pairs in config.pairs, f"rivals.pairs: no pairs {pairs!r}")
        taken = pairs in ("claims", "budgets", "costs", "plan", "scores") or pairs.endswith("-samples")
        check(not taken, f"rivals.pairs: files of results/rivals are called {pairs!r}; rename these pairs")
    for name, method in rivals.methods.items():
        key = f"rivals.methods.{name}"
        for own in ("budgets", "rates"):
            values = getattr(method, own) or []
            check(values == sorted(values), f"{key}.{own} must increase")
        tried = len(rivals.rates)
        check(len(method.rates or rivals.rates) == tried, f"{key}.rates must be {tried}, as rivals.rates are")
        for pairs in method.pairs or ():
            check(pairs in rivals.pairs, f"{key}.pairs: {pairs} is none of rivals.pairs")
        counts = method.training.settings()
        for scaled in method.scaled:
            number = counts.get(scaled)
            check(isinstance(number, int), f"{key}.scaled: training has no number of steps {scaled!r}")
    reference, key = rivals.methods[rivals.reference], f"rivals.methods.{rivals.reference}"
    check(reference.pairs is None, f"{key}.pairs: the reference is compared on all of rivals.pairs")
    check(reference.budgets is None, f"{key}.budgets: the reference has those of rivals.budgets")


def check_job(job: Job, kind: str) -> None:
    """Check what a kind of job asks for."""
    check(
        job.nodes == 1 or kind in ("teacher", "student"),
        f"jobs.{kind}.nodes must be 1: only training (teacher, student) runs on several nodes",
    )
    check(
        job.gpu % job.nodes == 0,
        f"jobs.{kind}.gpu: {job.gpu} GPUs cannot be shared equally by {job.nodes} nodes",
    )
