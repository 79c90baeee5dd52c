"""What a student learns from: a teacher's pairs, or real images, each with fresh noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from get.data.store import read_split, to_unit
from get.pairs.dataset import Batch, Pairs
from get.runtime.device import pin
from get.runtime.prefetch import Prefetcher
from get.runtime.processes import own_rows
from get.runtime.seeding import EpochSampler, fold_in
from get.student.objective import Distillation, Task


class Source(NamedTuple):
    """Examples by number.

    read: from numbers (B,) to a batch in CPU memory, whose noise is empty if it is drawn for every step.
    size: number of examples; shape: (C, H, W); classes: 0 for none.
    """

    read: Callable[[Tensor], Batch]
    size: int
    shape: tuple[int, ...]
    classes: int


def from_pairs(pairs: Pairs, count: int) -> Source:
    """Return the first so many pairs."""
    return Source(pairs.batch, count, pairs.shape, pairs.classes)


def from_images(store: str | Path, conditional: bool) -> Source:
    """Return the training images of a store, with their classes or as if there were none."""
    data = read_split(store, "train")
    labels = torch.from_numpy(data.labels)

    def read(numbers: Tensor) -> Batch:
        return Batch(torch.empty(0), to_unit(data.images[numbers]), labels[numbers] * conditional)

    return Source(read, len(labels), data.images.shape[1:], data.classes * conditional)


class Examples:
    """The batches of a training; a context manager, at whose end nothing reads ahead any more.

    Args:
        source: of the examples.
        options: of the training; seed: names their order; device: of the batches.
        prefetch: batches that a thread prepares ahead.

    Attributes:
        order: from a step to the numbers of its examples.
    """

    def __init__(
        self, source: Source, options: Distillation, seed: int, device: torch.device, prefetch: int
    ) -> None:
        self.order = EpochSampler(source.size, options.batch, fold_in(seed, "student"))
        self._source, self._device = source, device
        self._parts = own_rows(options.batch, options.accumulate)
        self._read = Prefetcher(self._part, prefetch * len(self._parts))

    def batch(self, step: int, rows: slice, task: Task) -> Batch:
        """Return these rows of the batch of a step, on the device."""
        number = step * len(self._parts) + self._parts.index(rows)
        batch = self._read(number).on(self._device)
        if not batch.noise.numel():
            return batch._replace(noise=task.normal("noise", step, self._source.shape, rows))
        return batch

    def _part(self, number: int) -> Batch:
        step, part = divmod(number, len(self._parts))
        found = self._source.read(self.order(step)[self._parts[part]])
        return Batch(*(pin(tensor, self._device) for tensor in found))

    def __enter__(self) -> "Examples":
        self._read.__enter__()
        return self

    def __exit__(self, *_: Any) -> None:
        self._read.__exit__()
