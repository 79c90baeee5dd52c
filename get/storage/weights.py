"""Weights as safetensors, with a JSON header that describes the model: a file needs no config."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from get import __version__
from get.storage.atomic import atomic
from get.storage.places import place
from get.storage.reading import reading, require, unfit

Header = dict[str, Any]
Model = TypeVar("Model", bound=nn.Module)


def write_weights(path: str | Path, kind: str, weights: dict[str, Tensor], header: Header) -> None:
    """Write `weights` to `path`, atomically.

    Args:
        path: a .safetensors file.
        kind: 'classifier', 'teacher' or 'student'; checked when reading.
        weights: a state dict.
        header: JSON-like; its key 'model' holds the arguments that build the model. What the file is made for
            (see `places.place`) is added.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    text = json.dumps({**header, "place": place(path), "version": __version__}, sort_keys=True)
    with atomic(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata={kind: text})


def read_header(path: str | Path, kind: str) -> Header:
    """Return the header of a file of this kind.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    with reading(path, ".safetensors file"):
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if kind not in metadata:
            found = textwrap.shorten(", ".join(metadata), 100) or "something else"
            raise unfit(path, f"holds no {kind}, but {found}")
        header = json.loads(metadata[kind])
        require(header, {"model": dict})
    return header


def load_model(build: Callable[[Header], Model], path: str | Path, kind: str) -> tuple[Model, Header]:
    """Return the model stored at `path`, in evaluation mode, without gradients, and the header of the file.

    Args:
        build: makes the model that the header describes.
        path: what `write_weights` wrote, of this `kind`.

    Raises:
        UserError: the file is missing, damaged, of another kind, or its weights are of another model.
    """
    header = read_header(path, kind)
    with reading(path, kind):
        weights = safetensors.torch.load_file(path)
        _require_fitting(build, header["model"], weights)
        model = build(header["model"])
        model.load_state_dict(weights)
    return model.eval().requires_grad_(False), header


def _require_fitting(
    build: Callable[[Header], Model], description: Header, weights: dict[str, Tensor]
) -> None:
    """Raise `ValueError` unless `weights` are those of the model described, whose numbers are not trusted."""
    # each block has weights
    nested = (part for part in description.values() if isinstance(part, dict))
    for key, value in (item for part in (description, *nested) for item in part.items()):
        if key.endswith(("depth", "blocks")) and not 0 <= value <= len(weights):
            raise ValueError(f"{len(weights)} weights are too few for {key} {value}")
    with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
        wanted = build(description).state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        ours, theirs = wanted.get(name), weights.get(name)
        if ours is None or theirs is None or (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise ValueError(f"weights do not fit the model in the header: {name}")
        if not theirs.isfinite().all():
            raise ValueError(f"weights are not finite: {name}")
