"""The trials of `snakemake --cores all tuning`: students trained alike, but for one key of their training.

Every student is tried with the same values and with seeds of their own, so with noise that no table shows.
"""

from collections.abc import Iterator
from typing import NamedTuple

from get.experiment.config import Config
from get.experiment.config.errors import check
from get.experiment.config.students import Student, check_student
from get.experiment.config.tuning import Tuning, changed
from get.experiment.contents import Content, about_data, captions, row
from get.experiment.experiment import Experiment

FORMATS = ("csv", "md", "html", "pdf", "png")


class Trial(NamedTuple):
    """A student with one of the values: its name, the name of whom it is tried for, and the value."""

    name: str
    student: str
    value: float


def trials(config: Config) -> list[Trial]:
    """Return all trials, of students that are not disabled; another value among them renames none."""
    tuning = config.tuning
    if tuning is None:
        return []
    return [
        Trial(f"try-{student}-{tuning.key}-{spelled(value)}", student, value)
        for student in tuning.students
        if not config.students[student].disabled
        for value in tuning.values
    ]


def spelled(value: object) -> str:
    """Return a number, or the text of one, as part of a name: 0p005."""
    return str(value).replace(".", "p").replace("+", "")


def students_beside(config: Config) -> dict[str, Student]:
    """Return the students that trials train, if any; raises `ConfigError` where names clash."""
    tuning, found = config.tuning, dict[str, Student]()
    for trial in trials(config):
        check(trial.name not in config.students, f"students.{trial.name}: `tuning` makes one, too")
        assert tuning
        found[trial.name] = _student(config, tuning, trial)
        check_student(found[trial.name], f"{trial.name} (tuning)", config)
    return found


def _student(config: Config, tuning: Tuning, trial: Trial) -> Student:
    base = config.students[trial.student]
    steps = tuning.milestones
    changes = {"milestones": steps, "headline": steps[-1], "seeds": tuning.seeds}
    training = changed(base.training, tuning.key, trial.value)
    return base.model_copy(update={**changes, "training": training})


def names(experiment: Experiment) -> list[str]:
    """Return the names of the students that trials train."""
    return [trial.name for trial in trials(experiment.config)]


def tuning_of(experiment: Experiment) -> Tuning:
    """Return what the config tries; raises `ConfigError` if it is nothing."""
    tuning = experiment.config.tuning
    check(tuning, "there is no key tuning; config.yaml has one to start from")
    assert tuning
    return tuning


def content(experiment: Experiment) -> Content:
    """Return what the table and the figure show: a row for each trial at each milestone."""
    tuning = tuning_of(experiment)
    return {"part": "students", "key": tuning.key, "rows": list(_rows(experiment, tuning))}


def _rows(experiment: Experiment, tuning: Tuning) -> Iterator[Content]:
    for trial in trials(experiment.config):
        student = experiment.config.students[trial.student]
        for step in tuning.milestones:
            yield {
                **row(experiment, trial.name, step, label=experiment.full_label(trial.student)),
                "tried_for": trial.student,
                "value": trial.value,
                "own": student.training.settings()[tuning.key],
            }


def outputs(experiment: Experiment) -> list[str]:
    """Return all that the rule `tuning` makes."""
    return [f"{experiment.results}/tuning/{tuning_of(experiment).key}.{kind}" for kind in FORMATS]


def score_files(experiment: Experiment) -> list[str]:
    """Return the scores that they read, if the config tries anything."""
    rows = content(experiment)["rows"] if experiment.config.tuning else []
    return [path for each in rows for path in each["scores"]]


def documents(experiment: Experiment) -> dict[str, list[str]]:
    """Return the files that the table and the figure are made from."""
    tuning = experiment.config.tuning
    return {f"tuning/{tuning.key}": score_files(experiment)} if tuning else {}


def caption(experiment: Experiment) -> str:
    """Return the caption of table and figure, with what is particular to the data."""
    data = about_data(experiment)
    return " ".join([captions(experiment)["tuning"], data["all"], data["tables"]])
