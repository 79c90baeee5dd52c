"""The config of an experiment, typed: every key with its range, its default, and what it means.

A module for each part, with what its keys must agree on; `Config` is the whole. A key that is `optional` is
in no settings, and in no fingerprint, while the config leaves it out. So a key can be added without training
anything again.
"""

import os
import reprlib
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

import get
from get.experiment.config.data import Data, Features, check_data, check_features
from get.experiment.config.errors import check, config_errors
from get.experiment.config.evaluation import Evaluation, check_evaluation
from get.experiment.config.files import check_sources, sources
from get.experiment.config.jobs import Jobs, check_job
from get.experiment.config.keys import Keys, Name, Seed, optional
from get.experiment.config.paper import Paper, check_paper
from get.experiment.config.rivals import Rivals, check_rivals
from get.experiment.config.students import Student, check_student
from get.experiment.config.studies import Studies, check_studies
from get.experiment.config.teachers import Pairs, Teacher, check_pairs, check_teacher
from get.experiment.config.tuning import Tuning, check_tuning
from get.training import trackers as tracking

PACKAGE = Path(get.__file__).resolve().parent
LONGEST_NAME, LONGEST_PATH = 255, 1000  # of a folder: files have the names of students after that
OWN_FOLDERS = (  # of the repository
    ".ci", ".git", ".github", ".snakemake",
    "benchmarks", "docs", "envs", "get", "profiles", "tests", "workflow",
)  # fmt: skip


class Config(Keys):
    """Every key of an experiment's config; unknown keys are refused, keys with a default may be left out."""

    results: Annotated[str, StringConstraints(pattern=r"^/?[A-Za-z0-9._][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$")]
    """Folder of its own in which everything of this experiment is made."""
    seed: Seed = 0
    """Seed of the data split, the features, the teachers and the pairs."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")] = "auto"
    """Of jobs with a GPU: auto (a CUDA device if there is one), cpu, cuda, or cuda:N, which jobs share."""
    data: Data
    """The real images."""
    features: Features
    """The network whose activations FID, IS, KID, precision and recall compare."""
    teachers: Annotated[dict[Name, Teacher], Field(min_length=1)]
    """Diffusion teachers, by name."""
    pairs: Annotated[dict[Name, Pairs], Field(min_length=1)]
    """Sets of pairs (noise, class, the teacher's image), by name."""
    students: Annotated[dict[Name, Student], Field(min_length=1)]
    """One-step students, by name."""
    evaluation: Evaluation
    """How models are sampled and scored."""
    paper: Paper
    """What the paper's tables and figures show."""
    tuning: Tuning | None = optional()
    """What `snakemake --cores all tuning` tries; left out, nothing."""
    studies: Studies | None = optional()
    """What `snakemake --cores all studies` looks at; left out, there are no studies."""
    rivals: Rivals | None = optional()
    """What `snakemake --cores all rivals` compares; left out, nothing."""
    trackers: dict[str, dict[str, str | int | float | bool | None] | None] | None = optional()
    """Where trainings are watched: modules of get/training/trackers, with their arguments."""
    jobs: Jobs = Jobs()
    """What each kind of job asks for."""

    @property
    def trackers_with_arguments(self) -> tracking.Entries:
        """The trackers; one without arguments may stand alone (`csv:`)."""
        return {name: given or {} for name, given in (self.trackers or {}).items()}


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
    if config.tuning:
        check_tuning(config.tuning, config)
    if config.studies:
        check_studies(config.studies, config)
    if config.rivals:
        check_rivals(config.rivals, config)
    check_trackers(config.trackers_with_arguments)
    for kind, job in config.jobs.by_kind().items():
        check_job(job, kind)
    check_evaluation(config)


def check_trackers(entries: tracking.Entries) -> None:
    """Check that there are such trackers, and that they take these arguments."""
    with config_errors():
        tracking.check(entries)


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
