"""Studies of what the paper leaves open: each is one module here, found by its name.

A study compares ways of doing one thing. Its table has a line for each way, with the change of FID to the
way that it is compared with; where the interval of that change (see `get.paper.statistics.Advantage`) holds
zero, it is undecided. Its text says what the table shows of these students, no more.

A module assigns a `Study` to `STUDY`; all about the study is there. The modules are loaded to plan an
experiment, too: what takes long to import (torch, matplotlib, pandas) they import inside functions. What
studies share is in `common`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from get import experiment as experiments
from get.experiment import contents, rivals, settings, tuning
from get.experiment.config import Config
from get.experiment.config.errors import check
from get.experiment.config.students import Student
from get.experiment.config.studies import Studies
from get.experiment.config.teachers import Pairs
from get.experiment.contents import Content
from get.experiment.experiment import Experiment
from get.paper.cells import Cell, Line
from get.paper.results import Row
from get.runtime import plugins
from get.storage.errors import UserError
from get.storage.hashing import canonical_json

Rows = Sequence[Row]
Settings = Mapping[str, Any]  # of a study, from its settings file
Lines = Sequence[Line]
Paths = Iterable[str | Path]


@dataclass(frozen=True)
class Study:
    """A study.

    Args:
        title: of its page, and in the report's menu.
        caption: of its table; what holds for all studies is added.
        students: from a config and its studies to the students that are trained for this one, by name;
            several studies may train the same.
        pairs: likewise to the sets of pairs that are made for it.
        content: from an experiment and the studies of its config to what the settings file holds: `rows`,
            and what else `lines` needs.
        columns: of the readable table; the CSV has all.
        lines: from rows, in the order of their list in the settings, and settings to the lines of the table.
        text: from lines to a sentence or two about what they show.
        draw: from lines to the figure, which is saved under each name.
        changes_only: whether the readable table leaves out lines that are compared with none.
        sample: of a study that samples trained GETs itself: writes a sample file, a variant for each way.
            Its keyword arguments are `weights` (the checkpoint), `output`, `samples`, `batch`, `precision`,
            `seed`, `device` as for `get.sampling.students.sample_student`, and what `sampling` adds.
        sampling: from the studies of the config to what else the settings of sampling hold.
    """

    title: str
    caption: str
    content: Callable[[Experiment, Studies], Content]
    columns: Mapping[str, Cell]
    lines: Callable[[Rows, Settings], list[Line]]
    text: Callable[[Lines], str]
    draw: Callable[[Lines, Paths], None]
    changes_only: bool = False
    students: Callable[[Config, Studies], dict[str, Student]] = lambda config, studies: {}
    pairs: Callable[[Config, Studies], dict[str, Pairs]] = lambda config, studies: {}
    sample: Callable[..., None] | None = None
    sampling: Callable[[Studies], Settings] = lambda studies: {}


NAMES = plugins.names("studies")


def load(name: str) -> Study:
    """Return a study; raises `UserError` if its module assigns none."""
    study = getattr(plugins.load("studies", name, "study"), "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"get/studies/{name}.py assigns no Study to STUDY; see docs/extend.md")
    return study


# ---------------------------------------------------------------------------------- studies of an experiment


def load_experiment(given: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a config, with what trials, studies and rivals add; raises `ConfigError`."""
    experiment = experiments.load(given)
    config = experiment.config
    students = tuning.students_beside(config)
    pairs: dict[str, Pairs] = {}
    if config.studies:
        students |= _added(experiment, "students", [load(name).students for name in NAMES])
        pairs = _added(experiment, "pairs", [load(name).pairs for name in NAMES])
    students |= rivals.students_beside(config, students)
    return Experiment(config, students, pairs)


