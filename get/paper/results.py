"""Results as they are read: score files, costs, histories of trainings, and the rows that tables show.

Settings files (`results/settings/paper/*.json`) list the rows of each table and figure:
`student` and `label` (what to call it), `step`, `batch`, `published` (name of the paper's row, or null), and
`scores`, a score file per seed; `costs_of` names the student whose costs it has, where that is another.
"""

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, PositiveInt, ValidationError, model_validator

from get.storage.errors import UserError
from get.storage.places import require_place
from get.storage.reading import reading
from get.storage.variants import Variant

FIDS = ("fid_train", "fid_test")
SPREAD = (*FIDS, "is")  # whose standard deviation over seeds is given
SCORED = ("samples", *(f"{name}{end}" for name in FIDS for end in ("", "_sd", "_low", "_high")))
IS = ("is", "is_sd")  # which variants have where features come with logits
STUDENT = {"model", "step", "seed", "parameters", "plateau", "residuals", "changes"}  # of a student's scores


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no finite number")
    return value


Number = Annotated[int | float, PlainValidator(_number)]  # an integer stays one, and is printed as one


class Record(BaseModel):
    """What is read from a JSON file. Kinds of values are exact and numbers finite; other keys are ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file; raises `ValueError`, in one line, where it is damaged or another kind of file."""
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except ValidationError as error:
            raise ValueError(_reason(error)) from None


def _reason(error: ValidationError) -> str:
    """Return the first of what is wrong with a record: 'no step', 'fid_train is None', ..."""
    first = error.errors(include_url=False, include_context=False)[0]
    # without places in lists, and the branches of unions
    keys = [key for key in first["loc"] if isinstance(key, str) and "[" not in key]
    if first["type"] == "missing":
        return f"no {keys[-1]}"
    return f"{keys[-1]} is {reprlib.repr(first['input'])}" if keys else first["msg"]


# ---------- scores


class Model(Record):
    """What tables need of a student's model."""

    family: str
    conditioning: str
    iterations: int | None = None  # of a student that applies itself to a state


class Ledger(Record):
    """What a student was given up to a step."""

    images: int
    teacher_evaluations: int  # while it was trained
    networks: int
    pairs: int | None  # to learn from, which were made before


class Scores(Record):
    """A score file. `scores` and `bootstrap` (resamples) are by variant of the samples and by metric."""

    headline: str
    conditional: bool | None
    nfe: int | None
    scores: dict[str, dict[str, Number]]
    bootstrap: dict[str, dict[str, list[float]]]
    place: str | None = None  # what the file was made for; older files do not say
    split: str | None = None  # of the data set, where the images are real ones
    # of students
    model: Model | None = None
    step: PositiveInt | None = None
    seed: int | None = None
    ledger: Ledger | None = None  # older files have none
    parameters: PositiveInt | None = None
    warnings: list[str] = []  # what is to be said beside its FIDs
    plateau: bool = False  # whether training never left the mean image
    residuals: list[float] | dict[str, list[float]] = []  # by iteration; in the study of solvers, by solver
    changes: list[float] = []  # of the decoded image, by iteration
    # of the study of initial states
    apart: dict[str, float] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.headline not in self.scores:
            raise ValueError(f"no scores of {self.headline}")
        for variant, scores in self.scores.items():
            resamples = self.bootstrap.get(variant, {})
            with_is = not scores.keys().isdisjoint(IS)
            absent = [name for name in (*SCORED, *(IS if with_is else ())) if name not in scores]
            resampled = SPREAD if with_is else FIDS
            absent += [f"bootstrap of {name}" for name in resampled if name not in resamples]
            if absent:
                raise ValueError(f"no {absent[0]}")
        if self.model or str(self.place).startswith("students/"):
            for name in sorted(STUDENT):
                if name not in self.model_fields_set or (name == "step" and not self.step):
                    raise ValueError(f"no {name}")
        return self

    @property
    def iterations(self) -> int | None:
        """The number of fixed-point iterations that the student was trained with; None without a state."""
        return self.model.iterations if self.model else None

    def of(self, variant: Variant | None) -> Mapping[str, int | float]:
        """Return the scores of a variant by metric; None is the headline."""
        return self.scores[str(variant or self.headline)]

    def resamples(self, variant: Variant | None) -> Mapping[str, Sequence[float]]:
        """Return the bootstrap resamples of a variant by metric; None is the headline."""
        return self.bootstrap[str(variant or self.headline)]


