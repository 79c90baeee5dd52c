"""Settings of jobs as files: an edit of the config re-runs the jobs whose settings it changes, and no others.

They are files, not parameters, for jobs below an `ancient()` input. That says: this input re-runs nothing,
however new it is. But Snakemake does not look at the parameters of a job where all between it and a job that
must run is ancient; two edits at once would leave stale results. It always looks at files.
"""

import re
from collections.abc import Callable, Container
from enum import StrEnum
from typing import Any

from get.experiment.contents import TABLES, content, figures
from get.experiment.experiment import Experiment
from get.storage.hashing import canonical_json
from get.student import objectives

Settings = dict[str, Any]
DECISIVE = ("batch", "clip", "compile", "precision")  # keys of training on which its costs depend
INDIFFERENT = (
    "lr",
    "warmup",
    "weight_decay",
    "ema",
    "ema_warmup",
    "init",
    "pairs",
)  # and on which they do not


class Kind(StrEnum):
    """The kinds of settings files, `results/settings/KIND/NAME.json`; `get.studies` has two more."""

    STUDENT = "students"
    SAMPLING = "sampling"
    SCORING = "scoring"
    COSTS = "costs"
    PLAN = "plan"
    PAPER = "paper"


def settings_text(experiment: Experiment, path: str) -> str:
    """Return the content of the settings file at `path` ('sampling/get-16/500'), as JSON."""
    kind, *names = path.split("/")
    return canonical_json(SETTINGS[Kind(kind)](experiment, *names))


def settings_pattern(experiment: Experiment, chosen: Container[str] = ()) -> str:
    """Return a regular expression of the paths of settings files, but those of students that are `chosen`."""
    students = "|".join(map(re.escape, experiment.all_students))
    fixed = "|".join(re.escape(name) for name in experiment.all_students if name not in chosen)
    shown = [*TABLES, "reproduction", "scaling", "summary", *figures(experiment)]
    patterns = {
        Kind.STUDENT: f"/({fixed})",
        Kind.SAMPLING: rf"/({students})/[1-9]\d*",
        Kind.PAPER: f"/({'|'.join(map(re.escape, shown))})",
    }
    return "|".join(kind + patterns.get(kind, "") for kind in Kind)


def student_settings(experiment: Experiment, name: str) -> Settings:
    """Return what decides the weights of a student; what it learns from is named by its fingerprint."""
    student = experiment.all_students[name]
    training = student.training.decisive()
    found = {"model": student.model.settings(), "training": training}
    return found | {need: experiment.identity(student, need) for need in objectives.needs(training)}


def sampling_settings(experiment: Experiment, name: str, step: str) -> Settings:
    """Return how a student is sampled at a step.

    Over numbers of iterations at the headline milestone alone: there figures and claims look.
    """
    evaluation, student = experiment.config.evaluation, experiment.students.get(name)
    swept = student and student.model.iterations and int(step) == student.shown_step
    return {
        "batch": evaluation.batch,
        "precision": evaluation.precision,
        "samples": evaluation.samples,
        "iterations": evaluation.iterations if swept else [],
    }


def scoring_settings(experiment: Experiment) -> Settings:
    """Return how samples are scored."""
    return experiment.config.evaluation.scoring.settings()


def costs_settings(experiment: Experiment) -> Settings:
    """Return what decides the costs of all students, which are measured side by side."""
    evaluation = experiment.config.evaluation
    return {
        "students": {name: costs_of(experiment, name) for name in experiment.students},
        "evaluation": {
            "batch": evaluation.batch,
            "iterations": evaluation.iterations,
            "precision": evaluation.precision,
        },
        "threads": experiment.jobs["student"].threads,
        "device": experiment.device("costs"),
    }


def costs_of(experiment: Experiment, name: str) -> Settings:
    """Return what decides the costs of a student; of another objective than the paper's all that it is."""
    student = experiment.all_students[name]
    training, teacher = student.training.decisive(), experiment.teacher_of(student)
    if student.training.objective:
        decisive = {key: value for key, value in training.items() if key not in INDIFFERENT}
    else:
        decisive = {key: training[key] for key in (*DECISIVE, "loss") if key in training}
    if student.training.loss_source:  # which weights they are changes no cost
        decisive["loss"].pop("source")
    found = {"model": student.model.settings() | experiment.shape(teacher.conditional), "training": decisive}
    if "teacher" in objectives.needs(decisive):
        found["teacher"] = experiment.network_of(teacher)
    return found


def plan_settings(experiment: Experiment) -> Settings:
    """Return the config without captions: the plan is of all jobs, and loads it."""
    config = experiment.config.settings()
    del config["paper"]["captions"]
    config.pop("tuning", None)  # whose trials the plan does not count
    return config


SETTINGS: dict[Kind, Callable[..., Settings]] = {
    Kind.STUDENT: student_settings,
    Kind.SAMPLING: sampling_settings,
    Kind.SCORING: scoring_settings,
    Kind.COSTS: costs_settings,
    Kind.PLAN: plan_settings,
    Kind.PAPER: content,
}
