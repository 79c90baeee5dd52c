"""Images of one's own: a folder, zip or tar of pictures, an EDM data set, or an .npz (docs/own-images.md).

Which split and which class a picture belongs to, `get.data.pictures.arrangement` says. Shape and number of
classes are found. All pictures are read before the store is kept; those that cannot be taken are named.
"""

import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from get.data.pictures.arrangement import Arrangement
from get.data.pictures.collection import Collection, Files, open_collection
from get.data.pictures.decoding import Unfit, pixels, square
from get.data.sets import DataSet
from get.runtime.log import Progress, log
from get.storage.errors import UserError
from get.storage.hashing import fingerprint, verified_sha256

LOOKED_AT = 10  # pictures, for the shape of all
NAMED = 10  # pictures that cannot be taken
DIGEST = "S16"  # of a picture


def find_folder(*, archive: str | Path | None, labels: str | None, resize: int | None) -> DataSet:
    """Return what lies at `archive`; the shape is that of a few pictures, in colour if any of them is.

    Raises:
        UserError: there is nothing that can be read as pictures, or it is not arranged in splits and classes.
    """
    if archive is None:
        raise UserError("data.source.path is missing: a folder, zip, tar or .npz of images on this machine")
    if not Path(archive).exists():
        raise UserError(f"data.source.path: there is no {archive}")
    return _found(str(archive), labels, resize)


@lru_cache(maxsize=8)
def _found(path: str, labels: str | None, resize: int | None) -> DataSet:
    collection = open_collection(path, labels)
    arranged = collection.arrangement
    content = fingerprint([_members(path, collection), arranged.labels])
    test = sum(arranged.tests or [])
    images = len(arranged.names) if arranged.tests is None else (len(arranged.names) - test, test)
    classes = arranged.classes
    return DataSet(_shape(path, collection, resize), len(classes), images, content=content, names=classes)


