"""How every figure looks: widths, fonts, colours, and how it is saved."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from get.files import atomic

COLUMN = 3.25  # inches, the width of a column of text
DPI = 300

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 7,
        "axes.titlesize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,  # embedded TrueType: text stays text
        "savefig.bbox": "tight",
        "savefig.pad_inches": 0.02,
    }
)


def save(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Save the figure under each name (.pdf, .png), without a time stamp, and close it."""
    for path in map(Path, paths):
        kind = path.suffix.removeprefix(".")
        stamp = {"CreationDate": None} if kind == "pdf" else None
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=stamp)
    plt.close(figure)
