"""Pictures by number, wherever they lie: a folder, a zip, a tar, an EDM data set, or an .npz."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from get.data.pictures.arrangement import LISTING, Arrangement, Listing, arrange
from get.data.pictures.arrays import Arrays
from get.data.pictures.contents import Contents, contents_of
from get.data.pictures.decoding import LARGEST, Decoded, Unfit, decode
from get.storage.reading import reading


class Collection(Protocol):
    """Pictures by number, and how they are arranged."""

    arrangement: Arrangement

    def images(self, numbers: Iterable[int]) -> Iterator[tuple[int, Callable[[], Decoded]]]:
        """Yield numbers, in any order, each with what returns the picture; it raises errors of every kind."""


class Files:
    """Pictures that are files.

    Args:
        contents: of their folder or archive; labels: see `arrange`.
    """

    def __init__(self, contents: Contents, labels: str | None) -> None:
        self.contents = contents
        names = sorted(name for name in contents.sizes if name.rsplit("/", 1)[-1] == LISTING)
        with reading(contents.path, f"archive with a whole {LISTING}", "write it again"):
            found = [Listing(read(), name.removesuffix(LISTING)) for name, read in contents.read(names[:1])]
        self.arrangement = arrange(contents.pictures(), labels, found[0] if found else None)

    def images(self, numbers: Iterable[int]) -> Iterator[tuple[int, Callable[[], Decoded]]]:
        """Yield numbers of pictures, each with what returns the picture."""
        wanted = {self.arrangement.names[number]: number for number in numbers}
        for name, read in self.contents.read(wanted):
            yield wanted[name], partial(self._decoded, name, read)

    def _decoded(self, name: str, read: Callable[[], bytes]) -> Decoded:
        if self.contents.sizes[name] > LARGEST:
            raise Unfit(f"it has {self.contents.sizes[name]} bytes, more than a picture has")
        return decode(read())


def open_collection(path: str | Path, labels: str | None) -> Collection:
    """Return the pictures at `path`; see `arrange` and `Arrays`.

    Raises:
        UserError: there are none, or they are not arranged in splits and classes.
    """
    if str(path).endswith(".npz"):
        return Arrays(Path(path), labels)
    return Files(contents_of(path), labels)
