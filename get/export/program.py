"""A student as a program of `torch.export` (.pt2)."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from get.export.check import Checked, Run, check
from get.export.description import describe
from get.export.graph import Graph, Options
from get.storage.atomic import atomic
from get.student import checkpoint

BOUND = 1e-4  # of the difference from torch; none was seen


def export_program(*, weights: str | Path, options: Options, names: list[str], output: Path) -> Checked:
    """Write a student as a program that `torch.export.load(output).module()` runs, on images of any number.

    What `describe` tells of it lies in the extra file 'get.json'.

    Args:
        weights: the student's checkpoint; options: see `Options`; names: of its classes, if they have any.
        output: the .pt2.

    Raises:
        UserError: the checkpoint is damaged, an option does not suit it, or the program draws other images.
    """
    student, header = checkpoint.load(weights)
    graph = Graph(student, options).eval()
    extra = {"get.json": json.dumps(describe(graph, header, weights, names))}
    written = to_program(graph, extra)
    checked = check(graph, runner(written), BOUND)
    with atomic(output) as temporary:
        temporary.write_bytes(written)
    return checked


def to_program(graph: Graph, extra: dict[str, str] | None = None) -> bytes:
    """Return a graph as the content of a .pt2, with extra files."""
    written = BytesIO()
    torch.export.save(graph.program(), written, extra_files=extra)
    return written.getvalue()


def runner(content: bytes) -> Run:
    """Return the content of a .pt2 as torch runs it."""
    program = torch.export.load(BytesIO(content)).module()

    def run(given: dict[str, Tensor]) -> Sequence[Tensor]:
        found: Sequence[Tensor] = program(**given)
        return found

    return run
