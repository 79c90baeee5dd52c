"""Images to be scored: a folder of pictures, an .npz, a sample file or an image store, read alike."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.data.pictures.arrays import read_images
from get.data.store import SPLITS, read_split
from get.sampling.files import open_samples
from get.scoring.pictures import Folder
from get.storage.atomic import new_folder
from get.storage.errors import UserError
from get.storage.hdf5 import open_hdf5
from get.storage.reading import reading, require_unchanged


@contextmanager
def open_images(path: Path, choice: str | None = None) -> Iterator[Any]:
    """Yield what has a length, a shape (N, C, H, W), and images uint8 by `[rows]`.

    Args:
        path: a folder of pictures, an .npz of images, a sample file, or an image store.
        choice: the variant of a sample file (its headline) or the split of an image store (train).

    Raises:
        UserError: it is none of these, damaged or empty, or has no such variant or split.
    """
    if path.is_dir():
        _refuse(path, choice, [])
        yield Folder(path)
        return
    if path.suffix == ".npz":
        _refuse(path, choice, [])
        yield read_images(path)
        return
    with reading(path, "image store or sample file"):
        require_unchanged(path)  # HDF5 itself may crash or hang over damaged bytes
        with open_hdf5(path) as file:
            is_store = "split" in file
    if is_store:
        _refuse(path, choice, SPLITS)
        yield read_split(path, choice or "train").images
        return
    with open_samples(path) as content:
        _refuse(path, choice, list(content.variants))
        yield content.variants[choice or next(iter(content.variants))]


def _refuse(path: Path, choice: str | None, known: Sequence[str]) -> None:
    if choice is not None and choice not in known:
        raise UserError(f"{path} has no {choice!r}; it has {', '.join(known) or 'pictures, and no parts'}")


def write_folder(path: Path, batches: Iterable[NDArray[np.uint8]], numbers: Sequence[int]) -> None:
    """Write images (B, C, H, W) as PNGs named by their `numbers` into a new folder."""
    names = iter(numbers)
    with new_folder(path) as folder:
        for images in batches:
            for image in images:
                pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
                Image.fromarray(pixels).save(folder / f"{next(names):06d}.png")
