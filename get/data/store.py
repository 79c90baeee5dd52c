"""The image store: one HDF5 file per data set, read by every stage.

Datasets: images (N, C, H, W) uint8, labels (N,) int64, split (N,) uint8 (0 train, 1 test). Attributes:
name, classes, source.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hdf5 import dataset, new_hdf5, open_hdf5
from get.storage.reading import reading, require_unchanged

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Images:
    """Images uint8 (N, C, H, W) and labels int64 (N,) of one split of a data set of `classes` classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: int


def write_store(
    path: str | Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    split: NDArray[np.uint8],
    *,
    name: str,
    classes: int,
    source: str,
) -> None:
    """Write a store; `split` holds 0 for train and 1 for test, `source` says where the images are from."""
    size = images.nbytes + 8 * len(labels) + split.nbytes
    with atomic(path) as temporary, new_hdf5(temporary, size) as file:
        file["images"], file["labels"], file["split"] = images, labels.astype(np.int64), split
        file.attrs.update(name=name, classes=classes, source=source)


def read_split(path: str | Path, split: str) -> Images:
    """Return the split called `split` ('train' or 'test') of the store at `path`.

    Raises:
        UserError: the file is missing, damaged or no store.
    """
    with reading(path, "image store"):
        require_unchanged(path)
        with open_hdf5(path) as file:
            images, labels = dataset(file, "images", np.uint8, 4)[:], dataset(file, "labels", np.int64, 1)[:]
            marks, classes = dataset(file, "split", np.uint8, 1)[:], int(file.attrs["classes"])
        if not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"it has labels outside 0 to {classes - 1}")
        chosen = marks == SPLITS.index(split)
        if not chosen.any():
            raise ValueError(f"it has no images of the split {split}")
        return Images(images[chosen], labels[chosen], classes)


def to_unit(images: NDArray[np.uint8]) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return torch.from_numpy(images).float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8: truncate(clip(127.5 x + 128, 0, 255)), as the field does for FID.

    Raises:
        UserError: a pixel is no number; it would become black.
    """
    if bad := int((~images.isfinite()).sum()):
        raise UserError(
            f"{bad:,} of {images.numel():,} pixels are no numbers (nan or infinite): the model that drew the "
            "images has diverged; use an earlier checkpoint, or train it again with a lower lr"
        )
    return (images * 127.5 + 128).clip(0, 255).to(torch.uint8)
