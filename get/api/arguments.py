"""What the calls of a generator and of a teacher share: which samples, of which class, from what noise."""

import operator
import warnings
from collections.abc import Iterable, Sequence, Sized
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from get.data.store import to_bytes
from get.runtime.seeding import LAST_INDEX
from get.sampling.one_step import labels_of
from get.storage.errors import UserError

MOST = 10_000_000  # samples of a call
Numbers = int | Iterable[int]
Label = int | Iterable[int] | None
Noise = Tensor | ArrayLike | None


def whole(value: Any, name: str, least: int | None = None, most: int = LAST_INDEX) -> int:
    """Return a whole number, of numpy and torch, too, in these bounds if `least` is given.

    Raises:
        UserError: it is none; the argument's name is said.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} is {value!r}; it must be a whole number") from None
    if least is not None and not least <= number <= most:
        raise UserError(f"{name} is {number}; it must be from {least} to {most}")
    return number


def numbers_of(samples: Numbers | None, noise: Noise = None, label: Label = None) -> Sequence[int]:
    """Return numbers of samples; a count stands for the first so many, None for one of each noise or label.

    Raises:
        UserError: there are none, or one is no number that a sample can have.
    """
    if samples is None:
        each = label if noise is None else noise
        samples = len(each) if isinstance(each, Sized) and not isinstance(each, str) and np.ndim(each) else 1
    if isinstance(samples, Iterable) and _has_parts(samples):
        numbers: Sequence[int] = [whole(number, "samples") for number in samples]
    else:
        numbers = range(whole(samples, "samples"))
    if not 0 < len(numbers) <= MOST or min(numbers) < 0 or max(numbers) > LAST_INDEX:
        raise UserError(
            f"samples is {samples!r}; give a count from 1 to {MOST:,}, or numbers from 0 to {LAST_INDEX}"
        )
    return numbers


def classes_for(label: Label, numbers: Sequence[int], classes: int) -> Tensor:
    """Return the classes (N,) int64 of samples: of all, of each, or by their numbers where it is None.

    Raises:
        UserError: as `labels_of`, or there is not one for each sample.
    """
    if label is None:
        return labels_of(numbers, None, classes, "label")
    if not isinstance(label, Iterable) or not _has_parts(label):
        return labels_of(numbers, whole(label, "label"), classes, "label")
    labels = [whole(each, "label") for each in label]
    if len(labels) != len(numbers):
        raise UserError(f"label has {len(labels)} classes for {len(numbers)} samples; give one for each")
    return torch.cat([labels_of([0], each, classes, "label") for each in labels])


def _has_parts(value: Iterable[int]) -> bool:
    """Return whether it is a list or an array, not a single number in one, nor a text."""
    return not isinstance(value, str) and getattr(value, "ndim", 1) > 0


def noise_of(noise: Noise, count: int, shape: tuple[int, ...]) -> Tensor | None:
    """Return noise as float32 (count, *shape), if it is given, and warn if it is far from unit variance.

    Raises:
        UserError: it is something else, or not finite.
    """
    if noise is None:
        return None
    try:
        given = torch.as_tensor(noise)
        given = given if given.is_complex() else given.float()
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"noise is a {type(noise).__name__}; give an array {(count, *shape)}") from None
    if tuple(given.shape) != (count, *shape):
        raise UserError(f"noise has the shape {tuple(given.shape)}; give {(count, *shape)}")
    if given.is_complex() or not given.isfinite().all():
        raise UserError("noise has values that are no real numbers")
    deviation = float(given.std(correction=0))
    if not 0.5 < deviation < 2:
        warnings.warn(f"noise has a standard deviation of {deviation:.2g}; models know 1", stacklevel=4)
    return given


def pictures(images: Tensor) -> NDArray[np.uint8]:
    """Return images (..., C, H, W) in [-1, 1] as uint8 (..., H, W, C)."""
    return np.ascontiguousarray(np.moveaxis(to_bytes(images).numpy(), -3, -1))
