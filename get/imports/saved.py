"""Other people's files of `torch.save`, of which nothing is run."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from get.storage.errors import UserError
from get.storage.reading import require_small


def load_saved(path: str | Path, kind: str, allowed: Sequence[type] = ()) -> Any:
    """Return what `torch.save` wrote: tensors, plain data, and objects of the classes `allowed`.

    Args:
        path: somebody's file, of which nothing is run.
        kind: what it should be, for messages: 'published student'.
        allowed: classes beyond those that torch takes for harmless.

    Raises:
        UserError: the file is missing or damaged, or asks for anything else.
    """
    try:
        require_small(path)
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for damaged files
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            name = ascii(named[1][:80])[1:-1]
            raise UserError(
                f"{path} asks for {name}; refused, and nothing was run: it is no {kind}, or not from who it "
                "says"
            ) from None
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{path} is damaged or no {kind} ({reason}); download it again") from None
