"""Images to be scored: a folder of pictures, a sample file or an image store, read alike."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.data.store import SPLITS, read_split
from get.sampling.files import open_samples
from get.storage.atomic import new_folder
from get.storage.errors import UserError
from get.storage.hdf5 import open_hdf5
from get.storage.reading import reading, require_unchanged

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PICTURE_REMEDY = "take it out of the folder, or write it again"


class Folder:
    """The pictures in a folder and its subfolders, in the order of their names, each read when it is indexed.

    Args:
        path: the folder; its pictures are of one size, and all grey or all in colour.

    Attributes:
        files: the pictures; shape: (N, C, H, W), by the first.

    Raises:
        UserError: there is none.
    """

    def __init__(self, path: Path) -> None:
        self.files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES)
        if not self.files:
            raise UserError(f"{path} holds no pictures ({', '.join(PICTURES)})")
        self.shape = (len(self.files), *self._read(self.files[0]).shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return images (B, C, H, W) uint8; raises `UserError` if one is damaged or not as the first."""
        images = [self._read(file) for file in self.files[rows]]
        for file, image in zip(self.files[rows], images, strict=True):
            if image.shape != self.shape[1:]:
                raise UserError(f"{file} is {image.shape} but {self.files[0]} {self.shape[1:]} (C, H, W)")
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), np.uint8)

    @staticmethod
    def _read(file: Path) -> NDArray[np.uint8]:
        """Return a picture (C, H, W): grey ones have one channel, all others three."""
        with reading(file, "picture", PICTURE_REMEDY), Image.open(file) as picture:
            if picture.mode not in ("L", "P", "RGB"):  # of others it is not plain what the pixels are
                raise ValueError(f"its mode is {picture.mode}, not grey (L) or RGB of 8 bits")
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextmanager
def open_images(path: Path, choice: str | None = None) -> Iterator[Any]:
    """Yield what has a length, a shape (N, C, H, W), and images uint8 by `[rows]`.

    Args:
        path: a folder of pictures, a sample file, or an image store.
        choice: the variant of a sample file (its headline) or the split of an image store (train).

    Raises:
        UserError: it is none of these, damaged or empty, or has no such variant or split.
    """
    if path.is_dir():
        _refuse(path, choice, [])
        yield Folder(path)
        return
    with reading(path, "image store or sample file"):
        require_unchanged(path)  # HDF5 itself may crash or hang over damaged bytes
        with open_hdf5(path, "r") as file:
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
