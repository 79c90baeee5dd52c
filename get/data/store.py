"""The image store: one HDF5 file per data set, read by every stage.

Datasets: images (N, C, H, W) uint8, labels (N,) int64, split (N,) uint8 (0 train, 1 test). Attributes:
name, classes, source.
"""

import math
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hdf5 import dataset, new_hdf5, open_hdf5
from get.storage.reading import reading, require_unchanged

SPLITS = ("train", "test")


class Rows:
    """Images of a store, read when they are indexed, by a slice or numbers: memory does not grow with them.

    The file stays open: what it held then is read even if it is deleted or made again meanwhile.

    Args:
        path: the store; images: its dataset (N, C, H, W).
        chosen: the rows that these are, (n,).

    Attributes:
        shape: (n, C, H, W).
    """

    def __init__(self, path: str | Path, images: h5py.Dataset, chosen: NDArray[np.int64]) -> None:
        self._path, self._start, self._chosen = path, images.id.get_offset(), chosen
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self.shape = (len(chosen), *images.shape[1:])

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, numbers: slice | Tensor) -> NDArray[np.uint8]:
        """Return images (B, C, H, W) uint8; raises `UserError` if the file was cut off, or cannot be read."""
        rows = self._chosen[numbers if isinstance(numbers, slice) else numbers.numpy()]
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        size = math.prod(self.shape[1:])
        with reading(self._path, "image store"):
            for image, row in zip(found, rows.tolist(), strict=True):
                if os.preadv(self._descriptor, [image.data], self._start + row * size) < size:
                    raise ValueError("it was cut off after it was opened")
        return found


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W) and labels int64 (N,) of one split of a data set of `classes` classes (0: none)."""

    images: Rows
    labels: NDArray[np.int64]
    classes: int


class NewStore(NamedTuple):
    """A store that is being written.

    images: (N, C, H, W); labels: (N,); split: (N,), 0 for train and 1 for test; attributes: see `new_store`.
    """

    images: Any
    labels: NDArray[np.int64]
    split: NDArray[np.uint8]
    attributes: dict[str, Any]


@contextmanager
def new_store(path: str | Path, count: int, shape: Sequence[int]) -> Iterator[NewStore]:
    """Yield a new store of `count` images (C, H, W) for the block to fill; it is written atomically.

    Its attributes are the `name` of the data set, the number of `classes` (0: none), and the `source`, where
    the images are from.
    """
    size = count * (math.prod(shape) + 9)
    with atomic(path) as temporary, new_hdf5(temporary, size) as file:
        images = file.create_dataset("images", (count, *shape), "u1")
        store = NewStore(images, np.zeros(count, np.int64), np.zeros(count, np.uint8), {})
        yield store
        file["labels"], file["split"] = store.labels, store.split
        file.attrs.update(store.attributes)


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
    """Write a store of images (N, C, H, W) that are in memory; see `new_store`."""
    with new_store(path, len(images), images.shape[1:]) as store:
        store.images[:], store.labels[:], store.split[:] = images, labels, split
        store.attributes.update(name=name, classes=classes, source=source)


def read_split(path: str | Path, split: str) -> Images:
    """Return the split called `split` ('train' or 'test') of the store at `path`.

    Raises:
        UserError: the file is missing, damaged or no store.
    """
    with reading(path, "image store"):
        require_unchanged(path)
        with open_hdf5(path) as file:
            images, labels = dataset(file, "images", np.uint8, 4), dataset(file, "labels", np.int64, 1)[:]
            marks, classes = dataset(file, "split", np.uint8, 1)[:], int(file.attrs["classes"])
            if not len(images) == len(labels) == len(marks):
                raise ValueError("its images, labels and split are not of one length")
            if not 0 <= labels.min() <= labels.max() < max(classes, 1):
                raise ValueError(f"it has labels outside 0 to {classes - 1}")
            chosen = np.flatnonzero(marks == SPLITS.index(split))
            if not len(chosen):
                raise ValueError(f"it has no images of the split {split}")
            return Images(Rows(path, images, chosen), labels[chosen], classes)


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
