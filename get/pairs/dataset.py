"""Pairs as training reads them: every shard memory-mapped, constant memory however many pairs."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.files import UserError
from get.pairs.shards import DATASETS, Manifest, Shard, remedy


class Batch(NamedTuple):
    """noise and image (B, C, H, W) float32, label (B,) int64."""

    noise: Tensor
    image: Tensor
    label: Tensor


class Pairs:
    """The training pairs (or the held-out ones) of a manifest, addressed by position 0 .. len - 1."""

    def __init__(self, manifest: Manifest, held_out: bool = False) -> None:
        shards = manifest.part(held_out)
        self.classes = manifest.classes
        self.shape = tuple(manifest.shape)
        self._maps = [_memory_map(manifest.folder / shard.file, shard) for shard in shards]
        self._ends = np.cumsum([shard.count for shard in shards])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def batch(self, positions: Tensor) -> Batch:
        """Return the pairs at `positions` (B,) int64, in that order."""
        wanted = positions.numpy()
        shard = np.searchsorted(self._ends, wanted, side="right")
        parts = {name: self._gather(name, wanted, shard) for name in DATASETS}
        return Batch(*(torch.from_numpy(parts[name]) for name in Batch._fields))

    def _gather(self, name: str, wanted: NDArray[np.int64], shard: NDArray[np.intp]) -> NDArray[np.generic]:
        maps = self._maps[0][name]
        out = np.empty((len(wanted), *maps.shape[1:]), np.int64 if name == "label" else np.float32)
        for number in np.unique(shard):
            rows = shard == number
            first = self._ends[number] - len(self._maps[number][name])
            out[rows] = self._maps[number][name][wanted[rows] - first]
        return out


def _memory_map(path: Path, shard: Shard) -> dict[str, NDArray[np.generic]]:
    """Map the datasets of one shard after checking it against its line in the manifest."""
    if not path.exists():
        raise UserError(f"{path} is missing; make it again with: snakemake {path}")
    if path.stat().st_size != shard.bytes:
        raise UserError(f"{path} has {path.stat().st_size} bytes, not {shard.bytes}; {remedy(path)}")
    try:
        with h5py.File(path, "r") as file:
            sets = {name: file[name] for name in DATASETS}
            places = {name: (s.dtype, s.id.get_offset(), s.shape) for name, s in sets.items()}
    except (OSError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); {remedy(path)}") from None
    return {
        name: np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
        for name, (dtype, offset, shape) in places.items()
    }
