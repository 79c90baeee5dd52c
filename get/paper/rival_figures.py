"""Figures of one-step methods at equal budgets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from get.paper import style
from get.paper.figures import FID, Label, finish_fid_axes, line, scale_of
from get.paper.grids import hide_axes
from get.paper.rivals import Entry, lines_of
from get.paper.style import plt
from get.storage.mosaic import GAP, tile

KILO = 1e3
CELL = 0.5  # inches: an image beside others
LOOKS = {  # colour, line, whether markers are filled; Okabe and Ito's colours
    "get": ("#0072B2", "-", True),
    "vit": ("#D55E00", (0, (4, 2)), False),
    "pairs": ("#009E73", (0, (1, 1)), True),
    "reflow": ("#CC79A7", (0, (4, 1, 1, 1)), False),
    "distillation": ("#E69F00", "-", False),
    "training": ("#56B4E9", (0, (4, 2)), True),
    "progressive": ("#000000", (0, (1, 2)), False),
}
Paths = Iterable[str | Path]


def look(kind: str, rank: int) -> dict[str, Any]:
    """Return colour, line and marker of the member number `rank` of a kind, as arguments of `plot`."""
    colour, stroke, filled = LOOKS[kind]
    face = colour if filled else "white"
    return {"color": colour, "linestyle": stroke, "marker": style.MARKERS[rank], "markerfacecolor": face}


def fid_over_budgets(entries: Sequence[Entry], paths: Paths) -> None:
    """Draw FID over total compute, with that of pairs, and over teacher evaluations; a curve per method."""
    data = pd.DataFrame(lines_of(entries))
    figure, (left, right) = style.panels(2)
    power, unit = scale_of(data["total_flops"])
    _curves(left, data.assign(x=data["total_flops"] / power))
    left.set_xlabel(f"total compute in {unit}FLOP (pairs and training)")
    style.log_axis(left, "x")
    left.set_ylabel(FID)
    style.log_axis(left, "y")
    labels = _curves(right, data.assign(x=data["teacher_evaluations"] / KILO))
    right.set_xlabel("evaluations of the teacher in thousands (pairs and training)")
    _axis_with_zero(right)
    finish_fid_axes(right, labels)
    style.save(figure, paths)


def _axis_with_zero(axes: Axes) -> None:
    """Make the x axis logarithmic from 1 on, and linear down to 0, where methods without a teacher are."""
    highest = axes.get_xlim()[1]
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.3, 1.5 * max(highest, 1))
    ticks = [0, *(10.0**power for power in range(7) if 10.0**power <= highest)]
    axes.set_xticks(ticks, [style.compact(tick) for tick in ticks])


def _curves(axes: Axes, data: pd.DataFrame) -> list[Label]:
    """Draw FID over column `x`, a curve per method; return the labels of their ends."""
    labels: list[Label] = []
    for kind, members in data.groupby("kind", sort=False):
        for rank, (_, curve) in enumerate(members.groupby("name", sort=False)):
            curve = curve.sort_values("budget")
            shown = look(str(kind), rank)
            last = line(axes, curve["x"], curve["fid_train"], curve["fid_train_sd"], shown)
            labels.append((*last, str(curve["method"].iloc[0]), shown["color"]))
    return labels


def side_by_side(columns: Sequence[tuple[str, NDArray[np.uint8]]], paths: Paths) -> None:
    """Draw samples of several methods on the same noise: a row of noise, a column of a method.

    Args:
        columns: what each method is called, and its images (N, C, H, W).
        paths: of the figure.
    """
    (count, _, height, width), pixels = columns[0][1].shape, columns[0][1].shape[1:]
    images = np.stack([each for _, each in columns], axis=1).reshape(-1, *pixels)
    size = CELL * len(columns) + 0.8, CELL * count + 1.2
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.imshow(tile(images, len(columns)), interpolation="nearest")
    across = [number * (width + GAP) + width / 2 - 0.5 for number in range(len(columns))]
    axes.set_xticks(across, [name for name, _ in columns], rotation=60, ha="left", fontsize=6)
    axes.xaxis.tick_top()
    down = [number * (height + GAP) + height / 2 - 0.5 for number in range(count)]
    axes.set_yticks(down, [f"noise {number + 1}" for number in range(count)])
    hide_axes(axes)
    style.save(figure, paths)
