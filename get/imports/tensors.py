"""Noise, images and labels of published pair sets, in the layout and the range of this project.

What a tensor means is told by its type, shape and values; where they leave a choice it is refused. Messages
lack the name of the file.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from get.data.store import to_unit
from get.imports.saved import FLOATS, INTEGERS, kind
from get.pairs.shards import LARGEST_PIXEL
from get.storage.errors import UserError

CHANNELS = (1, 3)
FAR, SHARE = 1.5, 0.01  # pixels beyond `FAR` are more than this share only where the range is another one
RANGE = "images are numbers in about -1 to 1, or whole numbers in 0 to 255; rescale them"
NOISE = "noise is (n, C, H, W) of floating point, alone or in a list with labels"
LABELS = "labels are one-hot (n, classes), or whole numbers (n,)"


class Images(NamedTuple):
    """images (n, C, H, W) in about [-1, 1], and whether the file had them as whole numbers in 0 to 255."""

    values: Tensor
    bytes: bool


def to_noise(found: Any) -> Tensor:
    """Return noise (n, C, H, W); raises `UserError` unless it is standard normal."""
    noise = _channels_first(_dense(found, FLOATS, (4,), NOISE))
    deviation, mean = torch.std_mean(noise.float())
    tolerance = 0.1 + 4 / math.sqrt(noise.numel())  # five standard errors, and some
    if not (abs(mean) < tolerance and abs(deviation - 1) < tolerance):
        raise UserError(
            f"it has mean {mean:.3g} and standard deviation {deviation:.3g}; noise has 0 and 1, before a "
            "sampler scales it"
        )
    return noise


def to_images(found: Any) -> Images:
    """Return images (n, C, H, W) in about [-1, 1]; raises `UserError` where they have another range."""
    images = _channels_first(_dense(found, FLOATS + INTEGERS, (4,), "images are (n, C, H, W)"))
    lowest, highest = images.min().item(), images.max().item()
    integer = not images.is_floating_point()
    whole = integer or (highest > 1 and images.equal(images.trunc()))
    if whole and lowest >= 0 and highest <= 255:
        return Images(to_unit(images.to(torch.uint8).numpy()), bytes=True)
    far = (images.abs() > FAR).float().mean() > SHARE or max(-lowest, highest) > LARGEST_PIXEL
    if integer or far:
        raise UserError(f"its pixels lie from {lowest:g} to {highest:g}, but {RANGE}")
    return Images(images, bytes=False)


def to_labels(found: Any, classes: int | None) -> tuple[Tensor, int]:
    """Return labels (n,) int64 and the number of classes.

    Args:
        found: one-hot rows (n, classes), or whole numbers (n,).
        classes: their number, which whole numbers do not tell; None with one-hot rows.
    """
    labels = _dense(found, (*FLOATS, *INTEGERS, torch.bool), (1, 2), LABELS)
    if labels.ndim == 2:
        if classes is not None:
            raise UserError(f"its labels are one-hot, of {labels.shape[1]} classes; leave --classes out")
        hot = labels == 1
        if not (hot.sum(dim=1).eq(1) & (labels != 0).sum(dim=1).eq(1)).all():
            raise UserError(f"its labels {tuple(labels.shape)} are not one-hot; {LABELS}")
        return hot.int().argmax(dim=1), labels.shape[1]
    if labels.dtype not in INTEGERS:
        raise UserError(f"its labels are {kind(labels)}; {LABELS}")
    lowest, highest = int(labels.min()), int(labels.max())
    if classes is None:
        raise UserError(f"its labels are numbers ({lowest} to {highest}); add --classes, how many there are")
    if not 0 <= lowest <= highest < classes:
        raise UserError(
            f"its labels are {lowest} to {highest}; with --classes {classes} they end at {classes - 1}"
        )
    return labels.long(), classes


def _dense(found: Any, dtypes: Sequence[torch.dtype], dimensions: Sequence[int], wanted: str) -> Tensor:
    """Return the tensor `found`, without gradients, if its numbers all lie in the file, and are finite."""
    usual = isinstance(found, Tensor) and (found.device.type, found.layout) == ("cpu", torch.strided)
    if not usual or found.dtype not in dtypes or found.ndim not in dimensions or not found.numel():
        raise UserError(f"it has {kind(found)}; {wanted}")
    # a view of few numbers, repeated, could unfold without end
    if found.nbytes > found.untyped_storage().nbytes():
        raise UserError(
            f"it has {kind(found)} that repeats {found.untyped_storage().nbytes()} bytes; {wanted}"
        )
    if not found.isfinite().all():
        raise UserError("it holds numbers that are not finite")
    return found.detach()


def _channels_first(found: Tensor) -> Tensor:
    """Return images (n, C, H, W), whose channels may be last; raises `UserError` where that is not plain."""
    shape = tuple(found.shape)
    _, first, second, third = shape
    front, back = first in CHANNELS and second == third, third in CHANNELS and first == second
    if front and back:
        raise UserError(f"its shape {shape} does not tell if channels are first or last; they are too small")
    if not (front or back):
        raise UserError(
            f"its shape {shape} is neither (n, C, H, W) nor (n, H, W, C) with H = W and 1 or 3 channels"
        )
    return found if front else found.permute(0, 3, 1, 2)
