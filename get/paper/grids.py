"""Figure 4: samples, uncurated and by class; and those of several models side by side."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from get.paper import style
from get.paper.mosaic import GAP, tile
from get.paper.style import plt


def figure4a(images: NDArray[np.uint8], title: str, paths: Iterable[str | Path], side: int = 10) -> None:
    """Draw the first side * side of `images` (N, C, H, W), uncurated."""
    figure, axes = plt.subplots(figsize=(style.COLUMN, style.COLUMN))
    axes.imshow(tile(images[: side * side], side), interpolation="nearest")
    axes.set_title(title)
    axes.axis("off")
    style.save(figure, paths)


def figure4b(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    title: str,
    paths: Iterable[str | Path],
    columns: int = 12,
) -> None:
    """Draw the first `columns` (or fewer) images (N, C, H, W) of each class, a row per class; labels (N,)."""
    classes, counts = np.unique(labels, return_counts=True)
    columns = min(columns, int(counts.min()))
    chosen = np.concatenate([np.flatnonzero(labels == c)[:columns] for c in classes])
    pitch = images.shape[2] + GAP
    figure, axes = plt.subplots(figsize=(style.COLUMN, style.COLUMN * len(classes) / columns + 0.2))
    axes.imshow(tile(images[chosen], columns), interpolation="nearest")
    axes.set_title(title)
    axes.set_yticks([pitch * row + pitch / 2 - 1 for row in range(len(classes))], [str(c) for c in classes])
    axes.set_xticks([])
    axes.set_ylabel("class")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    style.save(figure, paths)


def comparison(rows: Mapping[str, NDArray[np.uint8]], paths: Iterable[str | Path]) -> None:
    """Draw images (N, C, H, W) of several models, all from the same noise: a named row for each model."""
    height = next(iter(rows.values())).shape[2]
    count = len(next(iter(rows.values())))
    picture = tile(np.concatenate(list(rows.values())), count)
    figure, axes = plt.subplots(figsize=(style.PAGE, style.PAGE * picture.shape[0] / picture.shape[1]))
    axes.imshow(picture, interpolation="nearest")
    axes.set_yticks([(height + GAP) * row + (height - 1) / 2 for row in range(len(rows))], list(rows))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    style.save(figure, paths)