def _added(experiment: Experiment, part: str, adding: Iterable[Callable[..., Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    config = experiment.config
    for function in adding:
        for name, made in function(config, config.studies).items():
            check(
                name not in getattr(config, part) and found.get(name, made) == made,
                f"{part}.{name}: `studies` makes one of that name; choose another",
            )
            found[name] = made
    return found


def studies_of(experiment: Experiment) -> Studies:
    """Return the studies of the config; raises `ConfigError` if there are none."""
    studies = experiment.config.studies
    check(studies, "there is no key studies; config.yaml has one to start from")
    assert studies
    return studies


def outputs(experiment: Experiment) -> list[str]:
    """Return all that the rule `studies` makes; raises `ConfigError` if the config has no studies."""
    studies_of(experiment)
    formats = ("csv", "md", "html", "pdf", "png")
    return [f"{experiment.results}/studies/{name}.{format}" for name in NAMES for format in formats]


def content(experiment: Experiment, name: str) -> Content:
    """Return what a study shows."""
    studies = studies_of(experiment)
    return load(name).content(experiment, studies) | {"student": experiment.full_label(studies.trained)}


def sampling(experiment: Experiment, name: str) -> Settings:
    """Return how a study samples GETs."""
    studies, evaluation = studies_of(experiment), experiment.config.evaluation
    found = {"batch": evaluation.batch, "precision": evaluation.precision, "samples": evaluation.samples}
    return {**found, **load(name).sampling(studies)}


def sampled() -> list[str]:
    """Return the studies that sample GETs in ways of their own."""
    return [name for name in NAMES if load(name).sample]


def score_files(experiment: Experiment, name: str) -> list[str]:
    """Return the scores that a study reads."""
    return [path for entry in content(experiment, name)["rows"] for path in entry["scores"]]


def documents(experiment: Experiment) -> dict[str, list[str]]:
    """Return the files that each document is made from (see `contents.documents`), with all others."""
    names = NAMES if experiment.config.studies else []
    studies = {f"studies/{name}": score_files(experiment, name) for name in names}
    compared = rivals.documents(experiment) if experiment.config.rivals else {}
    return tuning.documents(experiment) | studies | compared | contents.documents(experiment)


def caption(experiment: Experiment, name: str) -> str:
    """Return the caption of a study, with what holds for all, and what is particular to the data."""
    data = contents.about_data(experiment)
    return " ".join(
        [load(name).caption, contents.captions(experiment)["studies"], data["all"], data["tables"]]
    )


# -------------------------------------------------------------- settings files, with those of all other jobs


def settings_text(experiment: Experiment, path: str) -> str:
    """Return the content of the settings file at `path` ('studies/pairs', 'sampling/get-16/500'), as JSON."""
    kind, _, name = path.partition("/")
    if kind in SETTINGS:
        return canonical_json(SETTINGS[kind](experiment, name))
    return settings.settings_text(experiment, path)


def settings_pattern(experiment: Experiment) -> str:
    """Return a regular expression of the paths of settings files."""
    config, chosen = experiment.config, rivals.trials_of(experiment)
    names = {
        "studies": NAMES,
        "studies-sampling": sampled(),
        "rivals": rivals.tasks(experiment),
        "rivals-trials": chosen,
        "rivals-rates": rivals.tasks(experiment),
        "tuning": [config.tuning.key] if config.tuning else [],
    }
    own = [f"{kind}/({'|'.join(map(re.escape, each))})" for kind, each in names.items()]
    return "|".join([*own, "rivals-costs", "rivals-budgets", settings.settings_pattern(experiment, chosen)])


SETTINGS: dict[str, Callable[[Experiment, str], Settings]] = {
    "studies": content,
    "studies-sampling": sampling,
    "tuning": lambda experiment, _: tuning.content(experiment),
    "rivals": rivals.content,
    "rivals-trials": rivals.candidates,
    "rivals-rates": rivals.rates,
    "rivals-budgets": lambda experiment, _: rivals.budgets_settings(experiment),
    "rivals-costs": lambda experiment, _: rivals.costs_settings(experiment),
}
