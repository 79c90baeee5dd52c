"""Pairs as training reads them: every shard memory-mapped, constant memory however many pairs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.files import UserError
from get.pairs.shards import DATASETS, HELD_OUT, Content, Manifest, changed, open_shard, remedy
from get.reading import AGAIN


class Batch(NamedTuple):
    """noise and image (B, C, H, W) float32, label (B,) int64."""

    noise: Tensor
    image: Tensor
    label: Tensor


Maps = dict[str, NDArray[np.generic]]


class Pairs:
    """Pairs addressed by position 0 .. len - 1; `training_pairs` and `held_out_pairs` open them.

    Args:
        maps: the mapped datasets of each shard, by name; at least one shard.
        classes: number of classes, 0 for an unconditional teacher.
        teacher: SHA-256 of the teacher's weights.
    """

    def __init__(self, maps: list[Maps], classes: int, teacher: str) -> None:
        self.classes, self.teacher = classes, teacher
        self.shape = maps[0]["image"].shape[1:]
        self._maps = maps
        self._ends = np.cumsum([len(shard["image"]) for shard in maps])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, positions: Tensor) -> Batch:
        """Return the pairs at `positions` (B,) int64, in that order."""
        wanted = positions.numpy()
        shard = np.searchsorted(self._ends, wanted, side="right")
        parts = {name: self._gather(name, wanted, shard) for name in DATASETS}
        return Batch(*(torch.from_numpy(parts[name]) for name in Batch._fields))

    def _gather(self, name: str, wanted: NDArray[np.int64], shard: NDArray[np.intp]) -> NDArray[np.generic]:
        out = np.empty(
            (len(wanted), *self._maps[0][name].shape[1:]), np.int64 if name == "label" else np.float32
        )
        for number in np.unique(shard):
            rows, array = shard == number, self._maps[number][name]
            out[rows] = array[wanted[rows] - (self._ends[number] - len(array))]
        return out


def training_pairs(manifest: Manifest) -> Pairs:
    """Open the training pairs of a manifest.

    Raises:
        UserError: a shard is missing, damaged, or not the one that the manifest lists.
    """
    maps, listed = [], manifest.folder / "manifest.json"
    for shard in manifest.training():
        path = manifest.folder / shard.file
        if not path.exists():
            raise UserError(f"{path} is missing; make it again with: snakemake {path} ({listed} lists it)")
        another = UserError(f"{path} is not the shard that {listed} lists; delete both, and {AGAIN}")
        if not path.is_file() or changed(path, shard):
            raise another
        with open_shard(path, manifest.identity, listed=True) as content:
            found = [content.start, *content.sets["image"].shape, content.classes, content.teacher]
            if found != [shard.start, shard.count, *manifest.shape, manifest.classes, manifest.teacher]:
                raise another
            maps.append(_memory_map(path, content))
    if not maps:
        raise UserError(f"{listed} lists no training pairs; delete it and {AGAIN}")
    return Pairs(maps, manifest.classes, manifest.teacher)


def held_out_pairs(path: str | Path, identity: str) -> Pairs:
    """Open the shard of held-out pairs at `path`; raises `UserError` as `open_shard`, or if it is another."""
    with open_shard(Path(path), identity) as content:
        if content.start != HELD_OUT:
            raise UserError(f"{path} holds pairs from {content.start} on, no held-out ones; {remedy(path)}")
        return Pairs([_memory_map(Path(path), content)], content.classes, content.teacher)


def _memory_map(path: Path, content: Content) -> Maps:
    """Map the datasets of an open shard."""
    return {
        name: np.memmap(path, dtype=s.dtype, mode="r", offset=s.id.get_offset(), shape=s.shape)
        for name, s in content.sets.items()
    }
