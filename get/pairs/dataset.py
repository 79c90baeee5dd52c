"""Pairs as training reads them: every shard memory-mapped, constant memory however many pairs."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.files import UserError
from get.pairs.shards import DATASETS, Manifest, Shard, open_shard, remedy


class Batch(NamedTuple):
    """noise and image (B, C, H, W) float32, label (B,) int64."""

    noise: Tensor
    image: Tensor
    label: Tensor


class Pairs:
    """The training pairs (or the held-out ones) of a manifest, addressed by position 0 .. len - 1."""

    def __init__(self, manifest: Manifest, held_out: bool = False) -> None:
        shards = manifest.part(held_out)
        if not shards:
            raise UserError(f"{manifest.folder / 'manifest.json'} lists no such pairs; make it again")
        self.classes = manifest.classes
        self.shape = tuple(manifest.shape)
        self._maps = [_memory_map(manifest, shard) for shard in shards]
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
        out = np.empty(
            (len(wanted), *self._maps[0][name].shape[1:]), np.int64 if name == "label" else np.float32
        )
        for number in np.unique(shard):
            rows, array = shard == number, self._maps[number][name]
            out[rows] = array[wanted[rows] - (self._ends[number] - len(array))]
        return out


def _memory_map(manifest: Manifest, shard: Shard) -> dict[str, NDArray[np.generic]]:
    """Map the datasets of one shard after checking it against its line in the manifest."""
    path = manifest.folder / shard.file
    with open_shard(path, manifest.identity) as file:
        found = [int(file.attrs["start"]), *file["image"].shape]
        places = {name: (file[name].dtype, file[name].id.get_offset(), file[name].shape) for name in DATASETS}
    if found != [shard.start, shard.count, *manifest.shape] or path.stat().st_size != shard.bytes:
        raise UserError(f"{path} is not the shard that the manifest lists; {remedy(path)}")
    return {
        name: np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
        for name, (dtype, offset, shape) in places.items()
    }
