"""A folder of pictures, read as images: which of its files are scored, and which are not."""

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.runtime.log import log
from get.storage.errors import UserError
from get.storage.reading import reading

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # what Pillow calls their content
# Images that are not read: if they were passed over, a part of the folder would be scored for the whole
UNREAD = (
    ".apng", ".avif", ".dib", ".exr", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jxl",
    ".pbm", ".pgm", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff",
)  # fmt: skip
HIDDEN = ("__MACOSX", "@eaDir")  # as are names that begin with a dot: copies and thumbnails
REMEDY = "take it out of the folder, or write it again"
HEADER = 25  # bytes at the start of a PNG; the last is its bit depth
NAMED = 4  # kinds or names of what is left out; the rest is counted


class Folder:
    """The pictures in a folder and its subfolders, in the order of their names, each read when it is indexed.

    Links are followed, and what they reach twice is read once. What is hidden is not read. The log says what
    is left out.

    Args:
        path: the folder; its pictures are of one size, and all grey or all in colour.

    Attributes:
        files: the pictures; shape: (N, C, H, W), by the first.

    Raises:
        UserError: there is none, or images of a format that is not read lie among them, or a broken link.
    """

    def __init__(self, path: Path) -> None:
        with reading(path, "folder of pictures", "make it readable"):
            self.files = _pictures(path)
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


# ---------- which files


def _pictures(path: Path) -> list[Path]:
    """Return the pictures below a folder by name, and log what else lies there."""
    files, hidden, repeated = _contents(path)
    pictures = [file for file in files if _ending(file) in PICTURES]
    unread = [file for file in files if _ending(file) in UNREAD]
    others = [file for file in files if _ending(file) not in PICTURES + UNREAD]
    if unread:
        raise UserError(
            f"{unread[0]} is of a format that is not read (such files: {len(unread)}, "
            f"{_names(map(_ending, unread))}); convert them to PNG, or take them out of the folder"
        )
    left_out = {
        "other files": [_ending(file) for file in others],
        "hidden": [entry.name for entry in hidden],
        "reached again by links": [str(entry.relative_to(path)) for entry in repeated],
    }
    counts = "; ".join(f"{why}: {len(names)} ({_names(names)})" for why, names in left_out.items() if names)
    if not pictures:
        also = f"; it holds {counts}" if counts else ""
        raise UserError(f"{path} holds no pictures ({', '.join(PICTURES)}){also}")
    if counts:
        log.info("%s: %d pictures are scored; not scored: %s", path, len(pictures), counts)
    return pictures


def _contents(path: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the files below a folder by name, what is hidden there, and what a link reaches once more.

    A link to a folder around `path` would lead back to it, and is not followed.
    """
    files: list[Path] = []
    hidden: list[Path] = []
    repeated: list[Path] = []
    seen = {str(folder) for folder in Path(os.path.realpath(path)).parents}
    waiting = deque([path])
    while waiting:
        entry = waiting.popleft()
        real = os.path.realpath(entry)
        if real in seen:
            repeated.append(entry)
        elif entry.is_dir():
            for child in sorted(entry.iterdir()):
                if child.name.startswith(".") or child.name in HIDDEN:
                    hidden.append(child)
                elif child.is_symlink():  # last, so that what lies in the folder itself keeps its own name
                    waiting.append(child)
                else:
                    waiting.appendleft(child)
        elif entry.is_file():
            files.append(entry)
        else:
            raise UserError(f"{entry} is no file or folder, or a broken link; mend it, or take it out")
        seen.add(real)
    return sorted(files), sorted(hidden), sorted(repeated)


def _ending(file: Path) -> str:
    return file.suffix.lower() or "no ending"


def _names(names: Iterable[str]) -> str:
    """Return the first few different names."""
    found = sorted(set(names))
    return ", ".join(found[:NAMED] + ["..."] * (len(found) > NAMED))


# ---------- their pixels


def _read(file: Path) -> NDArray[np.uint8]:
    """Return a picture (C, H, W): grey ones have one channel, all others three."""
    with reading(file, "picture", REMEDY), open(file, "rb") as content:
        header = content.read(HEADER)
        content.seek(0)
        with Image.open(content) as picture:
            if loss := _loss(picture, header):
                raise UserError(
                    f"{file} would not be read as it is: {loss}; write it as one image of 8-bit grey or RGB, "
                    "or take it out of the folder"
                )
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _loss(picture: Image.Image, header: bytes) -> str:
    """Return what 8-bit grey or RGB cannot hold of a picture; '' if it can hold all of it."""
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        return f"it has {frames} frames"
    if picture.format not in FORMATS:
        return f"its content is {picture.format}, not {', '.join(FORMATS)}"
    if picture.format == "PNG" and header[-1] == 16:  # Pillow cuts colours to 8 bits
        return "it has 16 bits a channel"
    if picture.mode not in ("L", "P", "RGB"):
        return f"its mode is {picture.mode}"
    return "it has transparent colours" if "transparency" in picture.info else ""
