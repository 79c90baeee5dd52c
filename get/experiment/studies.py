"""What each study shows, and how it samples GETs."""

from enum import StrEnum
from typing import Any

from get.experiment.checks import check
from get.experiment.config import Studies
from get.experiment.contents import Content, about_data, captions, row
from get.experiment.derived import trained_in, trained_on
from get.experiment.experiment import Experiment
from get.studies import load


class Study(StrEnum):
    """The studies."""

    STATES = "states"
    INITIAL = "initial"
    SOLVERS = "solvers"
    GRADIENTS = "gradients"
    SUPERVISION = "supervision"
    PAIRS = "pairs"


SAMPLED = [Study.INITIAL, Study.SOLVERS]  # those that sample GETs in other ways
TRAINED = {  # those that train a GET in other ways, and what each of `derived.WAYS` is called there
    Study.GRADIENTS: {
        "": "unrolled, all states",
        "last-state": "unrolled, last state",
        "implicit": "implicit, last state",
    },
    Study.SUPERVISION: {"": "all states", "last-state": "the last state"},
}


def studies_of(experiment: Experiment) -> Studies:
    """Return the studies of the config; raises `ConfigError` if there are none."""
    studies = experiment.config.studies
    check(studies, "there is no key studies; config.yaml has one to start from")
    assert studies
    return studies


def names(experiment: Experiment) -> list[Study]:
    """Return the studies; raises `ConfigError` if the config has none."""
    studies_of(experiment)
    return list(Study)


def study_content(experiment: Experiment, name: str) -> Content:
    """Return what a study shows."""
    studies, study = studies_of(experiment), Study(name)
    shown: Content = {"student": experiment.full_label(studies.trained)}
    match study:
        case Study.STATES:
            students = experiment.students.items()
            gets = [name for name, student in students if student.model.family == "get"]
            rows = [row(experiment, name, label=experiment.full_label(name)) for name in gets]
        case Study.INITIAL | Study.SOLVERS:
            rows = [sampled_row(experiment, study, student) for student in studies.sampled]
            shown["evaluations"] = sorted(studies.evaluations) if study == Study.SOLVERS else []
        case Study.GRADIENTS | Study.SUPERVISION:
            shown["rates"] = [studies.lower_lr, experiment.students[studies.trained].training.lr]
            rows = [
                row(experiment, trained_in(experiment.config, way, lower), label=label)
                for lower in (True, False)
                for way, label in TRAINED[study].items()
            ]
        case Study.PAIRS:
            shown["pairs"] = studies.pairs
            rows = [
                row(experiment, trained_on(experiment.config, count), label=f"{count:,} pairs")
                for count in studies.pairs
            ]
    return shown | {"rows": rows}


def sampled_row(experiment: Experiment, study: Study, student: str) -> Content:
    """Return the row of a study that samples a student, of all its seeds, in other ways."""
    scores = [
        f"{experiment.results}/scores/studies/{study}/{student}/seed{seed}.json"
        for seed in experiment.students[student].seeds
    ]
    return {"label": experiment.full_label(student), "student": student, "scores": scores}


def study_sampling(experiment: Experiment, name: str) -> dict[str, Any]:
    """Return how a study samples GETs."""
    studies, evaluation = studies_of(experiment), experiment.config.evaluation
    found = {"batch": evaluation.batch, "precision": evaluation.precision, "samples": evaluation.samples}
    return found | ({"evaluations": sorted(studies.evaluations)} if name == Study.SOLVERS else {})


def study_files(experiment: Experiment, name: str) -> list[str]:
    """Return the scores that a study reads."""
    return [path for entry in study_content(experiment, name)["rows"] for path in entry["scores"]]


def title(name: str) -> str:
    """Return what the report calls a study."""
    return load(name).title


def caption(experiment: Experiment, name: str) -> str:
    """Return the caption of a study, with what holds for all, and what is particular to the data."""
    data = about_data(experiment)
    return " ".join([load(name).caption, captions()["studies"], data["all"], data["tables"]])
