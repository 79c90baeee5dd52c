"""Where files lie in a results folder, and what a file is made for by its place."""

import re
import reprlib
from pathlib import Path, PurePath

from get.storage.errors import UserError

# what is made for one milestone, teacher or baseline has the same place in each folder of the results
_PLACE = re.compile(r"(?:^|/)(students/[^/]+/seed\d+/\d+|(?:teachers|baselines)/[^/]+)\.[a-z0-9]+$")

_NAME = r"[^/.]+"
# every output of a rule, by its path in the folder of results
_OUTPUT = (
    r"(?:table\d|reproduction|overview|costs|provenance|plan)\.(?:csv|md|tex|html|json)"
    rf"|(?:data/images|features/{_NAME}|pairs/{_NAME}/{_NAME}|teachers/{_NAME})\.(?:h5|np[yz]|pth|safetensors|json)"
    rf"|students/{_NAME}/seed\d+/\d+\.(?:pt|safetensors|json)"
    r"|(?:samples|scores)/(?:students|teachers|baselines|studies)/[^.]+\.(?:h5|png|json)"
    r"|inputs/[^/]+|settings/[^.]+\.json"
    rf"|(?:figures|scaling|studies|rivals|tuning)/{_NAME}\.(?:pdf|png|csv|md|html|json)"
)
_MADE = re.compile(rf"^(.*)/(?:{_OUTPUT})$")
_RECORD = re.compile(r"(^|/)\.([^/]+)\.sha256$")
# what a training keeps beside its weights
_OF_TRAINING = re.compile(r"\.(?:journal\.jsonl|unfinished\.(?:pt|link|lock)|(?:trackers|events)/.*)$")


def place(path: str | Path) -> str | None:
    """Return what a file of a results folder is made for ('students/get-16/seed0/500'); None elsewhere."""
    found = _PLACE.search(Path(path).as_posix())
    return found[1] if found else None


def require_place(path: str | Path, recorded: str | None) -> None:
    """Raise `UserError` if the file at `path` was made for another milestone, teacher or baseline."""
    if recorded is not None and place(path) not in (None, recorded):  # older files do not say
        raise UserError(f"{path} was made for {reprlib.repr(recorded)}, and was put there later", path)


def is_result(path: str | Path) -> bool:
    """Return True if a file at `path` is one that the workflow makes, by its place.

    A file of that name may be somebody's own (data/images.h5), so the folder must be one of results: it is
    called so, or it holds settings.
    """
    found = _MADE.search(Path(path).absolute().as_posix())
    if found is None:
        return False
    folder = Path(found[1])
    return "results" in folder.parts or (folder / "settings").is_dir()


def whole_run(path: Path) -> Path:
    """Return the folder of all runs of a student, or of a set of pairs, that a file lies in."""
    stages = [parent for parent in path.parents if parent.parent.name in ("students", "pairs")]
    return stages[-1] if stages else path


def part_of(path: str | PurePath) -> str | None:
    """Return the part of the results that a file belongs to, by its path in the folder of results.

    '.500.pt.sha256', '500.journal.jsonl' and '500.safetensors' in students/get-16/seed0 are all of
    'students/get-16/seed0/500'. None for what neither a rule nor a training makes.
    """
    output = _OF_TRAINING.sub(".safetensors", _RECORD.sub(r"\1\2", PurePath(path).as_posix()))
    return output.rpartition(".")[0] if re.fullmatch(_OUTPUT, output) else None
