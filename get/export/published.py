"""A student as a checkpoint of the paper's code."""

from pathlib import Path

import torch

from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.student import checkpoint
from get.student.checkpoint import to_published

FAMILIES = ("get", "vit")  # that the paper's code has


def export_published(*, weights: str | Path, output: Path) -> None:
    """Write a student as a checkpoint (.pth) that the paper's code can evaluate.

    The weights stand for the model and for its average; there is no state of an optimiser to go on from.

    Raises:
        UserError: the file is damaged, or of a family that is not the paper's.
    """
    student, header = checkpoint.load(weights)
    family = header["model"]["family"]
    if family not in FAMILIES:
        raise UserError(
            f"{weights}: the paper's code has no {family}; export a folder (--out without an ending)"
        )
    state = to_published(student)
    arguments = {"cond": student.conditional, "input_size": header["model"]["size"]}  # which nothing reads
    content = {"args": arguments, "model": state, "ema": state, "opt": {}}
    with atomic(output) as temporary:
        torch.save(content, temporary)
