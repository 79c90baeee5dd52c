"""Figures of studies, from their lines. Matplotlib and pandas are imported when one is drawn."""

from collections.abc import Sequence
from typing import Any

from get.studies import Lines, Paths
from get.studies.common.comparison import with_change

FID = "FID (train)"


def plot_changes(lines: Lines, paths: Paths) -> None:
    """Draw the changes of FID with their intervals, a line for each comparison."""
    from get.paper import style

    changes = with_change(lines)
    below, above = (
        [abs(line[end] - line["change"]) for line in changes] for end in ("change_low", "change_high")
    )
    several = len({line["way"] for line in changes}) > 1
    names = [line["student"] + (f": {line['way']}" if several else "") for line in changes]
    figure, axes = _dots(names, [line["change"] for line in changes], [below, above])
    axes.axvline(0, color="0.4", linewidth=0.6)
    axes.set_xlabel(f"change of {FID}, with its interval")
    style.save(figure, paths)


def plot_levels(lines: Lines, paths: Paths) -> None:
    """Draw FID itself with one standard deviation, a line for each way."""
    from get.paper import style

    decoded = (f", {line['decoded']} decoded" if "decoded" in line else "" for line in lines)
    names = [f"{line['way']}{how}, lr {line['lr']:g}" for line, how in zip(lines, decoded, strict=True)]
    values, errors = ([line[name] for line in lines] for name in ("fid_train", "fid_train_sd"))
    figure, axes = _dots(names, values, errors)
    axes.set_xlabel(FID)
    style.log_axis(axes, "x")
    low, high = axes.get_xlim()
    if high > 30 * low:  # beside long names there is room for the powers of ten
        style.ticks_at(axes, [10.0**power for power in range(-2, 6)])
    style.save(figure, paths)


def _dots(names: Sequence[str], x: Sequence[float], errors: Any) -> tuple[Any, Any]:
    """Draw a named line for each x, with a bar of its errors; return figure and axes."""
    from get.paper import style

    figure, (axes,) = style.panels(1)
    heights = [-place for place in range(len(names))]
    look = style.look("get", 0) | {"linestyle": "none"}
    axes.errorbar(x, heights, xerr=errors, **look, elinewidth=0.8, capsize=2)
    axes.set_yticks(heights, names)
    axes.set_ylim(heights[-1] - 0.6, 0.6)
    return figure, axes


def plot_beside_fid(lines: Lines, paths: Paths, x: tuple[str, str], beside: tuple[str, str]) -> None:
    """Draw a column and FID over another column, a curve for each student and way.

    Args:
        lines: of the study; paths: of the figure.
        x, beside: the columns, and what their axes say; `beside` may hold mathematics.
    """
    import pandas as pd

    from get.paper import figures, style

    figure, (left, right) = style.panels(2)
    labels: dict[Any, list[figures.Label]] = {left: [], right: []}
    by_way = pd.DataFrame(lines).assign(none=float("nan")).groupby("way", sort=False)
    for family, (way, ways) in zip(("get", "vit", "other"), by_way, strict=False):
        for rank, (student, curve) in enumerate(ways.groupby("student", sort=False)):
            look = style.look(family, rank)
            name = ", ".join(filter(None, (str(student), str(way))))
            for axes, y, sd in ((left, beside[0], "none"), (right, "fid_train", "fid_train_sd")):
                last = figures.line(axes, curve[x[0]], curve[y], curve[sd], look)
                labels[axes].append((*last, name, look["color"]))
    left.set_ylabel(beside[1], parse_math=True)
    right.set_ylabel(FID)
    for axes in (left, right):
        axes.set_xlabel(x[1])
        style.log_axis(axes, "x")
        style.ticks_at(axes, sorted({line[x[0]] for line in lines}, reverse=True))
        figures.finish_fid_axes(axes, labels[axes])
    style.save(figure, paths)
