"""Student checkpoints, and the parameter names of the published implementation."""

from pathlib import Path

from torch import Tensor, nn

from get.storage.pretrained import find
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


def load(path: str | Path) -> tuple[Student, Header]:
    """Return the student at `path`, in evaluation mode on the CPU, and its header; `find` finds it.

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
