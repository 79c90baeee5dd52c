"""Grids of images, as PNG, without matplotlib, which takes a second to import."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.storage.atomic import atomic

GAP = 1  # pixels between images
ROWS = 8  # of samples that stand for a model
MOST_COLUMNS = 16


def columns_of(classes: int) -> int:
    """Return how many samples stand in a row: one for each class, if they are not too many, else eight."""
    return classes if 1 < classes <= MOST_COLUMNS else ROWS


def tile(images: NDArray[np.uint8], columns: int | None = None) -> NDArray[np.uint8]:
    """Arrange images (N, C, H, W) row by row into one picture (rows, columns, 3), white in between."""
    count, _, height, width = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        picture[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # grey broadcasts
    return picture


def enlarged(picture: NDArray[np.uint8], side: int | None = None) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) enlarged by a whole factor, without smoothing: small images to 64 pixels.

    Args:
        side: of the images in it; left out, all of it becomes about 640 pixels wide.
    """
    factor = max(1, 64 // side if side else 640 // picture.shape[1])
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def write_grid(path: str | Path, images: NDArray[np.uint8], columns: int | None = None) -> None:
    """Write images (N, C, H, W) as one PNG, small images enlarged by a whole factor without smoothing."""
    with atomic(path) as temporary:
        Image.fromarray(enlarged(tile(images, columns), images.shape[-1])).save(temporary, format="png")
