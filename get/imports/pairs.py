"""Import of pair sets as the paper's code keeps them: the folders latent/ and image/ of `torch.save` files.

A file in image/ holds the images of a file of the same name in latent/: a tensor (n, C, H, W), float64 in
unconditional sets. The file in latent/ holds their noise, a tensor of the same shape; in conditional sets, a
list of the noise and one-hot labels (n, classes). Names are numbers (000003199.pkl) and give the order.
`tensors` says in which other layouts and ranges they may be.

Both become float16 here, as in all shards. So, other than in pairs of this project, the noise is not exactly
what the teacher saw: it is rounded, by a relative 5e-4 at most.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.imports.saved import load_saved
from get.imports.tensors import RANGE, to_images, to_labels, to_noise
from get.pairs.indices import HELD_OUT
from get.pairs.manifest import Manifest, read_manifest, write_manifest
from get.pairs.shards import write_shard
from get.runtime.log import Progress, log
from get.storage.atomic import new_folder
from get.storage.errors import UserError
from get.storage.hashing import fingerprint, sha256

KIND = "published pair set"


class Part(NamedTuple):
    """The pairs of one file.

    Attributes:
        noise, image: (n, C, H, W) float16; label: (n,) int64; classes: their number, 0 for none.
        bytes: whether the images were whole numbers in 0 to 255.
    """

    noise: NDArray[np.float16]
    image: NDArray[np.float16]
    label: NDArray[np.int64]
    classes: int
    bytes: bool

    def write(self, path: Path, start: int, rows: slice, attributes: dict[str, Any]) -> None:
        """Write some of the pairs as the shard that begins with pair `start`."""
        attributes = {**attributes, "classes": self.classes}
        write_shard(path, start, self.noise[rows], self.image[rows], self.label[rows], attributes)


def import_pairs(*, source: Path, held_out: int, output: Path, classes: int | None = None) -> Manifest:
    """Write a published pair set as shards, one for each of its files, and a manifest, which is returned.

    Args:
        source: the folder that has latent/ and image/.
        held_out: how many pairs, the first of the first file, training is not to see.
        output: the folder to write, which is new: train-00000.h5, ..., held-out.h5, manifest.json.
        classes: how many there are, where labels are whole numbers and do not tell; None where they do.

    Raises:
        UserError: files are missing, damaged, do not belong together, ask for code, or do not tell what their
            numbers mean.
    """
    files = _files(source)
    hashes = [[sha256(source / kind / name) for kind in ("latent", "image")] for name in files]
    told = {} if classes is None else {"classes": classes}
    identity = fingerprint({"published": hashes, "held_out": held_out, **told})
    with new_folder(output) as folder:
        shards = list(_write(source, files, held_out, classes, identity, folder))
        write_manifest(folder / "manifest.json", shards, identity)
    return read_manifest(output / "manifest.json")


def _write(
    source: Path, files: list[str], held_out: int, classes: int | None, identity: str, folder: Path
) -> Iterator[Path]:
    """Write the shards, and yield the path of each."""
    kinds: dict[str, str] = {}
    progress, start, lowest, highest = Progress("files", len(files)), 0, np.inf, -np.inf
    for number, name in enumerate(files):
        part = _read(source, name, classes)
        kinds.setdefault(_kind(part), name)
        if len(kinds) > 1:
            found = "; ".join(f"{file}: {kind}" for kind, file in kinds.items())
            raise UserError(f"{source}: the files differ ({found}); import them apart")
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
        lowest, highest = min(lowest, part.image.min()), max(highest, part.image.max())
        progress.advance()
    progress.close()
    # in a single file, images in 0 to 1 might be bright ones in -1 to 1
    if not lowest < 0 < highest:
        raise UserError(
            f"{source}: all pixels lie from {lowest:g} to {highest:g}, but {RANGE} (those in 0 to 1: 2 v - 1)"
        )
    log.info("%s: %s", source, *kinds)


def _kind(part: Part) -> str:
    """Return what all files of a set have in common, in words."""
    channels, height, width = part.image.shape[1:]
    labels = f"{part.classes} classes" if part.classes else "no labels"
    pixels = "0 to 255, taken as v / 127.5 - 1" if part.bytes else "about -1 to 1"
    return f"images of {channels} x {height} x {width}, {labels}, pixels in {pixels}"


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


def _read(source: Path, name: str, classes: int | None) -> Part:
    """Return the pairs in the files called `name`."""
    latent, image = source / "latent" / name, source / "image" / name
    content, label, known = load_saved(latent, KIND), None, 0
    with _naming(latent):
        if isinstance(content, list | tuple) and len(content) == 2:
            content, label = content
        noise = to_noise(content)
        if label is not None:
            label, known = to_labels(label, classes)
        elif classes is not None:
            raise UserError("it has no labels; leave --classes out")
    with _naming(image):
        images = to_images(load_saved(image, KIND))
    if label is None:
        label = torch.zeros(len(images.values), dtype=torch.int64)
    if noise.shape != images.values.shape or len(label) != len(noise):
        raise UserError(
            f"{latent} has noise {tuple(noise.shape)} and {len(label)} labels, but {image} has images "
            f"{tuple(images.values.shape)}: they do not belong together; name a folder where they do"
        )
    return Part(_half(noise), _half(images.values), label.numpy(), known, images.bytes)


def _half(values: Tensor) -> NDArray[np.float16]:
    return values.half().contiguous().numpy()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Begin the message of a `UserError` of the block with the file."""
    try:
        yield
    except UserError as error:
        message = str(error)
        raise UserError(message if str(path) in message else f"{path}: {message}") from None
