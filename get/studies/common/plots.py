"""Figures of studies, from their lines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from get.paper import style
from get.paper.cells import Line
from get.paper.figures import FID, Label, Paths, finish, line
from get.studies.common.comparison import with_change


def plot_changes(lines: Sequence[Line], paths: Paths) -> None:
    """Draw the changes of FID with their intervals, a line for each comparison."""
    shown = pd.DataFrame(with_change(lines))
    ends = shown[["change_low", "change_high"]].sub(shown["change"], axis=0).abs().to_numpy(float).T
    several = shown["way"].nunique() > 1
    names = shown["student"] + (": " + shown["way"] if several else "")
    figure, axes = _dots(names, shown["change"], ends)
    axes.axvline(0, color="0.4", linewidth=0.6)
    axes.set_xlabel(f"change of {FID}, with its interval")
    style.save(figure, paths)


def plot_levels(lines: Sequence[Line], paths: Paths) -> None:
    """Draw FID itself with one standard deviation, a line for each way."""
    found = pd.DataFrame(lines)
    names = found["way"] + (", " + found["decoded"] + " decoded" if "decoded" in found else "")
    names += found["lr"].map(", lr {:g}".format)
    figure, axes = _dots(names, found["fid_train"], found["fid_train_sd"])
    axes.set_xlabel(FID)
    style.log_axis(axes, "x")
    low, high = axes.get_xlim()
    if high > 30 * low:  # beside long names there is room for the powers of ten
        style.ticks_at(axes, [10.0**power for power in range(-2, 6)])
    style.save(figure, paths)


def _dots(names: pd.Series, x: pd.Series, errors: Any) -> tuple[Figure, Axes]:
    """Draw a named line for each x, with a bar of its errors."""
    figure, (axes,) = style.panels(1)
    heights = -np.arange(len(names))
    look = style.look("get", 0) | {"linestyle": "none"}
    axes.errorbar(x, heights, xerr=errors, **look, elinewidth=0.8, capsize=2)
    axes.set_yticks(heights, names)
    axes.set_ylim(heights[-1] - 0.6, 0.6)
    return figure, axes


def plot_beside_fid(lines: Sequence[Line], paths: Paths, x: tuple[str, str], beside: tuple[str, str]) -> None:
    """Draw a column and FID over another column, a curve for each student and way.

    Args:
        lines: of the study; paths: of the figure.
        x, beside: the columns, and what their axes say.
    """
    found = pd.DataFrame(lines)
    figure, (left, right) = style.panels(2)
    labels: dict[Axes, list[Label]] = {left: [], right: []}
    for family, (way, ways) in zip(("get", "vit", "other"), found.groupby("way", sort=False), strict=False):
        for rank, (student, curve) in enumerate(ways.groupby("student", sort=False)):
            look = style.look(family, rank)
            name = ", ".join(filter(None, (str(student), str(way))))
            without = np.full(len(curve), np.nan)
            for axes, column, sd in (
                (left, beside[0], without),
                (right, "fid_train", curve["fid_train_sd"]),
            ):
                last = line(axes, curve[x[0]], curve[column], sd, look)
                labels[axes].append((*last, name, look["color"]))
    left.set_ylabel(beside[1])
    right.set_ylabel(FID)
    for axes in (left, right):
        axes.set_xlabel(x[1])
        style.log_axis(axes, "x")
        style.ticks_at(axes, sorted(found[x[0]].unique(), reverse=True))
        finish(axes, labels[axes])
    style.save(figure, paths)
