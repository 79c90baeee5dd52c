"""DPM-Solver++(2M) on the probability-flow ODE of EDM: second order, one evaluation a step.

Lu et al. 2022 (arXiv 2211.01095), Algorithm 2, with alpha = 1 and sigma the noise level, so that
lambda = -ln sigma. Over a step the ODE is solved exactly but for the denoised image, which is taken to go on
as in the step before.
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from get.networks.levels import noise_levels
from get.teacher.samplers.euler import check as check

if TYPE_CHECKING:
    from torch import Tensor

    from get.teacher.samplers.heun import Denoise


def evaluations(*, num_steps: int, **_: Any) -> int:
    """Return the number of evaluations of the denoiser (NFE): one a step."""
    return num_steps


def sample(
    denoise: "Denoise",
    noise: "Tensor",
    *,
    num_steps: int = 20,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
) -> "Tensor":
    """Integrate from noise to images in `num_steps` steps; see `heun.sample`."""
    return dpm(denoise, noise, noise_levels(num_steps, sigma_min, sigma_max, rho))


def dpm(denoise: "Denoise", noise: "Tensor", levels: "Tensor") -> "Tensor":
    """Integrate along decreasing noise `levels` (N + 1,), the last of which may be 0; as in `heun.sample`."""
    schedule = levels.tolist()
    x = noise.double() * schedule[0]
    before, step_before = None, math.inf  # denoised image, and width in lambda of its step
    for sigma, next_sigma in pairwise(schedule):
        x32 = x.float()
        denoised = denoise(x32, x32.new_full((len(x),), sigma)).double()
        step = math.log(sigma / next_sigma) if next_sigma else math.inf
        # the denoised image halfway, extrapolated; to 0 and in the first step as it is
        halfway = denoised
        if before is not None and next_sigma:
            halfway = denoised + step / (2 * step_before) * (denoised - before)
        x = next_sigma / sigma * x + (1 - next_sigma / sigma) * halfway
        before, step_before = denoised, step
    return x
