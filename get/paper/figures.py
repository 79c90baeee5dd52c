"""Figures 2 and 3, residuals, training curves: pure functions of rows (see `results`, `statistics`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from get.paper import style
from get.paper.results import USUAL_LOSS, USUAL_OBJECTIVE, Curve, Row
from get.paper.statistics import frame, over_iterations

SMALLEST, AREA = 10, 90  # of circles, in square points: of no parameters, and what the most add
OPACITY = 0.45  # of circles
FID = "FID (train)"
CLASSES = {True: "class-conditional", False: "unconditional"}
Paths = Iterable[str | Path]
Label = tuple[float, float, str, str]  # a point, the text beside it, and its colour


def figure2a(rows: Sequence[Row], paths: Paths) -> None:
    """Draw FID over training iterations, a curve per student."""

    def draw(axes: Axes, data: pd.DataFrame) -> None:
        curves(axes, data, "steps")
        axes.set_xlabel("training iterations")
        style.log_axis(axes, "x")
        style.ticks_at(axes, sorted(data["steps"].dropna().unique(), reverse=True))

    draw_by_class(frame(rows), draw, paths)


def figure2b(rows: Sequence[Row], paths: Paths) -> None:
    """Draw FID over parameters: a curve per family at equal iterations, batch and conditioning.

    Where any such group has several sizes, groups of one size are left out.
    """
    data = frame(rows)
    if len(data):
        groups = data.groupby(["family", "conditioning", "batch", "steps"])
        several = data[groups["parameters"].transform("nunique") > 1]
        data = several if len(several) else data

    def draw(axes: Axes, data: pd.DataFrame) -> None:
        steps, labels = sorted(data["steps"].unique()), []
        for (family, kind, batch, step), group in data.groupby(["family", "conditioning", "batch", "steps"]):
            group = group.sort_values("parameters")
            look = style.look(str(family), steps.index(step))
            last = line(axes, group["parameters"], group["fid_train"], group["fid_train_sd"], look)
            usual = len(data.query("family == @family")[["conditioning", "batch"]].drop_duplicates()) == 1
            kind = "" if usual else f" ({kind}, batch {batch:.0f})"
            labels.append((*last, f"{name_of(str(family))}{kind}, {step:,.0f} steps", look["color"]))
        axes.set_xlabel("parameters")
        style.log_axis(axes, "x")
        finish_fid_axes(axes, labels)

    draw_by_class(data, draw, paths)


def figure3a(rows: Sequence[Row], paths: Paths) -> None:
    """Draw FID over sampling time: GETs at several iterations; the area of a circle is the size."""
    data = over_iterations(rows)
    largest = data["parameters"].max() if len(data) else 1
    machine = ", ".join(sorted({row.device for row in rows if row.device}))

    def draw(axes: Axes, data: pd.DataFrame) -> None:
        labels: list[Label] = []
        points: list[Label] = []
        # of curves that run into each other, the lower has its numbers below, the next one above
        most = data.groupby(["student", "method"])["iterations"].transform("max")
        solvers = data[most > 1].groupby(["student", "method"])
        below = (solvers["fid_train"].last().rank(method="first") % 2 == 1).to_dict()
        for rank, (key, curve) in enumerate(data.groupby(["student", "method"], sort=False)):
            look = style.look(curve["family"].iloc[0], rank)
            x, y, colour = 1e3 * curve["seconds"], curve["fid_train"], look["color"]
            area = SMALLEST + AREA * curve["parameters"] / largest
            axes.plot(x, y, color=colour, linestyle=look["linestyle"])
            # discs show through each other; errors and numbers come on top of them all
            face = to_rgba(look["markerfacecolor"], OPACITY)
            axes.scatter(x, y, area, facecolor=face, edgecolor=colour, linewidth=0.6, zorder=3)
            axes.errorbar(x, y, curve["fid_train_sd"], fmt="none", ecolor=colour, elinewidth=0.6, zorder=4)
            for count, at, fid in zip(curve["iterations"], x, y, strict=True) if key in below else ():
                style.number_circle(axes, str(count), (at, fid), area.max(), below[key])
            # beside a point, the text is left of it: a line to the right would lead through curves
            (labels if key in below else points).append((x.iloc[-1], y.iloc[-1], str(key[1]), colour))
        axes.set_xlabel(f"sampling time per image in ms ({machine})")
        style.log_axis(axes, "x")
        style.log_axis(axes, "y")
        style.label_lines(axes, finite_labels(labels))
        style.label_points(axes, finite_labels(points), 2 + (AREA / np.pi) ** 0.5)

    draw_by_class(data, draw, paths)


def figure3b(rows: Sequence[Row], paths: Paths) -> None:
    """Draw FID over training compute, a curve per student over its milestones."""
    data = frame(rows)
    power, unit = scale_of(data.get("training_flops", pd.Series(dtype=float)))

    def draw(axes: Axes, data: pd.DataFrame) -> None:
        curves(axes, data.assign(compute=data["training_flops"] / power), "compute")
        axes.set_xlabel(f"training compute in {unit}FLOP")
        style.log_axis(axes, "x")

    draw_by_class(data, draw, paths)


def residuals(rows: Sequence[Row], paths: Paths) -> None:
    """Draw what the fixed-point iteration does: steps of the state, and changes of the decoded image."""
    figure, (left, right) = style.panels(2, ["state", "decoded image"])
    labels: dict[Axes, list[Label]] = {left: [], right: []}
    for rank, row in enumerate(row for row in rows if row.runs and row.runs[0].residuals):
        first = row.runs[0]
        look = style.look(first.model.family if first.model else "", rank)
        if not first.conditional:
            look |= {"linestyle": ":", "markerfacecolor": "white"}
        series = (
            (left, 0, [run.residuals for run in row.runs]),
            (right, 1, [run.changes for run in row.runs]),
        )
        for axes, start, runs in series:
            values = np.array(runs, float)
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
            last = line(axes, start + np.arange(values.shape[1]), values.mean(axis=0), spread, look)
            labels[axes].append((*last, row.label + mark_of(first.conditional), look["color"]))
    left.set_ylabel(r"residual $\|f(z_k) - z_k\|$", parse_math=True)
    right.set_ylabel(r"root mean square of $x_{k+1} - x_k$", parse_math=True)
    for axes in (left, right):
        axes.set_xlabel("iteration $k$", parse_math=True)
        style.log_axis(axes, "y")
        style.label_lines(axes, finite_labels(labels[axes]))
    style.save(figure, paths)


def training_curves(curves: Sequence[Curve], paths: Paths) -> None:
    """Draw the loss over training iterations, a curve per student: the mean over seeds, and their spread.

    There is a panel for each family and objective, for they have losses of other things.
    """
    panels: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        panels.setdefault((curve.family, curve.objective), []).append(curve)
    figure, all_axes = style.panels(max(1, len(panels)), [title_of_losses(*kind) for kind in panels])
    for axes, members in zip(all_axes, panels.values(), strict=False):
        draw_losses(axes, members)
    style.save(figure, paths)


def title_of_losses(family: str, objective: str) -> str:
    """Return the title of the training curves of a family and an objective."""
    if objective != USUAL_OBJECTIVE:
        return f"{name_of(family)}: {objective}"
    titles = {"get": "GET: weighted sum over all states", "vit": "ViT: one state"}
    return titles.get(family, name_of(family))


def draw_losses(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw the training curves of one family and objective; where they have several losses, each is named."""
    labels: list[Label] = []
    losses = {curve.loss for curve in curves}
    shades = style.shades(curves[0].family, len(curves))
    for rank, curve in enumerate(curves):
        look = style.look(curve.family, rank) | {"markevery": 0.2, "markersize": 3, "color": shades[rank]}
        look |= {"markerfacecolor": shades[rank] if look["markerfacecolor"] != "white" else "white"}
        # mean and spread over seeds
        tables = [pd.DataFrame(run.rows, columns=list(run.columns)) for run in curve.runs]
        values = pd.concat(tables).groupby("step")["loss"]
        mean, sd = values.mean(), values.std()
        if mean.empty:
            continue
        axes.plot(mean.index, mean, **look)
        axes.fill_between(mean.index, mean - sd, mean + sd, color=look["color"], alpha=0.2, linewidth=0)
        label = curve.label
        if len(losses) > 1 and curve.loss != USUAL_LOSS and curve.loss not in label:
            label += f" ({curve.loss})"
        label += mark_of(curve.conditional)
        labels.append((mean.index[-1], mean.iloc[-1], label, look["color"]))
    axes.set_xlabel("training iterations")
    of_images = curves[0].objective == USUAL_OBJECTIVE
    name = f"{losses.pop()} loss" if len(losses) == 1 else "loss"
    axes.set_ylabel(name + " (pixels in [-1, 1])" * of_images)
    for which in "xy":
        style.log_axis(axes, which)
    usual = axes.get_xticks()
    style.ticks_at(axes, [*sorted({x for x, *_ in labels}, reverse=True), *usual])
    style.label_lines(axes, finite_labels(labels))


