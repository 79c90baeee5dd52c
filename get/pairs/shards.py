"""Shards of pairs (noise, label, image) as HDF5, and the manifest that lists them.

A shard holds contiguous datasets noise (n, C, H, W) float16, image (n, C, H, W) float16 and label (n,)
int64 (0 where the teacher is unconditional), for the pair indices start .. start + n - 1. The noise is
exact: it was rounded to float16 before the teacher saw it. Pair i is a function of (teacher, seed, i).

Training pairs have the indices 0 .. count - 1; held-out pairs start at `HELD_OUT`, out of reach.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from get import __version__
from get.runtime.log import Progress
from get.storage.atomic import atomic, write_json
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.hdf5 import dataset
from get.storage.reading import read_json, reading, require, require_unchanged
from get.storage.settings import from_settings

HELD_OUT = 2**40  # first index of the held-out range
LARGEST_PIXEL = 10.0  # a teacher's pixel beyond this is a failure, not an image (they lie in about [-1, 1])
DATASETS = ("noise", "image", "label")
MANIFEST = {"identity": str, "teacher": str, "shape": list, "classes": int, "shards": list}


@dataclass(frozen=True)
class Shard:
    """One line of a manifest: file name (beside the manifest), index range, size and hash of the content.

    `modified` is the time of the file when it was hashed, in nanoseconds.
    """

    file: str
    start: int
    count: int
    bytes: int
    modified: int
    sha256: str

    @property
    def held_out(self) -> bool:
        """True for pairs that training never sees."""
        return self.start >= HELD_OUT


@dataclass(frozen=True)
class Manifest:
    """What a set of pairs consists of.

    Args:
        identity: fingerprint of all settings that decide what the pairs are.
        teacher: SHA-256 of the teacher's weights.
        shape: (C, H, W) of an image; classes: number of classes, 0 where the teacher is unconditional.
        shards, folder: the files, and where they are.
    """

    identity: str
    teacher: str
    shape: list[int]
    classes: int
    shards: list[Shard]
    folder: Path

    def training(self) -> list[Shard]:
        """Return the shards of the training pairs, by index."""
        return sorted((shard for shard in self.shards if not shard.held_out), key=lambda shard: shard.start)


def shard_range(shard: int, shards: int, count: int, batch: int) -> range:
    """Return the pair indices of shard number `shard` of `shards`: whole batches, as even as they come."""
    batches = -(-count // batch)
    bounds = [min(count, batch * (batches * k // shards)) for k in (shard, shard + 1)]
    return range(*bounds)


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
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("noise", data=noise, fillvalue=np.nan)
        file.create_dataset("image", data=image, fillvalue=np.nan)
        file.create_dataset("label", data=label, fillvalue=-1)
        file.attrs.update(attributes, start=start, version=__version__)


def write_manifest(path: str | Path, shards: Sequence[str | Path], identity: str) -> None:
    """Write the manifest of the files `shards` after checking that they belong together.

    Raises:
        UserError: a shard is damaged, belongs to other settings or another teacher, or the index ranges leave
            a gap or overlap.
    """
    path = Path(path)
    # open and hash each shard
    lines, kinds = [], set()
    for shard in map(Path, shards):
        with open_shard(shard, identity) as found:
            count, *shape = found.datasets["image"].shape
            kinds.add((*shape, found.classes, found.teacher))
        stat = shard.stat()
        lines.append(Shard(shard.name, found.start, count, stat.st_size, stat.st_mtime_ns, sha256(shard)))
    if len(kinds) != 1:
        raise UserError(f"{path}: the shards are of different teachers or shapes; make them again")
    # training pairs are numbered from 0 on, held-out ones from HELD_OUT on, without a gap
    for first, held_out in ((0, False), (HELD_OUT, True)):
        for line in sorted((s for s in lines if s.held_out == held_out), key=lambda s: s.start):
            if line.start != first:
                shard = path.with_name(line.file)
                raise UserError(f"{shard} starts at pair {line.start}, not {first}", shard)
            first += line.count
    ((*shape, classes, teacher),) = kinds
    content = {"identity": identity, "teacher": teacher, "shape": shape, "classes": classes}
    write_json(path, {**content, "shards": [asdict(line) for line in lines]})


def read_manifest(path: str | Path, identity: str | None = None) -> Manifest:
    """Read a manifest; with `identity`, check that it is that of the wanted settings.

    Raises:
        UserError: missing, damaged, or of other settings.
    """
    with reading(path, "manifest of pairs"):
        content = read_json(path)
        require(content, MANIFEST)
        for size in content["shape"]:
            require({"shape": size}, {"shape": int})
        shards = [from_settings(Shard, line, "shards") for line in content.pop("shards")]
        for shard in shards:
            if not re.fullmatch(r"[\w-]{1,64}\.h5", shard.file, re.ASCII):
                raise ValueError(f"it lists {shard.file!r}, which is no shard beside it")
        manifest = Manifest(**content, shards=shards, folder=Path(path).parent)
    if identity is not None and manifest.identity != identity:
        raise UserError(
            f"{path} lists pairs made with other settings ({manifest.identity[:16]}, wanted {identity})", path
        )
    return manifest


def changed(path: Path, shard: Shard, hash_all: bool = False) -> bool:
    """Return True if the file at `path` is not the one that the manifest lists as `shard`.

    Size and time are compared first. Only a file of another time (a copy, say) is hashed again; with
    `hash_all`, every file is.
    """
    stat = path.stat()
    if stat.st_size != shard.bytes:
        return True
    return (hash_all or stat.st_mtime_ns != shard.modified) and sha256(path) != shard.sha256


def verify(path: str | Path) -> int:
    """Hash every shard that the manifest at `path` lists again; returns their number.

    Raises:
        UserError: the manifest is damaged, or shards are missing or changed: all of them are named.
    """
    manifest = read_manifest(path)
    progress = Progress("shards", len(manifest.shards))
    bad = []
    for shard in manifest.shards:
        file = manifest.folder / shard.file
        if not file.exists() or changed(file, shard, hash_all=True):
            bad.append(file)
        progress.advance()
    progress.close()
    if bad:
        names = " ".join(map(str, bad))
        raise UserError(f"missing or changed since they were listed: {names}", *bad)
    return len(manifest.shards)


class OpenShard(NamedTuple):
    """The index of its first pair, classes and teacher, and its datasets by name."""

    start: int
    classes: int
    teacher: str
    datasets: dict[str, h5py.Dataset]


@contextmanager
def open_shard(path: Path, identity: str, listed: bool = False) -> Iterator[OpenShard]:
    """Open a shard and check that it is whole and of the pairs named `identity`; else raise `UserError`.

    Args:
        path: the shard.
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
            file = stack.enter_context(h5py.File(path, "r"))
            if str(file.attrs["identity"]) != identity:
                raise UserError(f"{path} belongs to pairs of other settings", path)
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
