"""Shards of pairs (noise, label, image) as HDF5.

A shard holds contiguous datasets noise (n, C, H, W) float16, image (n, C, H, W) float16 and label (n,)
int64 (0 where the teacher is unconditional), for the pair indices start .. start + n - 1. The noise is
exact: it was rounded to float16 before the teacher saw it. Pair i is a function of (teacher, seed, i).

Training pairs have the indices 0 .. count - 1; held-out pairs start at `HELD_OUT`, out of reach.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from get import __version__
from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hdf5 import dataset, new_hdf5, open_hdf5
from get.storage.reading import outdated, reading, require_unchanged

LARGEST_PIXEL = 10.0  # a teacher's pixel beyond this is a failure, not an image (they lie in about [-1, 1])
DATASETS = ("noise", "image", "label")


def write_shard(
    path: str | Path,
    start: int,
    noise: NDArray[np.float16],
    image: NDArray[np.float16],
    label: NDArray[np.int64],
    attributes: dict[str, Any],
) -> None:
    """Write one shard; `attributes` name sampler and teacher; keys 'identity', 'teacher', 'classes'.

    Raises:
        UserError: an image is not finite or far out of range.
    """
    worst = np.abs(image.astype(np.float32)).max(axis=(1, 2, 3), initial=0)
    bad = np.flatnonzero(~(worst <= LARGEST_PIXEL))
    if len(bad):
        raise UserError(
            f"{path}: the teacher's image of pair {start + bad[0]} has pixels up to {worst[bad[0]]} "
            f"({len(bad)} such pairs); train the teacher longer or check its settings"
        )
    size = noise.nbytes + image.nbytes + label.nbytes
    with atomic(path) as temporary, new_hdf5(temporary, size) as file:
        file.create_dataset("noise", data=noise, fillvalue=np.nan)
        file.create_dataset("image", data=image, fillvalue=np.nan)
        file.create_dataset("label", data=label, fillvalue=-1)
        file.attrs.update(attributes, start=start, version=__version__)


class OpenShard(NamedTuple):
    """The index of its first pair, classes and teacher, and its datasets by name."""

    start: int
    classes: int
    teacher: str
    datasets: dict[str, h5py.Dataset]


@contextmanager
def open_shard(path: Path, identity: str | None, listed: bool = False) -> Iterator[OpenShard]:
    """Open a shard and check that it is whole and of the pairs named `identity`; else raise `UserError`.

    Args:
        path: the shard; identity: None takes any pairs.
        identity: fingerprint of the settings of the pairs.
        listed: whether it has been compared with a manifest; if not, it is compared with the hash beside it.
            HDF5 itself may crash or hang over damaged bytes.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist", path)
    with ExitStack() as stack:
        with reading(path, "shard of pairs"):
            if not listed:
                require_unchanged(path)
            file = stack.enter_context(open_hdf5(path))
            if identity not in (None, str(file.attrs["identity"])):
                raise outdated(path, "belongs to pairs of other settings")
            shard = _checked(file)
        yield shard


def _checked(file: h5py.File) -> OpenShard:
    """Return the content of a shard, whose datasets must have a common length."""
    kinds = zip(DATASETS, (np.float16, np.float16, np.int64), (4, 4, 1), strict=True)
    datasets = {name: dataset(file, name, dtype, ndim) for name, dtype, ndim in kinds}
    if datasets["noise"].shape != datasets["image"].shape or len(datasets["label"]) != len(datasets["image"]):
        raise ValueError("noise, image and label are not of one length")
    start, classes = int(file.attrs["start"]), int(file.attrs["classes"])
    if start < 0 or classes < 0:
        raise ValueError(f"start is {start}, classes is {classes}")
    return OpenShard(start, classes, str(file.attrs["teacher"]), datasets)
