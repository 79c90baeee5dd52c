"""How every figure looks: widths, fonts, colours, markers, labels, and how it is saved.

Colours are Okabe and Ito's, which colour-blind readers tell apart. In grey, families differ by filled and
open markers and by the line, members of a family by the marker.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # also where matplotlib was imported before

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from get.paper.naming import named
from get.storage.atomic import atomic

COLUMN = 3.25  # inches, the width of a column of text
PAGE = 6.75  # inches, the width of two columns
HEIGHT = 2.5  # inches, of a plot
DPI = 300
LABELS = 1.04  # where the labels of curves begin, in widths of a plot
TICK_GAP = 0.14  # between two labelled ticks, of the length of an axis as wide as a column

plt.rcdefaults()  # whatever a matplotlibrc says, figures look the same
plt.rcParams.update(
    {
        "text.parse_math": False,  # a label of the config may hold a $
        "font.family": "DejaVu Sans",
        "font.size": 7,
        "axes.titlesize": 7,
        "axes.labelsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "0.9",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.0,
        "lines.markersize": 4,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "pdf.fonttype": 42,  # embedded TrueType: text stays text
        "savefig.bbox": "tight",
        "savefig.pad_inches": 0.02,
    }
)

FAMILIES = {  # colour, line, whether markers are filled
    "get": ("#0072B2", "-", True),
    "vit": ("#D55E00", (0, (4, 2)), False),
}
OTHERS = ("#009E73", (0, (1, 1)), True)
MARKERS = "os^Dv*XPph"
DARKEST, LIGHTEST = 0.6, 0.45  # shares of black and white in shades


def look(family: str, rank: int) -> dict[str, Any]:
    """Return colour, line and marker of the member number `rank` of a family, as arguments of `plot`."""
    colour, line, filled = FAMILIES.get(family, OTHERS)
    marker = MARKERS[rank % len(MARKERS)]
    face = colour if filled else "white"
    return {"color": colour, "linestyle": line, "marker": marker, "markerfacecolor": face}


def shades(family: str, count: int) -> list[str]:
    """Return colours of the members of a family that are told apart by lightness, from dark to light."""
    colour = np.array(to_rgb(look(family, 0)["color"]))
    found = []
    for share in np.linspace(-DARKEST, LIGHTEST, count) if count > 1 else [0.0]:
        red, green, blue = colour * (1 + share) if share < 0 else colour + (1 - colour) * share
        found.append(to_hex((red, green, blue)))
    return found


def panels(count: int, titles: Sequence[str] = ()) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure as wide as the page, with `count` plots, of several two side by side."""
    rows, columns = -(-count // 2), min(count, 2)
    size = (PAGE, rows * HEIGHT)  # all alike, so letters are of one size wherever figures are scaled
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    axes = [*grid.flat]
    for empty in axes[count:]:
        empty.remove()
    for axis, title in zip(axes[:count], titles, strict=False):
        axis.set_title(title)
    return figure, axes[:count]


def log_axis(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at a few places of each decade."""
    getattr(axes, f"set_{which}scale")("log")
    axis, set_limits = getattr(axes, f"{which}axis"), getattr(axes, f"set_{which}lim")
    low, high = getattr(axes, f"get_{which}lim")()
    if low <= 0:  # nothing was drawn
        low, high = set_limits(1, 10)
    ratio = high / low
    if ratio < 3:  # room for a few ticks
        middle = (low * high) ** 0.5
        set_limits(middle / 3**0.5, middle * 3**0.5)
    subs = (1, 1.5, 2, 3, 5, 7) if ratio < 10 else (1, 2, 5)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axis.set_minor_formatter(NullFormatter())


def ticks_at(axes: Axes, values: Iterable[float]) -> None:
    """Put the ticks of a logarithmic x axis at those of `values` that it shows; the first are labelled first.

    Where a label would touch another one, the tick has none.
    """
    grid = axes.get_subplotspec()
    gap = TICK_GAP * (grid.get_gridspec().ncols / 2 if grid else 1.0)
    low, high = axes.get_xlim()
    values, length = [value for value in values if low <= value <= high], np.log(high / low)
    labelled: list[float] = []
    for value in values:
        if all(abs(np.log(value / other)) > gap * length for other in labelled):
            labelled.append(value)
    axes.set_xticks(labelled)
    axes.set_xticks(values, minor=True)


def compact(value: float) -> str:
    """Return a number as a tick shows it: 0.02, 500, 20k, 3M."""
    if value < 1e4:
        return f"{value:g}"
    return f"{value / 1e3:g}k" if value < 1e6 else f"{value / 1e6:g}M"


def label_lines(axes: Axes, labels: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each (x, y, text, colour) beside the right edge near its height; texts are moved apart.

    A thin line leads from (x, y) to the text. Call it last, when the limits of the axes are final.
    """
    if not labels:
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    box, pitch = axes.get_window_extent(), 7.5 * figure.dpi / 72  # pixels between lines of text
    starts = axes.transData.transform([(x, y) for x, y, *_ in labels])
    leader = {
        "arrowstyle": "-",
        "relpos": (0, 0.5),
        "patchA": None,  # or the line ends at a box around the text, which is another label's place
        "linewidth": 0.4,
        "alpha": 0.6,
        "shrinkA": 1,
        "shrinkB": 3,
    }
    order = np.argsort(starts[:, 1], kind="stable")
    heights = move_apart(starts[order, 1], pitch, box.y0, box.y1)
    # a line that passes above the last point of another curve has its text above that curve's
    x, y = starts[order].T
    passing = y + (heights - y) * (x.max() - x) / (box.x0 + LABELS * box.width - x)
    order = order[np.argsort(passing, kind="stable")]
    heights = move_apart(starts[order, 1], pitch, box.y0, box.y1)
    for height, (x, y, text, colour) in zip(heights, (labels[index] for index in order), strict=True):
        axes.annotate(
            text,
            (x, y),
            (LABELS, (height - box.y0) / box.height),
            textcoords="axes fraction",
            color=colour,
            fontsize=6.5,
            va="center",
            annotation_clip=False,
            arrowprops=leader | {"color": colour},
        )


def label_points(axes: Axes, labels: Sequence[tuple[float, float, str, str]], reach: float) -> None:
    """Write each (x, y, text, colour) left of its point, `reach` points away; the x axis makes room.

    Where another of the points is in the way, the text is to the right.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    look: Any = {"textcoords": "offset points", "fontsize": 6.5, "va": "center"}
    texts = [
        axes.annotate(text, (x, y), (-reach, 0), color=colour, ha="right", **look)
        for x, y, text, colour in labels
    ]
    figure.draw_without_rendering()
    # Room for the texts
    (low, high), width = np.log(axes.get_xlim()), axes.get_window_extent().width
    beside = reach * figure.dpi / 72
    for (x, *_), text in zip(labels, texts, strict=True):
        share = (text.get_window_extent().width + 2 * beside) / width  # of the axis, left of the point
        low = min(low, (np.log(x) - share * high) / (1 - share))
    axes.set_xlim(left=np.exp(low))
    figure.draw_without_rendering()
    # To the other side
    for number, text in enumerate(texts):
        others = [(x, y) for x, y, *_ in (*labels[:number], *labels[number + 1 :])]
        taken = text.get_window_extent().padded(beside)
        if others and taken.count_contains(axes.transData.transform(others)):
            text.xyann = (reach, 0)
            text.set_horizontalalignment("left")


def move_apart(wanted: NDArray[np.float64], pitch: float, low: float, high: float) -> NDArray[np.float64]:
    """Return the heights nearest to `wanted` that ascend by `pitch` or more, from `low` to `high`."""
    count = len(wanted)
    pile = pitch * np.arange(count)
    rest = wanted - pile
    # what ascends and is nearest in least squares: the largest, over where a span begins, of its least mean
    above = [
        max(min(rest[first:end].mean() for end in range(i + 1, count + 1)) for first in range(i + 1))
        for i in range(count)
    ]
    return np.clip(above, low, max(low, high - pile[-1])) + pile


def number_circle(axes: Axes, text: str, point: tuple[float, float], area: float, below: bool) -> None:
    """Write a small number at the upper (or lower) right of a circle of some area in square points."""
    reach = 0.7 * (area / np.pi) ** 0.5
    axes.annotate(
        text,
        point,
        (reach, -reach if below else reach),
        textcoords="offset points",
        va="top" if below else "bottom",
        fontsize=5,
        zorder=5,
    )


def save(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Save the figure under each name (.pdf, .png), without a time stamp, and close it.

    What was there stays until all are whole.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(named(text.get_text()))
    with ExitStack() as files:
        for path in map(Path, paths):
            kind = path.suffix.removeprefix(".")
            stamp = {"CreationDate": None} if kind == "pdf" else None
            temporary = files.enter_context(atomic(path))
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=stamp)
    plt.close(figure)