def _members(path: str, collection: Collection) -> dict[str, list[int]]:
    """Return what tells other pictures without reading them: sizes, and the checksums of a zip or .npz."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return {each.filename: [each.file_size, each.CRC] for each in archive.infolist()}
    assert isinstance(collection, Files)
    return {name: [size] for name, size in collection.contents.sizes.items()}


def _shape(path: str, collection: Collection, resize: int | None) -> list[int]:
    """Return the shape (C, H, W) that pictures are to have."""
    count = len(collection.arrangement.names)
    pictures = []
    for _, load in collection.images(sorted({count * part // LOOKED_AT for part in range(LOOKED_AT)})):
        try:
            pictures.append(load().picture)
        except Exception:  # named when all are read
            continue
    if not pictures:
        raise UserError(f"none of {LOOKED_AT} pictures of {path} can be read; name another")
    width, height = (resize, resize) if resize else pictures[0].size
    return [3 if any(picture.mode == "RGB" for picture in pictures) else 1, height, width]


def write_folder(
    path: str | Path,
    *,
    archive: str | Path,
    sha256: str | None,
    labels: str | None,
    resize: int | None,
    shape: Sequence[int],
    test_fraction: float,
    seed: int,
) -> None:
    """Write the store at `path`; memory does not grow with the pictures, but for their names.

    Raises:
        UserError: pictures cannot be taken, or not be divided into splits.
    """
    if sha256:
        verified_sha256(archive, sha256)
    from get.data.store import new_store  # imported late: it takes seconds

    collection = open_collection(archive, labels)
    arranged, name = collection.arrangement, Path(archive).resolve().name
    if isinstance(collection, Files) and (rest := collection.contents.left_out()):
        log.info("%s: %d pictures; not read: %s", archive, len(arranged.names), rest)
    with new_store(path, len(arranged.names), shape) as store:
        taken = _take(collection, store.images, resize)
        taken.problems.update(_in_both(arranged, taken.digests))
        require_all(archive, taken.problems, len(arranged.names))
        if arranged.tests is None:
            store.split[:] = _drawn(arranged, taken.digests, test_fraction, seed)
        else:
            store.split[:] = arranged.tests
        store.labels[:] = arranged.labels
        changes = [f"{count} of them {how}" for how, count in taken.changes.items()]
        cut = [f"the square in the middle of each resized to {resize} pixels"] if resize else []
        source = ", ".join([f"{name}: {len(arranged.names)} pictures", *changes, *cut])
        store.attributes.update(name=name, classes=len(arranged.classes), source=source)
    log.info("%s", source)


class Taken(NamedTuple):
    """digests: of pictures (N,); problems: why some cannot be taken, by name; changes: how many had which."""

    digests: NDArray[np.bytes_]
    problems: dict[str, str]
    changes: Counter[str]


def _take(collection: Collection, images: Any, resize: int | None) -> Taken:
    """Read all pictures into the images (N, C, H, W) of a store."""
    names = collection.arrangement.names
    taken = Taken(np.zeros(len(names), DIGEST), {}, Counter())
    progress = Progress("pictures", len(names))
    for number, load in collection.images(range(len(names))):
        try:
            decoded = load()
            image, repeated = fitted(decoded.picture, images.shape[1:], resize)
        except Exception as error:  # a damaged picture or archive can raise any
            taken.problems[names[number]] = reason(error)
        else:
            images[number] = image
            taken.digests[number] = blake2b(image.tobytes(), digest_size=16).digest()
            changes = [decoded.change, "grey repeated to colour" if repeated else ""]
            taken.changes.update(filter(None, changes))
        progress.advance()
    progress.close()
    return taken


def reason(error: Exception) -> str:
    """Return why a picture cannot be taken."""
    if isinstance(error, Unfit):
        return str(error)
    if isinstance(error, UnidentifiedImageError):  # whose words are of Python's objects
        return "it cannot be read: no picture, or damaged"
    return f"it cannot be read: {error or type(error).__name__}"


def fitted(picture: Image.Image, shape: Sequence[int], resize: int | None) -> tuple[NDArray[np.uint8], bool]:
    """Return the pixels (C, H, W) of a picture, and whether its grey was repeated to colour.

    Raises:
        Unfit: it has another size, or is in colour where grey is wanted.
    """
    channels, height, width = shape
    if resize:
        picture = square(picture, resize)
    if picture.size != (width, height):
        raise Unfit(f"it has {picture.width} x {picture.height} pixels, not {width} x {height}")
    repeated = channels == 3 and picture.mode == "L"
    if channels == 1 and picture.mode != "L":
        raise Unfit(f"it is in colour, others are grey; write shape: {[3, height, width]} (below data)")
    return pixels(picture.convert("RGB") if repeated else picture), repeated


def require_split(
    labels: Sequence[int] | NDArray[np.int64], classes: Sequence[str], test_fraction: float
) -> int:
    """Return how many pictures are to test where a split is drawn, given the class of each.

    Raises:
        UserError: a class has too few pictures.
    """
    count, names = len(labels), classes or ["all"]
    size = np.bincount(labels, minlength=len(names))
    tests = math.ceil(test_fraction * count)
    if size.min() >= 2 and min(tests, count - tests) >= len(names):
        return tests
    few = f"of {names[int(size.argmin())]!r} there are {size.min()} pictures"
    remedy = "add some, leave that class out"
    if size.min() >= 2:
        few += f", and {tests} of {count} are to test, of each of {len(names)} classes one or more"
        remedy = f"write test_fraction: {math.ceil(100 * len(names) / count) / 100} (below data)"
    raise UserError(f"a split cannot be drawn: {few}; {remedy}, or make folders train and test")


def _drawn(
    arranged: Arrangement, digests: NDArray[np.bytes_], test_fraction: float, seed: int
) -> NDArray[np.uint8]:
    """Return a split (N,), drawn class by class among different pictures; the same ones are on one side.

    Raises:
        UserError: a class has too few pictures, or none of it is to train.
    """
    from sklearn.model_selection import train_test_split  # imported late: it takes seconds

    from get.runtime.seeding import fold_in

    labels = np.array(arranged.labels)
    _, first, same = np.unique(digests, return_index=True, return_inverse=True)
    different = np.sort(first)
    tests = require_split(labels[different], arranged.classes, test_fraction)
    state = fold_in(seed, "split") % 2**32
    chosen = labels[different] if arranged.classes else None
    _, test = train_test_split(different, test_size=tests, stratify=chosen, random_state=state)
    split = np.isin(first[same], test).astype(np.uint8)
    if len(different) < len(labels):
        log.info("%d of %d pictures are the same as others", len(labels) - len(different), len(labels))
    lacking = np.flatnonzero(np.bincount(labels[split == 0], minlength=len(arranged.classes)) == 0)
    if len(lacking):
        name = arranged.classes[lacking[0]]
        raise UserError(f"no picture of {name!r} is to train; add some, or lower test_fraction (below data)")
    return split


def _in_both(arranged: Arrangement, digests: NDArray[np.bytes_]) -> dict[str, str]:
    """Return what is wrong with pictures to test that are to train too, by name, where splits are given."""
    if arranged.tests is None:
        return {}
    tests = np.array(arranged.tests)
    train = {digests[number]: arranged.names[number] for number in np.flatnonzero(~tests) if digests[number]}
    same = {number: train[digests[number]] for number in np.flatnonzero(tests) if digests[number] in train}
    return {arranged.names[number]: f"it is the same as {other}, to train" for number, other in same.items()}


def require_all(path: str | Path, problems: Mapping[str, str], count: int) -> None:
    """Raise `UserError`, naming them, if there are pictures that cannot be taken."""
    if not problems:
        return
    named = [f"{name}: {problems[name]}" for name in sorted(problems)[:NAMED]]
    if len(problems) > NAMED:
        named.append(f"and {len(problems) - NAMED} more")
    sizes = any(" pixels, not " in why for why in problems.values())
    remedy = "; pictures of several sizes want resize: 64, or another size (below data)" * sizes
    remedy += "; or resize to less" * any(" pixels, less than " in why for why in problems.values())
    raise UserError(
        f"{path}: {len(problems)} of {count} pictures cannot be taken: {'; '.join(named)}. Take them out, or "
        f"write them again{remedy}"
    )


FIND = find_folder
WRITE = write_folder
