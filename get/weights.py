"""Weights as safetensors, with a JSON header that describes the model: a file needs no config."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from get import __version__
from get.files import UserError, atomic

Header = dict[str, Any]


def write_weights(path: str | Path, kind: str, weights: dict[str, Tensor], header: Header) -> None:
    """Write `weights` to `path`, atomically.

    Args:
        path: a .safetensors file.
        kind: 'classifier', 'teacher' or 'student'; checked when reading.
        weights: a state dict.
        header: JSON-like; its key 'model' holds the arguments that build the model.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    text = json.dumps({**header, "version": __version__}, sort_keys=True)
    with atomic(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata={kind: text})


def read_header(path: str | Path, kind: str) -> Header:
    """Return the header of a file of this kind.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return json.loads(metadata[kind])
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except KeyError:
        found = ", ".join(metadata) or "something else"
        raise UserError(f"{path} holds no {kind}, but {found}") from None
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged or no .safetensors file ({error})") from None


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load the weights at `path` into `model` and put it into evaluation mode, without gradients.

    Raises:
        UserError: names or shapes do not fit.
    """
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: weights do not fit the model in the header ({error})") from None
    model.eval().requires_grad_(False)
