"""Reflow: a velocity along straight lines from noise to the teacher's image, then, perhaps, its single step.

Rectified flow (Liu et al. 2022, arXiv 2209.03003) on pairs that a teacher has made (Lee, Lin and Fanti 2024,
arXiv 2405.20320).
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from get.pairs.dataset import Batch
from get.student.objective import Objective, Task

STEEPNESS = 2.0  # of the U-shaped density of times, exp(4 t) + exp(4 (1 - t)) (arXiv 2405.20320, Section 4)


class Reflow(Objective):
    """Regression of v(x_t, t) on x - e, where x_t = (1 - t) e + t x.

    Args:
        times: density of t: 'uniform', or 'ends' (U-shaped).
        distil_after: steps after which the single step e + v(e, 0) learns the image itself; None is never.
    """

    def __init__(
        self,
        task: Task,
        *,
        times: Literal["uniform", "ends"] = "uniform",
        distil_after: int | None = None,
    ) -> None:
        super().__init__(task)
        self.times, self.distil_after = times, distil_after

    def __call__(self, forward: Callable[..., Tensor], batch: Batch, step: int, rows: slice) -> Tensor:
        """Return the mean error of the velocity, or of the single step; see `Objective`."""
        noise, image, label = batch
        if self.distil_after is not None and step >= self.distil_after:
            return self.task.loss(forward(noise, label), image).mean()
        t = self.task.uniform("time", step, rows)
        if self.times == "ends":
            t = toward_ends(t, STEEPNESS)
        s = t.view(-1, 1, 1, 1)
        found = forward((1 - s) * noise + s * image, label, t)
        return self.task.loss(found, image - noise).mean()


def toward_ends(p: Tensor, steepness: float) -> Tensor:
    """Return times t, given their quantiles p: the density of u = 2 t - 1 is proportional to cosh(a u)."""
    return (1 + torch.asinh((2 * p - 1) * math.sinh(steepness)) / steepness) / 2


OBJECTIVE = Reflow
NEEDS = {"pairs": None}
DEFAULT_LOSS = "l2"
LEVELS = True
FORM = "velocity"
