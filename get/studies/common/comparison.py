"""Comparisons of FID: a line for each way, sentences about the lines, and their columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from get.paper.cells import Cell, Line, marks, missing, number, plus_minus, text
from get.paper.results import Row
from get.storage.variants import Variant

TURNS = {"better": "lower", "worse": "higher", "undecided": "undecided", "no score": "not known"}


@dataclass(frozen=True)
class Way:
    """One way of doing it: what it is called, its scores, the variant of the samples, further columns."""

    name: str
    row: Row
    variant: Variant | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def compare(student: str, way: Way, other: Way | None = None) -> Line:
    """Return the line of one way: its `row_statistics`, and the change of FID to the `other` way, if any.

    The columns of a change are `to` (the other way), `change` with its interval `change_low` and
    `change_high`, and `turn`, one of `TURNS`.
    """
    from get.paper.statistics import advantage, row_statistics

    line = row_statistics(way.row, way.variant) | {"student": student, "way": way.name, **way.columns}
    if other is None:
        return line
    gain = advantage(way.row, other.row, "fid_train", (way.variant, other.variant))
    low, high = gain.interval
    change = {"to": other.name, "change": -gain.value, "change_low": -high, "change_high": -low}
    return line | change | {"turn": TURNS[gain.verdict]}


def compare_to_first(student: str, ways: Iterable[Way]) -> list[Line]:
    """Return the lines of several ways, each but the first compared with the first."""
    first, *others = ways
    return [compare(student, first), *(compare(student, way, first) for way in others)]


def rows_by_rate(rows: Sequence[Row], rates: Sequence[float]) -> Iterable[tuple[float, Sequence[Row]]]:
    """Return each learning rate and its rows; there are equally many rows for each."""
    each = len(rows) // len(rates)
    return [(rate, rows[place * each : (place + 1) * each]) for place, rate in enumerate(rates)]


# ---------- sentences


def with_change(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that compare with another way."""
    return [line for line in lines if not missing(line.get("to"))]


def fid_changes(lines: Sequence[Line], name: str = "student") -> str:
    """Return for which lines (by the column `name`) FID is lower, higher, or undecided, with the changes."""
    parts = []
    for turn in TURNS.values():
        those = [line for line in lines if line.get("turn") == turn]
        if those:
            changes = (f"{line[name]}{marks(line)} ({change(line)})" for line in those)
            parts.append(f"{turn} for {', '.join(changes)}")
    return f"FID is {'; '.join(parts)}"


def change(line: Line) -> str:
    """Return a change of FID and its interval as text."""
    if missing(line.get("change")):
        return "-"
    value, low, high = (f"{line[name]:+.2f}" for name in ("change", "change_low", "change_high"))
    return f"{value}, {low} to {high}"


# ---------- columns

STUDENT: dict[str, Cell] = {"Student": text("student")}
WAY: dict[str, Cell] = {**STUDENT, "Way": lambda line: line["way"] + marks(line)}
RATE: dict[str, Cell] = {"Learning rate": lambda line: f"{line['lr']:g}"}
CHANGE: dict[str, Cell] = {
    "Change of FID (interval)": change,
    "FID is": text("turn"),
    "Seeds": number("seeds"),
}
FIDS: dict[str, Cell] = {
    "FID (train)": plus_minus("fid_train"),
    "FID (test)": plus_minus("fid_test"),
    **CHANGE,
}
WORDS = ("Student", "Way", "Solver", "Decoded", "FID is")
