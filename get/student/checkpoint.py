"""Student checkpoints, and the parameter names of the published implementation."""

import os
from pathlib import Path

from torch import Tensor, nn

from get.storage.weights import Header, load_model
from get.student.models import Student, build

_PUBLISHED = [  # (ours, published): applied in order, to whole components of dotted names
    ("patch_embedding", "x_embedder.proj"),
    ("class_embedding", "y_embedder.embedding_table"),
    ("positions", "pos_embed"),
    ("injection_blocks", "blocks"),
    ("equilibrium_blocks", "deq_blocks"),
    ("injection", "qkv_inj"),
    ("decoder.norm", "final_layer.norm_final"),
    ("decoder.linear", "final_layer.linear"),
    ("decoder.modulation", "final_layer.adaLN_modulation.1"),
    ("modulation", "adaLN_modulation.1"),
    ("attention", "attn"),
]


WEIGHTS = "model.safetensors"  # in a folder
PRETRAINED = Path(__file__).parents[1] / "pretrained"  # folders that come with the package


def find(path: str | Path) -> Path:
    """Return the file of a student: it itself, that of a folder, or of 'digits/get-48' in the package."""
    path = Path(path)
    if not os.path.exists(path) and os.path.isfile(PRETRAINED / path / WEIGHTS):
        path = PRETRAINED / path
    return path / WEIGHTS if os.path.isdir(path) else path


def pretrained() -> list[str]:
    """Return the names of the students that come with the package."""
    return sorted(path.parent.relative_to(PRETRAINED).as_posix() for path in PRETRAINED.rglob(WEIGHTS))


def load(path: str | Path) -> tuple[Student, Header]:
    """Return the student stored at `path` (see `find`), in evaluation mode on the CPU, and its header.

    Raises:
        UserError: the file is missing, damaged or no student.
    """
    return load_model(build, find(path), "student")


def to_published(student: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of `student` under the parameter names of the published implementation."""
    return {_rename(name, _PUBLISHED): tensor for name, tensor in student.state_dict().items()}


def from_published(state: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """Return the published state dict `state` under our names; `family` is 'get' or 'vit'."""
    return {own_name(name, family): tensor for name, tensor in state.items()}


def own_name(name: str, family: str) -> str:
    """Return our name of the weight that is called `name` in the published state dict of this family."""
    return _rename(
        name, [(theirs, ours) for ours, theirs in _PUBLISHED if family == "get" or theirs != "blocks"]
    )


def _rename(name: str, pairs: list[tuple[str, str]]) -> str:
    name = f".{name}."
    for old, new in pairs:
        name = name.replace(f".{old}.", f".{new}.")
    return name.strip(".")
