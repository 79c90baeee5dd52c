"""The studies of an experiment: what each shows, and how it samples GETs. Each is a module of get/studies."""

from typing import Any

from get import plugins
from get.experiment.checks import check
from get.experiment.config import Studies
from get.experiment.contents import Content, about_data, captions
from get.experiment.experiment import Experiment

NAMES = plugins.names("studies")


def load(name: str) -> Any:
    """Return the `get.studies.Study` of this name, which knows experiments, and so is not imported here."""
    return plugins.load("studies", name, "studies").STUDY


def sampled() -> list[str]:
    """Return the studies that sample GETs in ways of their own."""
    return [name for name in NAMES if load(name).sample]


def studies_of(experiment: Experiment) -> Studies:
    """Return the studies of the config; raises `ConfigError` if there are none."""
    studies = experiment.config.studies
    check(studies, "there is no key studies; config.yaml has one to start from")
    assert studies
    return studies


def names(experiment: Experiment) -> list[str]:
    """Return the studies; raises `ConfigError` if the config has none."""
    studies_of(experiment)
    return NAMES


def study_content(experiment: Experiment, name: str) -> Content:
    """Return what a study shows."""
    studies = studies_of(experiment)
    found: Content = load(name).content(experiment, studies)
    return found | {"student": experiment.full_label(studies.trained)}


def study_sampling(experiment: Experiment, name: str) -> dict[str, Any]:
    """Return how a study samples GETs."""
    studies, evaluation = studies_of(experiment), experiment.config.evaluation
    found = {"batch": evaluation.batch, "precision": evaluation.precision, "samples": evaluation.samples}
    return found | load(name).sampling(studies)


def study_files(experiment: Experiment, name: str) -> list[str]:
    """Return the scores that a study reads."""
    return [path for entry in study_content(experiment, name)["rows"] for path in entry["scores"]]


def title(name: str) -> str:
    """Return what the report calls a study."""
    found: str = load(name).title
    return found


def caption(experiment: Experiment, name: str) -> str:
    """Return the caption of a study, with what holds for all, and what is particular to the data."""
    data = about_data(experiment)
    return " ".join([load(name).caption, captions()["studies"], data["all"], data["tables"]])
