"""Other people's files of `torch.save`, of which nothing is run."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from get.storage.errors import UserError
from get.storage.reading import require_small

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
REMEDY = "name another file, or compare its size and SHA-256 with what its publisher says"


def load_saved(path: str | Path, what: str, allowed: Sequence[type] = ()) -> Any:
    """Return what `torch.save` wrote: tensors, plain data, and objects of the classes `allowed`.

    Args:
        path: somebody's file, of which nothing is run; one that ends in .safetensors holds a dict of tensors.
        what: it should be, for messages: 'published student'.
        allowed: classes beyond those that torch takes for harmless.

    Raises:
        UserError: the file is missing or damaged, or asks for anything else.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        require_small(path)
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for damaged files
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            name = ascii(named[1][:80])[1:-1]
            raise UserError(
                f"{path} asks for {name}; refused, and nothing was run: it is no {what}, or not from who it "
                "says; tensors and plain data, such as a state dict, are all that is read"
            ) from None
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{path} is damaged or no {what} ({reason}); {REMEDY}") from None


def kind(value: Any) -> str:
    """Return a few words for a value of the file: 'a tensor (3, 8) of int64'."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    odd = [str(part) for part in (value.layout, value.device) if str(part) not in ("torch.strided", "cpu")]
    dtype = str(value.dtype).removeprefix("torch.")
    return " ".join([f"a tensor {tuple(value.shape)} of {dtype}", *odd])
