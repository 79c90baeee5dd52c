"""Consistency: f(x, sigma) is the same all along a path of the ODE, and at sigma_min the identity.

Distillation asks a teacher where the path leads (Song et al. 2023, arXiv 2303.01469, Algorithm 2); training
takes the same noise at a lower level (their Algorithm 3; Song and Dhariwal 2023, arXiv 2310.14189; with a gap
that shrinks in stages, Geng et al. 2024, arXiv 2406.14548: ECT).
"""

import copy
import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from get.networks.levels import noise_levels
from get.pairs.dataset import Batch
from get.student.architectures.unet import UNetStudent
from get.student.objective import Objective, Task
from get.training.state import State

RHO = 7.0  # of the noise levels (Karras et al. 2022, equation 5)
MEAN, STD = -1.1, 2.0  # of ln sigma when lognormal (arXiv 2310.14189, Section 3.5; arXiv 2406.14548)
K, B = 8.0, 1.0  # of the gap in stages (arXiv 2406.14548, Section 4)
LEAST_GAP = 1e-6  # between two noise levels, where a weight divides by it


class Levels(NamedTuple):
    """Noise levels (B,): where the student is trained, and the lower ones of its targets."""

    high: Tensor
    low: Tensor


class Consistency(Objective):
    """Regression of f(x_high, high) on f(x_low, low), which is not differentiated.

    Args:
        distillation: x_low is a Heun step of the teacher away from x_high; else it has the same noise.
        target_ema: decay of the moving average of the weights that gives the targets; 0 is the weights.
        schedule: 'levels' are neighbours among N noise levels; the gap of 'staged' ones shrinks in stages.
        levels: N; with `double_every`, of the first steps.
        double_every: steps after which there are twice as many gaps between levels; None: they stay.
        most_levels: N at most.
        density: of 'levels', 'uniform' or 'lognormal' (as always when 'staged').
        stage: steps of a stage; q: see `staged`.
        weighting: 'none', or 'gap' to divide by high - low.
    """

    def __init__(
        self,
        task: Task,
        *,
        distillation: bool = True,
        target_ema: float = 0.0,
        schedule: Literal["levels", "staged"] = "levels",
        levels: int = 18,
        double_every: int | None = None,
        most_levels: int = 1281,
        density: Literal["uniform", "lognormal"] = "uniform",
        stage: int = 10000,
        q: float = 2.0,
        weighting: Literal["none", "gap"] = "none",
    ) -> None:
        super().__init__(task)
        assert isinstance(task.student, UNetStudent)
        self.student: UNetStudent = task.student
        self.distillation, self.target_ema = distillation, target_ema
        self.schedule, self.density, self.weighting = schedule, density, weighting
        self.levels, self.double_every, self.most_levels = levels, double_every, most_levels
        self.stage, self.q = stage, q
        self.teacher_evaluations = 2 * distillation
        if target_ema:
            self.frozen = copy.deepcopy(task.student).requires_grad_(False)

    def prepare(self, state: State) -> None:
        """Move the target's weights towards those of the step before."""
        if self.frozen is not None and state.step:
            with torch.no_grad():
                ours: list[Tensor] = [*self.student.parameters()]
                theirs: list[Tensor] = [*self.frozen.parameters()]
                torch._foreach_lerp_(theirs, ours, 1 - self.target_ema)

    def __call__(self, forward: Callable[..., Tensor], batch: Batch, step: int, rows: slice) -> Tensor:
        """Return the mean error; see `Objective`."""
        noise, image, label = batch
        high, low = self.draw(step, rows)
        x_high = image + _over_pixels(high) * noise
        with torch.no_grad():
            # The point at the lower level
            if self.distillation:
                x_low = self._heun_step(x_high, high, low, label)
            else:
                x_low = image + _over_pixels(low) * noise
            # Its target, under the dropout masks that the student draws next
            with torch.random.fork_rng([noise.device] if noise.is_cuda else []):
                target = (self.frozen or self.student)(x_low, label, low)
        torch.clear_autocast_cache()  # of weights that were cast without a gradient
        errors = self.task.loss(forward(x_high, label, high), target).flatten(1).mean(dim=1)
        if self.weighting == "gap":
            errors = errors / (high - low).clamp(min=LEAST_GAP)
        return errors.mean()

    def draw(self, step: int, rows: slice) -> Levels:
        """Return the noise levels of these rows of a step."""
        p = self.task.uniform("level", step, rows)
        lowest, highest = self.student.sigma_min, self.student.sigma_max
        if self.schedule == "staged":
            high = lognormal(p, lowest, highest)
            return Levels(high, staged(high, step // self.stage + 1, self.q).clamp(min=lowest))
        edges = noise_edges(self.count(step), lowest, highest, p.device, p.dtype)
        gaps = len(edges) - 1
        if self.density == "uniform":
            place = (p * gaps).long()
        else:  # each gap as often as it is hit by the continuous density
            quantiles = torch.special.ndtr((edges.log() - MEAN) / STD)
            place = torch.bucketize(quantiles[0] + p * (quantiles[-1] - quantiles[0]), quantiles) - 1
        place = place.clamp(0, gaps - 1)
        return Levels(edges[place + 1], edges[place])

    def count(self, step: int) -> int:
        """Return the number of noise levels at a step (arXiv 2310.14189, Section 3.4: the gaps double)."""
        doublings = step // self.double_every if self.double_every else 0
        # not 2**doublings, of which there may be thousands
        gaps = (self.levels - 1) * 2 ** min(doublings, 20)
        return min(gaps, max(self.most_levels, self.levels) - 1) + 1

    def _heun_step(self, x: Tensor, high: Tensor, low: Tensor, label: Tensor | None) -> Tensor:
        """Return where the teacher's ODE leads from x (B, C, H, W) at `high` to `low` (B,), in one step."""
        teacher = self.task.teacher
        assert teacher is not None
        # Euler step
        step = _over_pixels(low - high)
        slope = (x - teacher(x, high, label)) / _over_pixels(high)
        euler = x + step * slope
        # Heun's correction
        other = (euler - teacher(euler, low, label)) / _over_pixels(low)
        return x + step * (slope + other) / 2


def staged(sigma: Tensor, stage: int, q: float) -> Tensor:
    """Return the lower noise levels r (B,) of ECT in a stage (from 1), at least 0.

    r / sigma = 1 - n(sigma) / q^stage, with n(sigma) = 1 + k / (1 + exp(b sigma)) (arXiv 2406.14548,
    Section 4): near 0 in the first stage, as in diffusion training, and towards 1 in later ones.
    """
    return (sigma * (1 - (1 + K * torch.sigmoid(-B * sigma)) / q**stage)).clamp(min=0)


def lognormal(p: Tensor, lowest: float, highest: float) -> Tensor:
    """Return noise levels, given their quantiles p (B,): ln sigma is normal, cut off at both ends."""
    below, above = (NormalDist(MEAN, STD).cdf(math.log(end)) for end in (lowest, highest))
    z = torch.special.ndtri(below + p.double() * (above - below))
    return (MEAN + STD * z).exp().clamp(lowest, highest).to(p.dtype)


@cache
def noise_edges(
    count: int, lowest: float, highest: float, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return so many noise levels (count,) of this type, from the lowest to the highest, exactly these."""
    levels = noise_levels(count, lowest, highest, RHO)[:-1].flip(0).to(dtype)
    levels[0], levels[-1] = lowest, highest
    return levels.to(device)


def _over_pixels(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


OBJECTIVE = Consistency
NEEDS = {"images": None, "teacher": "distillation"}
DEFAULT_LOSS = "pseudo_huber"
LEVELS = True
FORM = "consistency"
RANGES = {
    "target_ema": (0.0, 0.999999),
    "levels": (2, 1000000),
    "most_levels": (2, 1000000),
    "q": (1.001, 1000000.0),
}
