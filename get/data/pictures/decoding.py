"""From the bytes of a picture to pixels: 8-bit grey or RGB."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # what Pillow calls their content
BIT_DEPTH = 24  # where a PNG has it
LARGEST = 2**28  # bytes of a file
OPAQUE = 255
DEEP, TRANSPARENT = "it has 16 bits a channel", "it has transparent colours"
AS_IT_IS = ("L", "P", "RGB")  # modes
CONVERTED = ("1", "I", "I;16", "LA", "RGBA")  # modes that 8-bit grey and RGB do not hold as they are


class Unfit(ValueError):
    """A picture is whole, but not one that can be taken."""


class Decoded(NamedTuple):
    """A picture of mode L or RGB, and what those do not hold of it as it was ('' for nothing)."""

    picture: Image.Image
    loss: str

    @property
    def change(self) -> str:
        """What was done to it, for a sentence that counts such pictures."""
        if self.loss == DEEP:
            return "cut from 16 to 8 bits"
        return "converted to 8-bit grey or RGB" if self.loss else ""


def decode(content: bytes, exact: bool = False) -> Decoded:
    """Return a picture, upright.

    16 bits become the upper eight. There may be an alpha channel, if all of it is opaque.

    Args:
        content: of the file.
        exact: refuse whatever 8-bit grey or RGB does not hold as it is.

    Raises:
        Unfit: it is of another format or mode, has several frames, or is transparent.
        Exception: it is damaged; Pillow raises errors of every kind.
    """
    if not content:
        raise Unfit("it has 0 bytes")
    with Image.open(io.BytesIO(content)) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise Unfit(f"it has {frames} frames")
        if picture.format not in FORMATS:
            raise Unfit(f"its content is {picture.format}, not {', '.join(FORMATS)}")
        loss = _loss(picture, content)
        if picture.mode not in (*AS_IT_IS, *CONVERTED) or (loss and exact):
            raise Unfit(loss)
        return Decoded(ImageOps.exif_transpose(_converted(picture)), loss)


def _loss(picture: Image.Image, content: bytes) -> str:
    if picture.format == "PNG" and content[BIT_DEPTH] == 16:  # Pillow cuts colours to 8 bits
        return DEEP
    if picture.mode not in AS_IT_IS:
        return f"its mode is {picture.mode}"
    return TRANSPARENT if "transparency" in picture.info else ""


def _converted(picture: Image.Image) -> Image.Image:
    """Return a picture in mode L or RGB; raises `Unfit` where some of it is transparent."""
    deep = picture.mode.startswith("I")
    if picture.has_transparency_data and (deep or _is_transparent(picture)):
        raise Unfit("it has transparent pixels")
    if deep:
        upper = np.asarray(picture).astype(np.int64) >> 8
        return Image.fromarray(upper.astype(np.uint8))
    return picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")


def _is_transparent(picture: Image.Image) -> bool:
    return picture.convert("RGBA").getchannel("A").getextrema() != (OPAQUE, OPAQUE)


def square(picture: Image.Image, size: int) -> Image.Image:
    """Return the square in the middle of a picture, `size` pixels wide, antialiased (Lanczos).

    Raises:
        Unfit: the picture is smaller.
    """
    side = min(picture.size)
    if side < size:
        raise Unfit(f"it has {picture.width} x {picture.height} pixels, less than {size}")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=box)


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels (C, H, W) uint8 of a picture of mode L or RGB."""
    found = np.asarray(picture)
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)
