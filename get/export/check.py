"""Is an exported graph the student still? And how fast is it?"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from get.export.graph import Graph
from get.storage.errors import UserError

Run = Callable[[dict[str, Tensor]], Sequence[Tensor]]  # the exported graph: inputs by name to outputs
MANY, FEW = 64, 2  # samples in a call beside a single one; few where many would take long
LONGEST = 10.0  # seconds of a call with many
SEED = 1  # of the noise; the graph was traced with another
LEAST = 0.2  # seconds that a call is repeated for, at least


class Checked(NamedTuple):
    """difference: the largest of a pixel; here and torch: milliseconds per image, by batch, of both."""

    difference: float
    here: dict[int, float]
    torch: dict[int, float]

    def __str__(self) -> str:
        times = (
            f"{here:.3g} ({there:.3g}) in a batch of {batch}"
            for (batch, here), there in zip(self.here.items(), self.torch.values(), strict=True)
        )
        return (
            f"differs from torch by {self.difference:.1e} at most (images in [-1, 1]); "
            f"milliseconds per image (torch's): {', '.join(times)}"
        )


def check(graph: Graph, run: Run, bound: float) -> Checked:
    """Compare an exported graph with the student on fresh noise.

    Raises:
        UserError: an image, or a residual in proportion, differs by more than `bound`.
    """

    def own(given: dict[str, Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            found: list[Tensor] = graph(**given)
        return found

    differences: list[float] = []
    here: dict[int, float] = {}
    there: dict[int, float] = {}
    for count in (1, MANY):
        batch = count if count == 1 or MANY * there[1] < 1000 * LONGEST else FEW
        given = graph.inputs(batch, SEED)
        found, here[batch] = _timed(run, given, batch)
        expected, there[batch] = _timed(own, given, batch)
        differences.append(float((found[0] - expected[0]).abs().max()))
        for ours, theirs in zip(found[1:], expected[1:], strict=True):
            differences.append(float(((ours - theirs) / theirs).abs().max()))
    if not all(difference <= bound for difference in differences):
        raise UserError(
            f"the exported graph differs from the student by {max(differences):.1e} (images in [-1, 1]), "
            f"more than {bound:.0e}; nothing was written"
        )
    return Checked(max(differences), here, there)


def _timed(run: Run, given: dict[str, Tensor], batch: int) -> tuple[Sequence[Tensor], float]:
    """Return the outputs, and the median milliseconds for an image."""
    times: list[float] = []
    while sum(times) < LEAST:
        begun = time.perf_counter()
        found = run(given)
        times.append(time.perf_counter() - begun)
    return found, 1000 * median(times) / batch
