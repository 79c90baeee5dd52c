"""Import of pair sets as the paper's code keeps them: the folders latent/ and image/ of `torch.save` files.

A file in image/ holds the images of a file of the same name in latent/: a tensor (n, C, H, W), float64 in
unconditional sets. The file in latent/ holds their noise, a tensor of the same shape; in conditional sets, a
list of the noise and one-hot labels (n, classes). Names are numbers (000003199.pkl) and give the order.

Both become float16 here, as in all shards. So, other than in pairs of this project, the noise is not exactly
what the teacher saw: it is rounded, by a relative 5e-4 at most.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.imports.saved import load_saved
from get.pairs.indices import HELD_OUT
from get.pairs.manifest import Manifest, read_manifest, write_manifest
from get.pairs.shards import write_shard
from get.runtime.log import Progress
from get.storage.atomic import new_folder
from get.storage.errors import UserError
from get.storage.hashing import fingerprint, sha256

KIND = "published pair set"
DAMAGED = f"is damaged or no {KIND}"


class Part(NamedTuple):
    """The pairs of one file: noise and image (n, C, H, W) float16, label (n,) int64; classes, 0 for none."""

    noise: NDArray[np.float16]
    image: NDArray[np.float16]
    label: NDArray[np.int64]
    classes: int

    def write(self, path: Path, start: int, rows: slice, attributes: dict[str, Any]) -> None:
        """Write some of the pairs as the shard that begins with pair `start`."""
        attributes = {**attributes, "classes": self.classes}
        write_shard(path, start, self.noise[rows], self.image[rows], self.label[rows], attributes)


def import_pairs(*, source: Path, held_out: int, output: Path) -> Manifest:
    """Write a published pair set as shards, one for each of its files, and a manifest, which is returned.

    Args:
        source: the folder that has latent/ and image/.
        held_out: how many pairs, the first of the first file, training is not to see.
        output: the folder to write, which is new: train-00000.h5, ..., held-out.h5, manifest.json.

    Raises:
        UserError: files are missing, damaged, do not belong together, or ask for code.
    """
    files = _files(source)
    hashes = [[sha256(source / kind / name) for kind in ("latent", "image")] for name in files]
    identity = fingerprint({"published": hashes, "held_out": held_out})
    with new_folder(output) as folder:
        shards = list(_write(source, files, held_out, identity, folder))
        write_manifest(folder / "manifest.json", shards, identity)
    return read_manifest(output / "manifest.json")


def _write(source: Path, files: list[str], held_out: int, identity: str, folder: Path) -> Iterator[Path]:
    """Write the shards, and yield the path of each."""
    kinds: dict[tuple[int, ...], str] = {}
    progress, start = Progress("files", len(files)), 0
    for number, name in enumerate(files):
        part = _read(source, name)
        kinds.setdefault((*part.image.shape[1:], part.classes), name)
        if len(kinds) > 1:
            found = "; ".join(f"{file}: {kind}" for kind, file in kinds.items())
            raise UserError(f"{source}: the files differ in C, H, W or classes ({found}); import them apart")
        # the files do not name their teacher: another set may be of another one
        attributes = {"identity": identity, "teacher": f"of the pairs {identity[:16]}", "source": name}
        first, count = 0 if number else held_out, len(part.image)
        if first >= count:
            raise UserError(f"--held-out {first}: the first file has {count} pairs; hold out fewer")
        if first:
            yield (path := folder / "held-out.h5")
            part.write(path, HELD_OUT, slice(first), attributes)
        yield (path := folder / f"train-{number:05d}.h5")
        part.write(path, start, slice(first, None), attributes)
        start += count - first
        progress.advance()
    progress.close()


def _files(source: Path) -> list[str]:
    """Return the names that latent/ and image/ share, by their numbers."""
    found = [
        {path.name for path in (source / kind).glob("*") if path.is_file()} for kind in ("latent", "image")
    ]
    names = [{name for name in each if re.fullmatch(r"\d{1,18}\.\w{1,8}", name, re.ASCII)} for each in found]
    if odd := sorted(names[0] ^ names[1]):
        raise UserError(f"{source}: {odd[0]} is in only one of latent/ and image/; get the other one too")
    if not names[0]:
        raise UserError(
            f"{source} has no folders latent/ and image/ with files named by numbers (000003199.pkl)"
        )
    return sorted(names[0], key=lambda name: int(name.partition(".")[0]))


def _read(source: Path, name: str) -> Part:
    """Return the pairs in the files called `name`."""
    latent, image = source / "latent" / name, source / "image" / name
    content, images = load_saved(latent, KIND), load_saved(image, KIND)
    label, classes = torch.zeros(len(images) if isinstance(images, Tensor) else 0, dtype=torch.int64), 0
    if isinstance(content, list | tuple) and len(content) == 2:
        content, one_hot = content
        _require_dense(latent, one_hot, 2)
        if not ((one_hot == 1).sum(dim=1).eq(1) & (one_hot != 0).sum(dim=1).eq(1)).all():
            raise UserError(f"{latent} {DAMAGED} (its labels are not one-hot); download it again")
        label, classes = one_hot.argmax(dim=1), one_hot.shape[1]
    _require_dense(latent, content, 4)
    _require_dense(image, images, 4)
    if content.shape != images.shape or len(label) != len(images):
        raise UserError(
            f"{latent} has noise {tuple(content.shape)} and {len(label)} labels, but {image} has images "
            f"{tuple(images.shape)}; get both again"
        )
    return Part(content.half().numpy(), images.half().numpy(), label.numpy(), classes)


def _require_dense(path: Path, found: Any, ndim: int) -> None:
    """Raise `UserError` unless `found` is a tensor of numbers that all lie in the file, and are finite."""
    dense = isinstance(found, Tensor) and (found.device.type, found.layout) == ("cpu", torch.strided)
    dense = dense and found.is_floating_point()
    # a view of few numbers, repeated, could unfold without end
    if not dense or found.ndim != ndim or not len(found) or not found.is_contiguous():
        raise UserError(
            f"{path} {DAMAGED} (no tensor of {ndim} dimensions where it should be); download it again"
        )
    if not found.isfinite().all():
        raise UserError(f"{path} holds numbers that are not finite; download it again")
