"""Studies of what the paper leaves open: each is one module here, found by its name.

A study compares ways of doing one thing. Its table has a line for each way, with the change of FID to the
way that it is compared with; where the interval of that change (see `get.paper.statistics.Advantage`) holds
zero or the seeds disagree, it is undecided. Its text says what the table shows of these students, no more.

A module assigns a `Study` to `STUDY`; all about the study is there. The modules are loaded to plan an
experiment, too: what takes long to import (torch, matplotlib, pandas) they import inside functions. What
studies share is in `common`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from get import plugins
from get.experiment.config import Config, Pairs, Student, Studies
from get.experiment.contents import Content
from get.experiment.experiment import Experiment
from get.paper.cells import Cell, Line
from get.paper.results import Row
from get.storage.errors import UserError

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


def names() -> list[str]:
    """Return the names of all studies."""
    return plugins.names("studies")


def load(name: str) -> Study:
    """Return a study; raises `UserError` where there is none of that name."""
    study = getattr(plugins.load("studies", name, "study"), "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"get/studies/{name}.py assigns no Study to STUDY; see docs/extend.md")
    return study
