"""Which split and which class each picture belongs to: by folders, dataset.json or a table."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from get.storage.errors import UserError
from get.storage.reading import reading

TRAIN = ("train", "training")  # what folders with the splits are called, in any letters
TEST = ("test", "testing", "val", "valid", "validation", "eval", "dev")
LISTING = "dataset.json"  # of EDM's and StyleGAN's archives
NAMED = 10  # pictures in a message


@dataclass(frozen=True)
class Arrangement:
    """Pictures by number, sorted by name.

    Args:
        names: of the pictures; classes: what they are called, none for no classes.
        labels: the class of each, 0 without classes; tests: whether each is of the test split, None where
            the split is to be drawn.
    """

    names: list[str]
    classes: list[str]
    labels: list[int]
    tests: list[bool] | None


class Listing(NamedTuple):
    """A file dataset.json: its content, and the folder that it lies in ('' or 'NAME/')."""

    content: bytes
    folder: str

    def labels(self) -> dict[str, int] | None:
        """Return the class of each picture; None where it says that there are no classes."""
        try:
            labels = json.loads(self.content)["labels"]
            if labels is None:
                return None
            found = {self.folder + name: label for name, label in labels}
            if len(found) < len(labels):
                raise ValueError("a picture comes twice")
            if not all(type(label) is int and label >= 0 for label in found.values()):
                raise ValueError("its labels are no numbers from 0 on")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            form = '{"labels": [["NAME", NUMBER], ...]} or {"labels": null}'
            raise UserError(f"{LISTING} is not {form} ({error}); mend it") from None
        return found


def arrange(names: Sequence[str], labels: str | None, listing: Listing | None) -> Arrangement:
    """Return how pictures are arranged.

    The folder that all of them lie in says nothing. Folders `train` and `test` are the splits, and those in
    them, or all there are, the classes.

    Args:
        names: of the pictures, paths with /.
        labels: 'none' for no classes, or the path of a CSV with the columns file and label; None for what
            there is: dataset.json, or else the folders.
        listing: dataset.json, if there is one.

    Raises:
        UserError: pictures without a class, or classes without pictures.
    """
    names = sorted(names)
    short = dict(zip(names, _below_common_folder(names), strict=True))
    splits = _has_splits(short.values())
    inner = {name: path.split("/", 1)[1] if splits else path for name, path in short.items()}
    if labels == "none":
        found: dict[str, Any] = {}
    elif labels is not None:
        found = _assigned(_table(labels), short, labels)
    elif listing is not None:
        found = _assigned(listing.labels(), short, LISTING)
    else:
        found = _folders(inner)
    tests = [path.split("/", 1)[0].lower() not in TRAIN for path in short.values()] if splits else None
    return numbered(names, found, tests, labels is None and listing is not None)


def _below_common_folder(names: Sequence[str]) -> list[str]:
    """Return the paths below the innermost folder that all pictures lie in."""
    parts = [name.split("/") for name in (names[0], names[-1])]  # sorted: what these share, all do
    depth = 0
    while min(map(len, parts)) > depth + 1 and parts[0][depth] == parts[1][depth]:
        depth += 1
    return [name.split("/", depth)[depth] for name in names]


def _has_splits(paths: Iterable[str]) -> bool:
    """Return whether the outer folders are the splits; raises `UserError` if there is a third."""
    tops = {path.split("/", 1)[0].lower() if "/" in path else "" for path in paths}
    if len(tops & {*TRAIN}) != 1 or not tops & {*TEST}:
        return False
    if len(tops) > 2:
        others = ", ".join(sorted(top or "pictures beside them" for top in tops - {*TRAIN}))
        raise UserError(f"beside the folder train there are {others}; leave one, which is the test split")
    return True


def _folders(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the outer folder of each picture: its class; none where all lie in one."""
    found = {name: path.split("/", 1)[0] for name, path in paths.items() if "/" in path}
    if found and len(found) < len(paths):
        beside = [name for name in paths if name not in found]
        raise UserError(
            f"beside folders, which are classes, there are pictures without one: {_some(beside)}; move them "
            "into one, or write labels: none (below data) if the folders are no classes"
        )
    return found if len(set(found.values())) > 1 else {}


def _table(path: str) -> dict[str, str]:
    """Return the class of each picture by a CSV with the columns file and label."""
    if not Path(path).exists():
        raise UserError(f"data.labels (--labels): there is no {path}")
    with reading(path, "CSV with the columns file and label", "mend it"):
        text = Path(path).read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text))
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        if not {"file", "label"} <= {*(reader.fieldnames or [])}:
            raise ValueError(f"its columns are {', '.join(reader.fieldnames or [])}")
        lines = list(reader)
        found = {(line["file"] or "").strip(): (line["label"] or "").strip() for line in lines}
        if len(found) < len(lines) or not all(found.values()):
            raise ValueError("a file comes twice, or has no label")
    return found


def _assigned(table: Mapping[str, Any] | None, short: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the class of each picture by a table of their names, whole or below the common folder."""
    if table is None:
        return {}
    found = {name: table.get(name, table.get(path)) for name, path in short.items()}
    if lacking := [name for name, label in found.items() if label is None]:
        raise UserError(f"{where} gives no class to {_some(lacking)}; add them to it")
    if strange := table.keys() - short.keys() - set(short.values()):
        raise UserError(f"{where} names {_some(sorted(strange))}, which are not there; take them out of it")
    return found


def numbered(
    names: list[str], found: Mapping[str, Any], tests: list[bool] | None, as_numbers: bool
) -> Arrangement:
    """Return an arrangement, given the class of each picture (or of none).

    Classes are in the order of their names, of numbers in that of numbers.

    Args:
        names, tests: see `Arrangement`.
        found: the class of each picture, by name.
        as_numbers: classes are numbers from 0 on already.

    Raises:
        UserError: a number is left out, or a class is in the test split alone.
    """
    if not found:
        return Arrangement(names, [], [0] * len(names), tests)
    different = set(found.values())
    if as_numbers:
        classes = sorted(different)
        if absent := [number for number, label in enumerate(classes) if number != label]:
            raise UserError(f"no picture is of the class {absent[0]}; labels count from 0 without gaps")
    else:
        classes = sorted(different, key=int if all(map(str.isdecimal, different)) else None)
    to_train = {found[name] for name, test in zip(names, tests or [], strict=False) if not test}
    if tests and (strange := different - to_train):
        raise UserError(f"the class {min(strange)} is in the test split alone; add pictures of it to train")
    number = {name: position for position, name in enumerate(classes)}
    several = len(classes) > 1
    return Arrangement(
        names, [str(name) for name in classes] if several else [], [number[found[n]] for n in names], tests
    )


def _some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
