"""Cells of the readable tables: how a reader sees one value of a line. Light: no NumPy, no pandas."""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

MEGA = 1e6
Line = Mapping[str, Any]  # named values: the statistics of a row (see `statistics`), and more
Cell = Callable[[Line], str]


def missing(value: Any) -> bool:
    """Return whether there is no value: None or NaN."""
    return value is None or value != value


def fixed(value: float, digits: int) -> str:
    """Return a number with thousands separated; what rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def amount(value: float) -> str:
    """Return a number in three or four digits: 2.97T, 8.64M, 28,416, 3.62."""
    for unit, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (MEGA, "M")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{letter}"
    return fixed(value, 0 if abs(value) >= 1000 else 2)


def number(name: str, digits: int = 0, unit: float = 1) -> Cell:
    """Return a cell that shows column `name`, in units of `unit`; '-' for none."""
    return lambda line: "-" if missing(line.get(name)) else fixed(line[name] / unit, digits)


def operations(name: str) -> Cell:
    """Return a cell that shows a number of operations in three or four digits; '-' for none."""
    return lambda line: "-" if missing(line.get(name)) else amount(line[name])


def plus_minus(name: str, digits: int = 2) -> Cell:
    """Return a cell that shows a score and its standard deviation, which is in brackets for a single seed."""

    def cell(line: Line) -> str:
        if missing(line.get(name)):
            return "-"
        spread = f"± {line[f'{name}_sd']:.{digits}f}"
        return f"{fixed(line[name], digits)} {spread if line['seeds'] > 1 else f'({spread})'}"

    return cell


def text(name: str) -> Cell:
    """Return a cell that shows a word."""
    return lambda line: "-" if missing(line.get(name)) else str(line[name])


def percent(name: str) -> Cell:
    """Return a cell that shows a signed percentage."""
    return lambda line: "-" if missing(line.get(name)) else f"{line[name]:+.1f}%"


def with_quartiles(name: str, digits: int = 1) -> Cell:
    """Return a cell that shows a median and its quartiles."""

    def cell(line: Line) -> str:
        values = [line.get(key) for key in (name, f"{name}_low", f"{name}_high")]
        if any(map(missing, values)):
            return "-"
        median, low, high = (fixed(value, digits) for value in values if value is not None)
        return f"{median} ({low} to {high})"

    return cell


def marks(line: Line) -> str:
    """Return the marks of a line: a run never left the plateau of the mean image; too few images for FID."""
    stuck, few = not missing(line.get("note")) and line["note"], not missing(line.get("warnings"))
    return (" (stuck)" if stuck else "") + (" (few images)" if few else "")


def with_warnings(caption: str, lines: Iterable[Line]) -> str:
    """Return the caption of some lines, and what is to be said of those that are marked for few images."""
    of_lines = (line["warnings"].split("; ") for line in lines if not missing(line.get("warnings")))
    warnings = sorted(set(chain.from_iterable(of_lines)))
    return f"{caption} Few images: {'; '.join(warnings)}." if warnings else caption
