"""Pairs as training reads them: row by row out of open shards; of many pairs, only the labels are in memory.

The shards are not mapped: the pages of a map count as this process's memory (in the end 12 GB for a million
pairs), and a process whose map's file is cut off dies without a word (SIGBUS).
"""

import math
import os
import resource
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.pairs.indices import HELD_OUT
from get.pairs.manifest import Manifest, changed
from get.pairs.shards import OpenShard, open_shard
from get.runtime.device import send
from get.storage.errors import UserError
from get.storage.reading import reading

OTHER_FILES = 256  # that a process may have open beside its shards
KEPT = 2**26  # bytes of noise and images that are kept in memory; more are read when they are wanted


class Batch(NamedTuple):
    """noise and image (B, C, H, W) float16, as they are stored, and label (B,) int64, in CPU memory."""

    noise: Tensor
    image: Tensor
    label: Tensor

    def on(self, device: torch.device) -> "Batch":
        """Return the batch on `device`, noise and image as float32 (exactly), without waiting for copies."""
        noise, image, label = (send(tensor, device) for tensor in self)
        return Batch(noise.float(), image.float(), label)


class ShardFile:
    """A shard that stays open: what it held then is read even if it is deleted or made again meanwhile.

    Args:
        path: the shard; shard: what `open_shard` found in it.

    Attributes:
        descriptor: of the open file, closed with this object; label: (n,) int64; shape: (C, H, W).
        offsets: where in the file noise and image begin, in bytes.
    """

    def __init__(self, path: Path, shard: OpenShard) -> None:
        self.path = path
        with reading(path, "shard of pairs"):
            self.descriptor = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self.descriptor)
            self.label: NDArray[np.int64] = shard.datasets["label"][:]
        self.offsets = [shard.datasets[name].id.get_offset() for name in ("noise", "image")]
        self.shape = shard.datasets["image"].shape[1:]


class Pairs:
    """Pairs addressed by position 0 .. len - 1; `training_pairs` and `held_out_pairs` open them.

    Args:
        files: the shards, at least one.
        classes: number of classes, 0 for an unconditional teacher.
        teacher: SHA-256 of the teacher's weights.
    """

    def __init__(self, files: list[ShardFile], classes: int, teacher: str) -> None:
        self.classes, self.teacher = classes, teacher
        self.shape = files[0].shape
        self._files = files
        self._row = 2 * math.prod(self.shape)  # bytes
        self._label = np.concatenate([file.label for file in files])
        self._ends = np.cumsum([len(file.label) for file in files])
        self._starts = self._ends - [len(file.label) for file in files]
        self._offsets = np.array([file.offsets for file in files])
        few = len(self) * 2 * self._row <= KEPT
        self._kept = self._read(np.arange(len(self))) if few else None

    def __len__(self) -> int:
        return len(self._label)

    def __repr__(self) -> str:
        classes = f"{self.classes} classes" if self.classes else "no classes"
        return f"<get.Pairs: {len(self):,} pairs, images {'x'.join(map(str, self.shape))}, {classes}>"

    def batch(self, positions: Tensor | Sequence[int]) -> Batch:
        """Return the pairs at `positions` (B,), whole numbers, in that order.

        Raises:
            UserError: no such position; a shard was cut off since it was opened, or cannot be read.
        """
        wanted = torch.as_tensor(positions, dtype=torch.int64).numpy()
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise UserError(f"positions {wanted.min()} to {wanted.max()}: there are 0 to {len(self) - 1}")
        if self._kept is not None:
            return Batch(*(tensor[torch.from_numpy(wanted)] for tensor in self._kept))
        return self._read(wanted)

    def _read(self, wanted: NDArray[np.int64]) -> Batch:
        shard = np.searchsorted(self._ends, wanted, side="right")
        starts = self._offsets[shard].T + (wanted - self._starts[shard]) * self._row
        noise, image = (self._rows(shard.tolist(), each.tolist()) for each in starts)
        return Batch(noise, image, torch.from_numpy(self._label[wanted]))

    def _rows(self, numbers: list[int], starts: list[int]) -> Tensor:
        """Return the rows (B, C, H, W) that begin at the bytes `starts` of the shards `numbers`."""
        out = torch.empty((len(starts), *self.shape), dtype=torch.float16)
        for number, start, row in zip(numbers, starts, out.numpy(), strict=True):
            try:
                if os.preadv(self._files[number].descriptor, [row.data], start) < self._row:
                    raise ValueError("it was cut off after it was opened")
            except (OSError, ValueError):
                path = self._files[number].path
                with reading(path, "shard of pairs"):
                    raise
        return out


def training_pairs(manifest: Manifest) -> Pairs:
    """Open the training pairs of a manifest.

    Raises:
        UserError: a shard is missing, damaged, or not the one that the manifest lists; or there are more than
            the system lets a process open.
    """
    files, listed = [], manifest.folder / "manifest.json"
    _allow_open_files(len(manifest.shards))
    for shard in manifest.training():
        path = manifest.folder / shard.file
        if not path.exists():
            raise UserError(f"{path} does not exist, but {listed} lists it", path)
        exchanged = UserError(f"{path} is not the shard that {listed} lists", path, listed)
        if not path.is_file() or changed(path, shard):
            raise exchanged
        with open_shard(path, manifest.identity, listed=True) as found:
            described = [found.start, *found.datasets["image"].shape, found.classes, found.teacher]
            if described != [shard.start, shard.count, *manifest.shape, manifest.classes, manifest.teacher]:
                raise exchanged
            files.append(ShardFile(path, found))
    if not files:
        raise UserError(f"{listed} lists no training pairs", listed)
    return Pairs(files, manifest.classes, manifest.teacher)


def held_out_pairs(path: str | Path, identity: str | None) -> Pairs:
    """Open the shard of held-out pairs at `path`; raises `UserError` as `open_shard`, or if it is another."""
    with open_shard(Path(path), identity) as shard:
        if shard.start != HELD_OUT:
            raise UserError(f"{path} holds pairs from {shard.start} on, no held-out ones", path)
        return Pairs([ShardFile(Path(path), shard)], shard.classes, shard.teacher)


def _allow_open_files(shards: int) -> None:
    """Raise the soft limit of open files where it is too low; raises `UserError` where the hard one is."""
    wanted = shards + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted > hard:
        raise UserError(
            f"{shards} shards are to be open, but the system allows {hard} files; raise that limit (ulimit "
            "-Hn), or make the pairs in fewer shards"
        )
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
