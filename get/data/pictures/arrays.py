"""Images in an .npz, read in parts: arr_0 (N, H, W, C) and, where there are classes, labels (N,)."""

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.data.pictures.arrangement import numbered
from get.data.pictures.decoding import Decoded, pixels
from get.storage.errors import UserError
from get.storage.reading import reading

IMAGES = ("arr_0", "images")
LABELS = ("labels", "arr_1", "label")
CHANNELS = (1, 3)
KIND = ".npz of images: arr_0 (N, H, W, C) of type uint8"


class Arrays:
    """Images of an .npz.

    Args:
        path: the file.
        labels: 'none' for no classes; None for those of the file, if it has any.

    Attributes:
        arrangement: names of images are their numbers.

    Raises:
        UserError: it is damaged or holds no images.
    """

    def __init__(self, path: Path, labels: str | None) -> None:
        if labels not in (None, "none"):
            raise UserError(f"labels: {path} has labels of its own; write none, or leave the key out")
        self.path = path
        with reading(path, KIND, "write it as such"), zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            chosen = [name for name in IMAGES if name in names]
            if not chosen:
                raise ValueError(f"it has {', '.join(names) or 'nothing'}, but no {' or '.join(IMAGES)}")
            self._member = names[chosen[0]]
            with archive.open(self._member) as file:
                shape, dtype = _header(file)
            last = len(shape) == 3 or (len(shape) == 4 and shape[3] in CHANNELS)
            self._first = not last and len(shape) == 4 and shape[1] in CHANNELS
            if not (last or self._first) or dtype != np.uint8 or 0 in shape:
                raise ValueError(f"its images are {dtype} {shape}")
            self._stored = shape[1:]
            found = next((names[name] for name in LABELS if name in names and labels is None), None)
            classes = self._labels(archive, found, shape[0]) if found else {}
        self.arrangement = numbered(list(map(str, range(shape[0]))), classes, None, bool(classes))

    def _labels(self, archive: zipfile.ZipFile, name: str, count: int) -> dict[str, int]:
        """Return the class of each image."""
        with archive.open(name) as file:
            shape, dtype = _header(file)
            if shape != (count,) or dtype.kind not in "iu":
                raise ValueError(f"its labels are {dtype} {shape}; they should be {count} whole numbers")
            labels = np.frombuffer(file.read(), dtype)
        return {str(number): int(label) for number, label in enumerate(labels)}

    def images(self, numbers: Iterable[int]) -> Iterator[tuple[int, Callable[[], Decoded]]]:
        """Yield numbers of images, each with what returns the image."""
        wanted, size = set(numbers), math.prod(self._stored)
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
            _header(file)
            for number in range(max(wanted) + 1):
                with reading(self.path, KIND, "write it again"):  # a checksum may be wrong
                    content = file.read(size)
                if number in wanted:
                    yield number, partial(self._picture, content)

    def _picture(self, content: bytes) -> Decoded:
        image = np.frombuffer(content, np.uint8).reshape(self._stored)
        image = image.transpose(1, 2, 0) if self._first else image
        image = image[..., 0] if image.shape[2:] == (1,) else image
        return Decoded(Image.fromarray(image), "")


def holds_images(path: Path) -> bool:
    """Return whether the .npz at `path` has images; others have statistics. A damaged file has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.removesuffix(".npy") in IMAGES for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_images(path: Path) -> NDArray[np.uint8]:
    """Return all images (N, C, H, W) of an .npz; raises `UserError` as `Arrays`."""
    found = Arrays(path, "none")
    count = len(found.arrangement.names)
    with reading(path, KIND, "write it as such"):
        return np.stack([pixels(load().picture) for _, load in found.images(range(count))])


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], Any]:
    """Return shape and type of an array, which must lie row by row and be no Python object."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if fortran or dtype.hasobject:
        raise ValueError("an array is in Fortran's order, or holds Python objects")
    return shape, dtype
