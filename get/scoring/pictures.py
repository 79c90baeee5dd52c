"""A folder of pictures, read as images to be scored."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from get.data.pictures.contents import contents_of
from get.data.pictures.decoding import Unfit, decode, pixels
from get.runtime.log import log
from get.storage.errors import UserError
from get.storage.reading import reading

REMEDY = "take it out of the folder, or write it again"


class Folder:
    """The pictures in a folder and its subfolders, in the order of their names, each read when it is indexed.

    The log says what is left out.

    Args:
        path: the folder; its pictures are of one size, and all grey or all in colour.

    Attributes:
        files: the pictures; shape: (N, C, H, W), by the first.

    Raises:
        UserError: there is none, or images of a format that is not read lie among them, or a broken link.
    """

    def __init__(self, path: Path) -> None:
        found = contents_of(path)
        self.files = [path / name for name in found.pictures()]
        if found.left_out():
            log.info("%s: %d pictures are scored; not scored: %s", path, len(self.files), found.left_out())
        self.shape = (len(self.files), *_read(self.files[0]).shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return images (B, C, H, W) uint8; raises `UserError` if one is damaged or not as the first."""
        images = [_read(file) for file in self.files[rows]]
        for file, image in zip(self.files[rows], images, strict=True):
            if image.shape != self.shape[1:]:
                raise UserError(f"{file} is {image.shape} but {self.files[0]} {self.shape[1:]} (C, H, W)")
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), np.uint8)


def _read(file: Path) -> NDArray[np.uint8]:
    """Return a picture (C, H, W): grey ones have one channel, all others three."""
    with reading(file, "picture", REMEDY):
        try:
            return pixels(decode(file.read_bytes(), exact=True).picture)
        except Unfit as why:
            raise UserError(
                f"{file} would not be read as it is: {why}; write it as one image of 8-bit grey or RGB, or "
                "take it out of the folder"
            ) from None