def read_scores(path: str | Path) -> Scores:
    """Read a score file.

    Raises:
        UserError: missing, damaged, no score file, or put in the place of another.
    """
    with reading(path, "score file"):
        found = Scores.read(path)
        require_place(path, found.place)
    return found


# ---------- costs


class Mode(StrEnum):
    """How a student was trained when its costs were measured."""

    PLAIN = "plain"
    CHECKPOINTED = "checkpointed"  # O(1) memory


class Spread(Record):
    """A median and quartiles."""

    median: Number
    low: Number
    high: Number


class TrainingCosts(Record):
    """Costs of a training step."""

    iterations_per_second: Spread
    peak_memory_bytes: Number


class Costs(Record):
    """Costs of one student. Operations are for one image, as are the seconds of `sampling`, by iterations."""

    parameters: Number
    macs: Number  # of the forward pass
    training_flops: Number  # of forward and backward pass, with those of targets and teacher
    teacher_evaluations: Number = 0  # while it is trained
    networks: Number = 1  # that training holds: the student, a target, a teacher
    training: dict[Mode, TrainingCosts]
    sampling: dict[int, Spread]


class TeacherCosts(Record):
    """Costs of a teacher: of one evaluation, for one image."""

    macs: Number


class CostsFile(Record):
    """The costs of every student (and teacher) by name, and the device that they were measured on."""

    device: str
    students: dict[str, Costs]
    teachers: dict[str, TeacherCosts] = {}  # where methods are compared


def read_costs(path: str | Path) -> CostsFile:
    """Read the costs of every student; raises `UserError` where the file is missing, damaged or no costs."""
    with reading(path, "file of costs"):
        return CostsFile.read(path)


# ---------- histories

USUAL_LOSS, USUAL_OBJECTIVE = "L1", "pairs"  # the paper's, which settings files do not name


class History(Record):
    """What a training wrote down as it ran."""

    columns: tuple[Literal["step"], Literal["loss"], Literal["gradient norm"]]
    rows: list[tuple[int, float, float]]


@dataclass(frozen=True)
class Curve:
    """The histories of a student's seeds, what the student is, and what was trained with."""

    label: str
    family: str
    conditional: bool
    runs: Sequence[History]
    loss: str = USUAL_LOSS
    objective: str = USUAL_OBJECTIVE


def read_history(path: str | Path) -> History:
    """Read the history of a training; raises `UserError` where it is missing, damaged or no history."""
    with reading(path, "history of a training"):
        return History.read(path)


def read_curves(entries: Iterable[Mapping[str, Any]]) -> list[Curve]:
    """Read the histories that a settings file lists; raises `UserError` as `read_history` does."""
    return [
        Curve(
            label=entry["label"],
            family=entry["family"],
            conditional=entry["conditional"],
            runs=[read_history(path) for path in entry["histories"]],
            loss=entry.get("loss", USUAL_LOSS),
            objective=entry.get("objective", USUAL_OBJECTIVE),
        )
        for entry in entries
    ]


# ---------- rows


@dataclass(frozen=True)
class Row:
    """One (student, step), or another source of images: what it is called, and its scores, one per seed."""

    label: str
    runs: Sequence[Scores]
    student: str = ""
    batch: int = 0  # 0 where nothing was trained
    published: str | None = None
    costs: Costs | None = None
    device: str | None = None  # that the costs were measured on

    @property
    def steps(self) -> int:
        """Training steps of its runs; 0 of what is no student."""
        return self.runs[0].step or 0


def read_rows(entries: Iterable[Mapping[str, Any]], costs: str | Path | None = None) -> list[Row]:
    """Read the rows that a settings file lists, with their costs from the file `costs`, if given.

    Raises:
        UserError: a score file is missing, damaged or another's; or the costs are of other students.
    """
    file = read_costs(costs) if costs else None
    rows = []
    for entry in entries:
        runs = [read_scores(path) for path in entry["scores"]]
        row = Row(
            entry["label"], runs, entry.get("student", ""), entry.get("batch", 0), entry.get("published")
        )
        if costs and file and row.student:
            # costs are those of the scored student if it has as many parameters
            found = file.students.get(entry.get("costs_of", row.student))
            for run, path in zip(runs, entry["scores"], strict=True):
                if found is None or found.parameters != run.parameters:
                    raise UserError(f"{costs} has no costs of the student that {path} is of", costs, path)
            row = replace(row, costs=found, device=file.device)
        rows.append(row)
    return rows
