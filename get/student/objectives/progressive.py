"""Progressive distillation: a student takes two steps of its teacher in one, again and again.

Salimans and Ho 2022 (arXiv 2202.00512), Algorithm 2. From phase to phase the steps halve: N / 2, ..., 2, 1.
At the end of each the student (the moving average of its weights) becomes the teacher.
"""

import copy
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from get.networks.levels import noise_levels
from get.pairs.dataset import Batch
from get.student.architectures.unet import UNetStudent
from get.student.objective import Objective, Task
from get.training.state import State

RHO = 7.0  # of the noise levels (Karras et al. 2022, equation 5)


class Progressive(Objective):
    """Regression of D(x_s; s) on what makes one Euler step of two.

    Args:
        start: steps N of the first teacher.
        phase: training steps of each phase, in which the learning rate falls linearly to zero; what is
            trained beyond the last phase, of a single step, has the rate of its last step.
    """

    teacher_evaluations = 2

    def __init__(
        self, task: Task, *, start: Literal[2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] = 16, phase: int
    ) -> None:
        super().__init__(task)
        assert isinstance(task.student, UNetStudent)
        self.start, self.phase, self.phases = start, phase, int(math.log2(start))
        self.frozen = copy.deepcopy(task.student).eval().requires_grad_(False)
        # Of the first teacher; those of its students are among them
        lowest, highest = task.student.sigma_min, task.student.sigma_max
        levels = noise_levels(start, lowest, highest, RHO)
        self.levels = levels.to(task.device, torch.get_default_dtype())  # that of the task's draws

    def steps(self, step: int) -> int:
        """Return in how many steps the student goes from noise to image, at a training step."""
        return self.start >> (self._number(step) + 1)

    def rate(self, step: int) -> float:
        """Return what is left of the learning rate in this phase (Salimans and Ho 2022, Appendix E)."""
        return 1 - min(step - self._number(step) * self.phase, self.phase - 1) / self.phase

    def _number(self, step: int) -> int:
        """Return the phase, from 0, that a training step is in."""
        return min(step // self.phase, self.phases - 1)

    def prepare(self, state: State) -> None:
        """Let the student become the teacher at the end of a phase."""
        phase, within = divmod(state.step, self.phase)
        if within or not 0 < phase < self.phases:
            return
        assert self.frozen is not None
        average = state.ema_weights()
        state.model.load_state_dict(average)
        self.frozen.load_state_dict(average)

    def __call__(self, forward: Callable[..., Tensor], batch: Batch, step: int, rows: slice) -> Tensor:
        """Return the mean error, weighted by the larger of 1 / s^2 (the signal-to-noise ratio) and 1."""
        noise, image, label = batch
        teacher, count = self.frozen, self.steps(step)
        assert teacher is not None
        # Levels s > m > u of a step of the student, and of two of the teacher
        place = (self.task.uniform("level", step, rows) * count).long().clamp(max=count - 1)
        half = self.start // count // 2
        s, m, u = (self.levels[2 * half * place + offset] for offset in (0, half, 2 * half))
        x = image + s.view(-1, 1, 1, 1) * noise
        with torch.no_grad():
            target = two_steps(lambda x, level: teacher(x, label, level), x, s, m, u)
        errors = self.task.loss(forward(x, label, s), target).flatten(1).mean(dim=1)
        return (errors * s.square().reciprocal().clamp(min=1)).mean()


def two_steps(
    denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, s: Tensor, m: Tensor, u: Tensor
) -> Tensor:
    """Return the D(x; s) with which one Euler step from s to u arrives where two by way of m do.

    Args:
        denoise: D(x, level) of the teacher.
        x: (B, C, H, W) at level s; s, m, u: decreasing levels (B,), the last may be 0.
    """
    halfway = euler(denoise(x, s), x, s, m)
    end = euler(denoise(halfway, m), halfway, m, u)
    share = (u / s).view(-1, 1, 1, 1)
    return (end - share * x) / (1 - share)


def euler(denoised: Tensor, x: Tensor, level: Tensor, lower: Tensor) -> Tensor:
    """Return x (B, C, H, W), at `level` (B,), after an Euler step (of DDIM) to the level `lower` (B,)."""
    share = (lower / level).view(-1, 1, 1, 1)
    return share * x + (1 - share) * denoised


OBJECTIVE = Progressive
NEEDS = {"images": None}
DEFAULT_LOSS = "l2"
LEVELS = True
FORM = "denoiser"
FROM_TEACHER = True
