"""Pictures made of images: grids of samples, and Figure 4."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from get.files import atomic
from get.paper import style
from get.paper.style import plt

GAP = 1  # pixels between images


def tile(images: NDArray[np.uint8], columns: int | None = None) -> NDArray[np.uint8]:
    """Arrange images (N, C, H, W) row by row into one picture (rows, columns, 3), white in between."""
    count, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        picture[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # grey broadcasts
    return picture


def write_grid(path: str | Path, images: NDArray[np.uint8], columns: int | None = None) -> None:
    """Write images (N, C, H, W) as one PNG, small images enlarged by a whole factor without smoothing."""
    picture = tile(images, columns)
    factor = max(1, 64 // images.shape[-1])
    with atomic(path) as temporary:
        plt.imsave(temporary, picture.repeat(factor, axis=0).repeat(factor, axis=1), format="png")


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
