"""Images as figures: samples, uncurated and by class (Figure 4), and of several models on the same noise."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from get.paper import style
from get.paper.style import plt
from get.storage.mosaic import GAP, tile

NOISE = 3  # standard deviations of noise that are shown from black to white
CELL, BESIDE = 0.6, 1.25  # inches: an image beside others, labels and scale beside them
BAR = 3.0  # inches: the scale, at most
ROWS = 50  # classes that are shown
LONGEST = 20  # letters of a class beside a row
FINE = 32  # pixels of an image from which a grid takes the page's width


def figure4a(images: NDArray[np.uint8], title: str, paths: Iterable[str | Path], side: int = 10) -> None:
    """Draw the first side * side of `images` (N, C, H, W), uncurated."""
    width = width_of(images)
    figure, axes = plt.subplots(figsize=(width, width))
    axes.imshow(tile(images[: side * side], side), interpolation="auto")
    axes.set_title(title)
    axes.axis("off")
    style.save(figure, paths)


def figure4b(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    title: str,
    paths: Iterable[str | Path],
    columns: int = 12,
    names: Sequence[str] = (),
) -> None:
    """Draw the first `columns` (or fewer) images (N, C, H, W) of each class, a row per class.

    labels (N,) are of the images; names are what the classes are called, left out their numbers.
    """
    found, counts = np.unique(labels, return_counts=True)
    classes, columns = found[:ROWS], min(columns, int(counts.min()))
    chosen = np.concatenate([np.flatnonzero(labels == c)[:columns] for c in classes])
    pitch, width = images.shape[2] + GAP, width_of(images)
    figure, axes = plt.subplots(figsize=(width, width * len(classes) / columns + 0.2))
    axes.imshow(tile(images[chosen], columns), interpolation="auto")
    axes.set_title(title)
    axes.set_yticks(
        [pitch * row + pitch / 2 - 1 for row in range(len(classes))], [_name(c, names) for c in classes]
    )
    axes.set_xticks([])
    more = f" (the first {ROWS} of {len(found)})" * (len(found) > ROWS)
    axes.set_ylabel(f"class{more}" if more or not names else "")
    hide_axes(axes)
    style.save(figure, paths)


def same_noise(
    noise: NDArray[np.float32],
    teacher: NDArray[np.uint8],
    students: Sequence[tuple[str, NDArray[np.uint8]]],
    labels: NDArray[np.int64] | None,
    paths: Iterable[str | Path],
    names: Sequence[str] = (),
) -> None:
    """Draw what teacher and students make of the same noise, and below each student how far it is off.

    Args:
        noise, teacher: (N, C, H, W); students: what each is called, and its images.
        labels: the classes (N,); None where the teacher sees none. names: what classes are called.
    """
    # Differences from the teacher, coloured
    off = [np.abs(images / 255 - teacher / 255).mean(axis=1) for _, images in students]
    largest = max(float(difference.max()) for difference in off)
    scale = ScalarMappable(Normalize(0, largest or 1), "Blues")  # its lightness alone tells the values
    blank = np.full((*noise.shape[:1], 3, *noise.shape[2:]), 255, np.uint8)
    columns = [((255 * (noise / NOISE + 1) / 2).clip(0, 255), blank), (teacher, blank)]
    for (_, images), difference in zip(students, off, strict=True):
        coloured = np.moveaxis(scale.cmap(np.asarray(scale.norm(difference)), bytes=True)[..., :3], 3, 1)
        columns.append((images, coloured))
    # Picture and labels
    picture, x, above, below = pair_rows(columns)
    width = min(style.PAGE, BESIDE + CELL * len(columns))
    height = (width - BESIDE) * picture.shape[0] / picture.shape[1] + 0.4
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.imshow(picture, interpolation="auto")
    heads = ["noise", "teacher", *(re.sub(r" (?=\()|(?<=/)", "\n", name) for name, _ in students)]
    axes.set_xticks(x, heads, fontsize=6)
    axes.xaxis.tick_top()
    of = "" if names else "class "
    rows = [f"noise {n + 1}" if labels is None else of + _name(labels[n], names) for n in range(len(noise))]
    axes.set_yticks([*above, *below], [*rows, *["|difference|"] * len(below)])
    hide_axes(axes)
    # Scale of the differences
    shrink = min(0.4, BAR / height)
    bar = figure.colorbar(scale, ax=axes, shrink=shrink, anchor=(0, 1), pad=0.02, aspect=30)
    bar.set_label("|student - teacher|, share of the range of a pixel")
    bar.outline.set_linewidth(0.4)
    style.save(figure, paths)


def _name(label: int | np.int64, names: Sequence[str]) -> str:
    """Return what a class is called beside a row."""
    return textwrap.shorten(names[int(label)], LONGEST, placeholder="...") if names else str(label)


def pair_rows(
    columns: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> tuple[NDArray[np.uint8], list[float], list[float], list[float]]:
    """Arrange columns of twice (N, C, H, W), the second below the first, into one picture, white in between.

    Returns:
        the picture (rows, columns, 3), the middle of each column, the middles of upper and of lower rows.
    """
    count, _, height, width = columns[0][0].shape
    gap = max(1, width // 8)
    across, down = width + gap, 2 * height + 3 * gap
    picture = np.full((count * down - 2 * gap, len(columns) * across - gap, 3), 255, np.uint8)
    for column, halves in enumerate(columns):
        for half, images in enumerate(halves):
            for row, image in enumerate(images):
                top, left = row * down + half * (height + gap), column * across
                picture[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # grey broadcasts
    above = [row * down + height / 2 - 0.5 for row in range(count)]
    below = [middle + height + gap for middle in above]
    return picture, [column * across + width / 2 - 0.5 for column in range(len(columns))], above, below


def width_of(images: NDArray[np.uint8]) -> float:
    """Return the width of a grid of images (N, C, H, W) in inches, in which each pixel of theirs is seen."""
    return style.COLUMN if images.shape[-1] <= FINE else style.PAGE


def hide_axes(axes: Axes) -> None:
    """Leave a picture its labels alone: no ticks, grid or frame."""
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
