"""Data sets, a module each (docs/extend.md).

A module has the constants SHAPE (C, H, W), CLASSES, IMAGES (their number; where the data come split, those to
train and those to test), and WRITE, the function that writes its store. The keyword arguments of that one are
some of `ARGUMENTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from get import plugins
from get.storage.errors import UserError

PACKAGE = "data.sets"
# local copy and hash of data.source; keys of the config
ARGUMENTS = ("archive", "sha256", "seed", "test_fraction")


@dataclass(frozen=True)
class DataSet:
    """The constants of a module; `takes` has the keyword arguments of its function."""

    shape: list[int]
    classes: int
    images: int | tuple[int, int]
    takes: list[str]


def describe(name: str) -> DataSet:
    """Return the constants of the module `name`, without importing it.

    Raises:
        UserError: there is no such module, or it lacks something.
    """
    plugins.require_known(PACKAGE, name, "data.name")
    found = plugins.constants(PACKAGE, name)
    where = f"data.name: get/data/sets/{name}.py"
    for constant in ("SHAPE", "CLASSES", "IMAGES", "WRITE"):
        if constant not in found:
            raise UserError(f"{where} does not say {constant}")
    takes = list(plugins.arguments(PACKAGE, name, found["WRITE"]))
    if unknown := [argument for argument in takes if argument not in ARGUMENTS]:
        raise UserError(f"{where} wants {', '.join(unknown)}; it can have {', '.join(ARGUMENTS)}")
    return DataSet(list(found["SHAPE"]), found["CLASSES"], found["IMAGES"], takes)


def write(name: str, path: str | Path, given: Mapping[str, Any]) -> None:
    """Write the store of the data set `name` at `path`, with those of `given` that it takes.

    Raises:
        UserError: the data set cannot be made, or is another than its module says.
    """
    from get.data.store import read_split  # imported late: a config is checked without torch

    described = describe(name)
    module = plugins.load(PACKAGE, name, "data.name")
    module.WRITE(path, **{key: given[key] for key in described.takes})
    for split in ("train", "test"):
        data = read_split(path, split)
        found = [*data.images.shape[1:], data.classes]
        if found != [*described.shape, described.classes]:
            raise UserError(f"get/data/sets/{name}.py wrote {found}, but its SHAPE and CLASSES are others")