FIGURES: dict[str, Callable[[Sequence[Row], Paths], None]] = {  # those that show rows
    "figure2a": figure2a,
    "figure2b": figure2b,
    "figure3a": figure3a,
    "figure3b": figure3b,
    "residuals": residuals,
}


# ---------- what the plots share


def draw_by_class(data: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], paths: Paths) -> None:
    """Draw a panel for the class-conditional rows and one for the unconditional ones, where there are any."""
    kinds = [kind for kind in CLASSES if len(data) and (data["conditional"] == kind).any()]
    figure, panels = style.panels(max(1, len(kinds)), [CLASSES[kind] for kind in kinds])
    for axes, kind in zip(panels, kinds, strict=False):
        axes.set_ylabel(FID)
        draw(axes, data[data["conditional"] == kind])
    style.save(figure, paths)


def curves(axes: Axes, data: pd.DataFrame, x: str) -> None:
    """Draw FID over column `x`, a curve per student, families in their colours."""
    labels = []
    for family, members in data.groupby("family", sort=False):
        for rank, ((_, label), curve) in enumerate(members.groupby(["student", "method"], sort=False)):
            look = style.look(str(family), rank)
            last = line(axes, curve[x], curve["fid_train"], curve["fid_train_sd"], look)
            labels.append((*last, str(label), look["color"]))
    finish_fid_axes(axes, labels)


