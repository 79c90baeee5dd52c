"""Where the weights of a student lie: in a file, in a folder, or in one that comes with the package."""

import os
from pathlib import Path

from get.storage.errors import UserError

WEIGHTS = "model.safetensors"  # in a folder
PACKAGED = Path(__file__).parents[1] / "pretrained"
OTHERS = (".onnx", ".pt2", ".pth", ".pt")  # that hold a student, too


def find(path: str | Path) -> Path:
    """Return the file of a student: it itself, that of a folder, or of 'digits/get-48' in the package.

    Raises:
        UserError: it is a folder without weights, or no file, nor a name in the package; or of another kind.
    """
    path = Path(path)
    if path.suffix in OTHERS:
        raise UserError(f"{path} holds no checkpoint; name one (.safetensors), or a folder of `get export`")
    if os.path.isfile(path) or (path.suffix and not os.path.isfile(path / WEIGHTS)):
        return path
    place = path if os.path.isdir(path) else PACKAGED / path
    if not os.path.isfile(place / WEIGHTS):
        wrong = f"holds no {WEIGHTS}" if os.path.isdir(path) else "does not exist"
        raise UserError(
            f"{path} {wrong}; with the package come {', '.join(names())}; a "
            "model of a hub is downloaded first (docs/python.md)"
        )
    return place / WEIGHTS


def names() -> list[str]:
    """Return the names of the students that come with the package."""
    return sorted(path.parent.relative_to(PACKAGED).as_posix() for path in PACKAGED.rglob(WEIGHTS))
