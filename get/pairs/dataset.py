"""Pairs as training reads them: every shard memory-mapped, constant memory however many pairs."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.files import UserError
from get.pairs.shards import DATASETS, Manifest, changed, open_shard, remedy


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
    maps = []
    for shard in manifest.training():
        path = manifest.folder / shard.file
        with open_shard(path, manifest.identity) as file:
            found = [int(file.attrs["start"]), *file["image"].shape]
            maps.append(_memory_map(path, file))
        if found != [shard.start, shard.count, *manifest.shape] or changed(path, shard):
            raise UserError(f"{path} is not the shard that the manifest lists; {remedy(path)}")
    if not maps:
        raise UserError(f"{manifest.folder / 'manifest.json'} lists no training pairs; make it again")
    return Pairs(maps, manifest.classes, manifest.teacher)


def held_out_pairs(path: str | Path, identity: str) -> Pairs:
    """Open the shard of held-out pairs at `path`; raises `UserError` as `open_shard`."""
    with open_shard(Path(path), identity) as file:
        return Pairs([_memory_map(Path(path), file)], int(file.attrs["classes"]), str(file.attrs["teacher"]))


def _memory_map(path: Path, file: h5py.File) -> Maps:
    """Map the datasets of the open shard `file`."""
    sets = {name: file[name] for name in DATASETS}
    return {
        name: np.memmap(path, dtype=s.dtype, mode="r", offset=s.id.get_offset(), shape=s.shape)
        for name, s in sets.items()
    }