def line(axes: Axes, x: Any, y: Any, sd: Any, look: Mapping[str, Any]) -> tuple[float, float]:
    """Draw a curve with error bars of one standard deviation; return its last finite point (or NaN)."""
    x, y, sd = (np.asarray(values, float) for values in (x, y, sd))
    axes.errorbar(x, y, sd, **look, elinewidth=0.6, capsize=1.5, capthick=0.6)
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    return (x[good[-1]], y[good[-1]]) if len(good) else (np.nan, np.nan)


def finish_fid_axes(axes: Axes, labels: Sequence[Label]) -> None:
    """Put FID on a logarithmic axis and write the labels beside the curves."""
    style.log_axis(axes, "y")
    style.label_lines(axes, finite_labels(labels))


def finite_labels(labels: Iterable[Label]) -> list[Label]:
    """Return the labels whose point exists."""
    return [label for label in labels if np.isfinite(label[:2]).all()]


def mark_of(conditional: bool | None) -> str:
    """Return the mark of an unconditional student."""
    return "" if conditional else "*"


def name_of(family: str) -> str:
    """Return what a family is called."""
    return {"get": "GET", "vit": "ViT", "unet": "U-Net"}.get(family, family)


def scale_of(flops: pd.Series) -> tuple[float, str]:
    """Return the power of ten and the prefix that suit the smallest of some numbers of operations."""
    smallest = flops.min()
    fitting: Iterator[tuple[float, str]] = (
        (power, prefix)
        for power, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"))
        if smallest >= power
    )
    return next(fitting, (1e9, "G"))
