"""Crops of the two photographs that scikit-learn ships, a pagoda by a lake and a dahlia: 16x16, in colour.

- Each photograph (427x640) is reduced by 3: a pixel is the mean of a block of 3x3; incomplete blocks at the
  edge are left out (142x213). At that scale a crop holds the edge of a roof, or a few petals.
- Crops start at every third row and column. Those inside a vertical strip of 43 columns, a fifth of the
  photograph, are for the test split, those that do not touch it for the train split. So no pixel is in both;
  crops of one split overlap.
- The strips lie where they hold something of everything: roofs, sky and lake; petals, their edge and leaves.
- Half of all crops are sky or leaves in nearly one colour. The crops with most contrast are kept.
- Each crop comes upright and upside down, with the mirror image of both. Upside down is a class of its own: a
  classifier of two photographs needs nothing but their colours, and FID in its features sees no shapes.

These are two photographs: models learn to draw these two, not pagodas and dahlias.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from get.data.store import write_store

SHAPE = (3, 16, 16)
CLASSES = 4  # pagoda upright, pagoda upside down, flower upright, flower upside down
IMAGES = (8000, 1600)
PHOTOGRAPHS = {"china.jpg": 81, "flower.jpg": 126}  # the first column of the test strip, reduced
STRIP = 43  # columns, reduced
REDUCTION, STRIDE, SIZE = 3, 3, 16  # SIZE: height and width of a crop
POSITIONS = (1000, 200)  # kept of each photograph, to train and to test
SOURCE = "crops of china.jpg and flower.jpg, scikit-learn load_sample_images"


def write_photos(path: str | Path) -> None:
    """Write the store at `path`: each photograph's train and test crops, class by class."""
    from sklearn.datasets import load_sample_image  # imported late: it takes seconds

    images, labels, split = [], [], []
    for number, (name, first) in enumerate(PHOTOGRAPHS.items()):
        for test, upright in enumerate(split_crops(reduce(load_sample_image(name)), first)):
            for upside_down, crops in enumerate((upright, upright[:, :, ::-1])):
                images += [crops, crops[..., ::-1]]
                labels.append(np.full(2 * len(crops), 2 * number + upside_down))
                split.append(np.full(2 * len(crops), test, np.uint8))
    arrays = (np.concatenate(parts) for parts in (images, labels, split))
    write_store(path, *arrays, name="photos", classes=CLASSES, source=SOURCE)


def reduce(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the rounded means of whole blocks of 3x3 pixels: (H, W, 3) becomes (H // 3, W // 3, 3)."""
    height, width = (length // REDUCTION for length in photograph.shape[:2])
    whole = photograph[: height * REDUCTION, : width * REDUCTION]
    blocks = whole.reshape(height, REDUCTION, width, REDUCTION, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def split_crops(photograph: NDArray[np.uint8], first: int) -> list[NDArray[np.uint8]]:
    """Return the train and the test crops (N, 3, 16, 16) of a reduced photograph (H, W, 3).

    `first` is the first column of its test strip.
    """
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIZE, SIZE), axis=(0, 1))
    windows = windows[::STRIDE, ::STRIDE]
    start = STRIDE * np.arange(windows.shape[1])
    end = start + SIZE
    train = (end <= first) | (start >= first + STRIP)
    test = (start >= first) & (end <= first + STRIP)
    found = [windows[:, columns].reshape(-1, *SHAPE) for columns in (train, test)]
    return [most_contrast(crops, kept) for crops, kept in zip(found, POSITIONS, strict=True)]


def most_contrast(crops: NDArray[np.uint8], kept: int) -> NDArray[np.uint8]:
    """Return those of the crops (N, 3, 16, 16) whose pixels deviate most from their mean, in their order."""
    contrast = crops.var(axis=(2, 3)).mean(axis=1)
    order = np.argsort(-contrast, kind="stable")
    return crops[np.sort(order[:kept])]


WRITE = write_photos
