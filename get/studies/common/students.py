"""Students of studies: one GET trained in several ways, and those that are sampled in other ways."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from get.experiment.config import Config
from get.experiment.config.students import Student
from get.experiment.config.studies import Studies
from get.experiment.contents import Content, row
from get.experiment.experiment import Experiment


class TrainingWay(NamedTuple):
    """A way to train the GET: what it is called, and the keys of `training` that it changes."""

    label: str
    change: Mapping[str, Any]


Ways = Mapping[str, TrainingWay]  # by a part of the student's name; '' for the GET as it is
LAST_STATE: Mapping[str, Any] = {"loss_decay": 0.0}


def changed(config: Config, studies: Studies, change: Mapping[str, Any], pairs: str | None = None) -> Student:
    """Return the GET of the studies, to its headline milestone, with its training changed."""
    base = config.students[studies.trained]
    return base.model_copy(
        update={
            "pairs": pairs or base.pairs,
            "training": base.training.model_copy(update=change),
            "milestones": [base.shown_step],
            "headline": base.shown_step,
        }
    )


def students_in(config: Config, studies: Studies, ways: Ways) -> dict[str, Student]:
    """Return the GET trained in each of the `ways`, at the lower learning rate and at its own."""
    found = {}
    for name, way in ways.items():
        lower = {**way.change, "lr": studies.lower_lr}
        found[trained_in(studies, name, lower=True)] = changed(config, studies, lower)
        if way.change:
            found[trained_in(studies, name, lower=False)] = changed(config, studies, way.change)
    return found


def trained_in(studies: Studies, way: str, lower: bool) -> str:
    """Return the name of the GET trained in a way, at its learning rate or at the lower one."""
    return "-".join(filter(None, [studies.trained, way, "lower-lr" if lower else ""]))


def rows_of(experiment: Experiment, studies: Studies, ways: Ways) -> Content:
    """Return `rates`, the learning rates, and as `rows` for each a row for each of the `ways`."""
    rows = [
        row(experiment, trained_in(studies, name, lower), label=way.label)
        for lower in (True, False)
        for name, way in ways.items()
    ]
    return {"rates": [studies.lower_lr, experiment.students[studies.trained].training.lr], "rows": rows}


def sampled_rows(experiment: Experiment, studies: Studies, study: str) -> list[Content]:
    """Return a row for each GET that a study samples in ways of its own, with all its seeds."""
    return [
        {
            "label": experiment.full_label(student),
            "student": student,
            "scores": [
                f"{experiment.results}/scores/studies/{study}/{student}/seed{seed}.json"
                for seed in experiment.students[student].seeds
            ],
        }
        for student in studies.sampled
    ]
