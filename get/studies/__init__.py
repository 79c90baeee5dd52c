"""Studies of what the paper leaves open: each is one module here, found by its name.

A study compares ways of doing one thing. Its table has a line for each way, with the change of FID to the
way that it is compared with; where the interval of that change (see `get.paper.statistics.Advantage`) holds
zero or the seeds disagree, it is undecided. Its text says what the table shows of these students, no more.

A module assigns an object of its own subclass of `Study` (or `SampledStudy`) to `STUDY`; all about the study
is there. The modules are loaded to plan an experiment, too: what takes long to import (torch, matplotlib,
pandas) they import inside the methods. What studies share is in `common`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from get import plugins
from get.paper.cells import Cell, Line
from get.storage.errors import UserError

if TYPE_CHECKING:
    from get.paper.results import Row

PACKAGE = "studies"


class Study(ABC):
    """A study: how the results of its rows become lines, a text and a figure."""

    title: ClassVar[str]  # of its page, and in the report's menu
    caption: ClassVar[str]  # of its table and figure; what holds for all studies is added
    columns: ClassVar[Mapping[str, Cell]]  # of the readable table

    @abstractmethod
    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return the lines of the table.

        Args:
            rows: the results, in the order of `settings['rows']`.
            settings: of the study, from its settings file: what its rows are, beyond what their scores say.
        """

    @abstractmethod
    def text(self, lines: Sequence[Line]) -> str:
        """Return what the lines show, in a sentence or two."""

    @abstractmethod
    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw the figure and save it under each name."""

    def readable(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Return the lines that the readable table shows; the CSV has all."""
        return lines


class SampledStudy(Study):
    """A study that samples trained GETs in ways of its own; the samples are scored like any others."""

    @abstractmethod
    def sample(self, *arguments: Any, **options: Any) -> None:
        """Write a sample file with a variant for each way; its info says more about what they compare.

        Args:
            *arguments: none.
            **options: `weights`, the student's checkpoint; `samples`, `batch`, `precision`, `seed` and
                `device` as for `get.sampling.students.sample_student`; `output`, the file; and what is
                in the settings of this study alone.

        Raises:
            UserError: the checkpoint is damaged, or of no GET.
        """


def names() -> list[str]:
    """Return the names of all studies."""
    return plugins.names(PACKAGE)


def load(name: str) -> Study:
    """Return a study; raises `UserError` where there is none of that name."""
    study = getattr(plugins.load(PACKAGE, name, "study"), "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"get/studies/{name}.py assigns no Study to STUDY; see docs/extend.md")
    return study


def load_sampled(name: str) -> SampledStudy:
    """Return a study that samples GETs; raises `UserError` where the study is no such one."""
    study = load(name)
    if not isinstance(study, SampledStudy):
        raise UserError(f"the study {name} samples nothing")
    return study
