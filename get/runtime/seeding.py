"""Randomness as a function of names, not of history.

Every draw comes from a generator seeded by `fold_in(seed, *tags)`. Pair i, batch t, sample i depend on
their names alone, so that sharding, resuming, batch sizes and the number of processes change nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

LAST_INDEX = 2**63 - 1  # of a pair or sample
BLOCK = 64  # samples drawn by one generator; part of what a seed means


def fold_in(seed: int, *tags: int | str) -> int:
    """Return a 63-bit seed that is a hash of `seed` and the `tags`."""
    digest = hashlib.sha256(json.dumps([seed, *tags]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *tags: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator on `device` that is a function of `seed` and `tags`."""
    return torch.Generator(device).manual_seed(fold_in(seed, *tags))


def seed_global(seed: int, device: torch.device) -> None:
    """Seed torch's global generators, of the CPU and of all GPUs if `device` is one; dropout draws from them.

    `torch.manual_seed` would leave a note for every kind of device that torch knows, with a stack trace:
    small models feel it in every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def normal(
    indices: Sequence[int],
    shape: Iterable[int],
    seed: int,
    *tags: int | str,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return standard normal draws (len(indices), *shape), float32; row j depends on indices[j] alone.

    Draws are made in blocks of `BLOCK` consecutive indices, one generator each.
    """
    shape = tuple(shape)
    wanted = torch.tensor(list(indices), dtype=torch.int64)
    out = torch.empty((len(wanted), *shape), device=device)
    blocks = wanted // BLOCK
    for block in blocks.unique().tolist():
        rows = (blocks == block).nonzero().squeeze(1)
        source = generator(seed, *tags, block, device=device)
        draws = torch.randn((BLOCK, *shape), generator=source, device=device)
        out[rows.to(device)] = draws[(wanted[rows] % BLOCK).to(device)]
    return out


def classes_of(indices: Sequence[int], classes: int) -> Tensor:
    """Return the labels (B,) int64 of the pairs or samples `indices`: i mod classes, 0 without classes."""
    return torch.tensor([i % classes if classes else 0 for i in indices])


class EpochSampler:
    """The order in which training examples `count` examples: one seeded permutation per epoch.

    Batches straddle epochs, so every example of an epoch is seen exactly once. Batch `step` is a
    function of (seed, step).
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __call__(self, step: int) -> Tensor:
        """Return the example numbers (batch,), int64, of optimisation step `step` (from 0)."""
        start, parts = step * self.batch, []
        stop = start + self.batch
        while start < stop:
            epoch, offset = divmod(start, self.count)
            part = self._permutation(epoch)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._order = torch.randperm(self.count, generator=generator(self.seed, "epoch", epoch))
            self._epoch = epoch
        return self._order
