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
BATCHES = (1, 64)  # samples in a call
SEED = 1  # of the noise; the graph was traced with another
REPEATS = 5
LEAST = 0.2  # seconds that a call is repeated for, at least


class Checked(NamedTuple):
    """difference: the largest of a pixel; here and torch: milliseconds per image, by batch, of both."""

    difference: float
    here: dict[int, float]
    torch: dict[int, float]

    def __str__(self) -> str:
        times = (
            f"{self.here[batch]:.3g} ({self.torch[batch]:.3g}) in a batch of {batch}" for batch in BATCHES
        )
        return (
            f"differs from torch by {self.difference:.1e} at most (images in [-1, 1]); "
            f"milliseconds per image (torch's): {', '.join(times)}"
        )


def check(graph: Graph, run: Run, bound: float) -> Checked:
    """Compare an exported graph with the student on fresh noise.

    Raises:
        UserError: an image differs by more than `bound`.
    """

    def own(given: dict[str, Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            found: list[Tensor] = graph(**given)
        return found

    differences, here, there = [], {}, {}
    for batch in BATCHES:
        given = graph.inputs(batch, SEED)
        images, expected = run(given)[0], own(given)[0]
        differences.append(float((images - expected).abs().max()))
        here[batch], there[batch] = (_milliseconds(each, given) / batch for each in (run, own))
    if not max(differences) <= bound:
        raise UserError(
            f"the exported graph differs from the student by {max(differences):.1e} (images in [-1, 1]), "
            f"more than {bound:.0e}; nothing was written"
        )
    return Checked(max(differences), here, there)


def _milliseconds(run: Run, given: dict[str, Tensor]) -> float:
    """Return the median time of a call."""
    times: list[float] = []
    while len(times) < REPEATS or sum(times) < LEAST:
        begun = time.perf_counter()
        run(given)
        times.append(time.perf_counter() - begun)
    return 1000 * median(times)
