"""What the calls of a generator and of a teacher share: which samples, of which class, as what arrays."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import to_bytes
from get.runtime.seeding import LAST_INDEX
from get.sampling.one_step import labels_of
from get.storage.errors import UserError

Numbers = int | Iterable[int]
Label = int | Iterable[int] | None


def numbers_of(samples: Numbers) -> Sequence[int]:
    """Return the numbers of samples; a count stands for the first so many.

    Raises:
        UserError: there are none, or one is no number that a sample can have.
    """
    if isinstance(samples, int | np.integer):
        numbers: Sequence[int] = range(int(samples))
    else:
        numbers = [int(number) for number in samples]
    if not numbers or min(numbers) < 0 or max(numbers) > LAST_INDEX:
        raise UserError(f"samples is {samples!r}; give a count from 1, or numbers from 0 to {LAST_INDEX}")
    return numbers


def classes_for(label: Label, numbers: Sequence[int], classes: int) -> Tensor:
    """Return the classes (N,) int64 of samples: of all, of each, or by their numbers where it is None.

    Raises:
        UserError: as `labels_of`, or there is not one for each sample.
    """
    if label is None or isinstance(label, int | np.integer):
        return labels_of(numbers, None if label is None else int(label), classes, "label")
    labels = [int(each) for each in label]
    if len(labels) != len(numbers):
        raise UserError(f"label has {len(labels)} classes for {len(numbers)} samples; give one for each")
    return torch.cat([labels_of([0], each, classes, "label") for each in labels])


def require_noise(noise: Tensor | None, count: int, shape: tuple[int, ...]) -> None:
    """Raise `UserError` if noise is given that is not (count, *shape)."""
    if noise is not None and tuple(noise.shape) != (count, *shape):
        raise UserError(f"noise has the shape {tuple(noise.shape)}; give {(count, *shape)}")


def pictures(images: Tensor) -> NDArray[np.uint8]:
    """Return images (..., C, H, W) in [-1, 1] as uint8 (..., H, W, C)."""
    return np.ascontiguousarray(np.moveaxis(to_bytes(images).numpy(), -3, -1))
