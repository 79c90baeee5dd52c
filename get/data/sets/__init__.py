"""Data sets, a module each (docs/extend.md).

A module has the constants SHAPE (C, H, W), CLASSES (0 for none) and IMAGES (their number; where the data come
split, those to train and those to test), and WRITE, the function that writes its store. Instead of the
constants it may have FIND, a function that returns them as a `DataSet`. The keyword arguments of both
functions are some of `ARGUMENTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from get.runtime import plugins
from get.storage.errors import UserError

PACKAGE = "data.sets"
# local copy and hash of data.source; keys of the config, None where they are left out
ARGUMENTS = ("archive", "sha256", "seed", "test_fraction", "labels", "resize", "shape")


@dataclass(frozen=True)
class DataSet:
    """What a module says of its images; `takes` has the keyword arguments of its functions.

    names: of the classes, if they have any.
    content: a fingerprint of what the images are made from, where that is found; '' elsewhere. With
    another one, all that was made from the images is made anew.
    """

    shape: list[int]
    classes: int
    images: int | tuple[int, int]
    takes: list[str] = field(default_factory=list)
    content: str = ""
    names: list[str] = field(default_factory=list)


def describe(name: str, given: Mapping[str, Any] = {}) -> DataSet:
    """Return what the module `name` says of its images; it is imported only if it has to look for them.

    Args:
        name: of the module.
        given: those `ARGUMENTS` that are known.

    Raises:
        UserError: there is no such module, it lacks something, or its images are not there.
    """
    plugins.require_known(PACKAGE, name, "data.name")
    found = plugins.constants(PACKAGE, name)
    where = f"data.name: get/data/sets/{name}.py"
    for constant in ("WRITE",) if "FIND" in found else ("SHAPE", "CLASSES", "IMAGES", "WRITE"):
        if constant not in found:
            raise UserError(f"{where} does not say {constant}")
    finding = plugins.arguments(PACKAGE, name, found["FIND"]) if "FIND" in found else {}
    takes = list(plugins.arguments(PACKAGE, name, found["WRITE"]) | finding)
    if unknown := [argument for argument in takes if argument not in ARGUMENTS]:
        raise UserError(f"{where} wants {', '.join(unknown)}; it can have {', '.join(ARGUMENTS)}")
    if "FIND" in found:
        find = plugins.load(PACKAGE, name, "data.name").FIND
        return replace(find(**{key: given.get(key) for key in finding}), takes=takes)
    return DataSet(list(found["SHAPE"]), found["CLASSES"], found["IMAGES"], takes)


def write(name: str, path: str | Path, given: Mapping[str, Any]) -> None:
    """Write the store of the data set `name` at `path`, with those of `given` that it takes.

    Raises:
        UserError: the data set cannot be made, or is another than its module says.
    """
    from get.data.store import read_split  # imported late: a config is checked without torch

    described = describe(name, given)
    module = plugins.load(PACKAGE, name, "data.name")
    wanted = plugins.arguments(PACKAGE, name, module.WRITE.__name__)
    module.WRITE(path, **{key: given.get(key) for key in wanted})
    shape = given.get("shape") or described.shape
    for split in ("train", "test"):
        data = read_split(path, split)
        found = [*data.images.shape[1:], data.classes]
        if found != [*shape, described.classes]:
            raise UserError(f"get/data/sets/{name}.py wrote {found}, but its SHAPE and CLASSES are others")
