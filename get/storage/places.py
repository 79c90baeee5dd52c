"""Where files lie in a results folder, and what a file is made for by its place."""

import re
import reprlib
from pathlib import Path

from get.storage.errors import UserError

# what is made for one milestone, teacher or baseline has the same place in each folder of the results
_PLACE = re.compile(r"(?:^|/)(students/[^/]+/seed\d+/\d+|(?:teachers|baselines)/[^/]+)\.[a-z0-9]+$")


def place(path: str | Path) -> str | None:
    """Return what a file of a results folder is made for ('students/get-16/seed0/500'); None elsewhere."""
    found = _PLACE.search(Path(path).as_posix())
    return found[1] if found else None


def require_place(path: str | Path, recorded: str | None) -> None:
    """Raise `UserError` if the file at `path` was made for another milestone, teacher or baseline."""
    if recorded is not None and place(path) not in (None, recorded):  # older files do not say
        raise UserError(f"{path} was made for {reprlib.repr(recorded)}, and was put there later", path)


def is_result(path: str | Path) -> bool:
    """Return True if a file at `path` is one that the workflow makes, by its place."""
    return place(path) is not None or ("results" in Path(path).parts and bool(Path(path).suffix))
