"""Euler's method on the probability-flow ODE of EDM (see `heun`): first order, one evaluation a step."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from get.networks.levels import check_levels, noise_levels
from get.teacher.samplers.heun import slope

if TYPE_CHECKING:
    from torch import Tensor

    from get.teacher.samplers.heun import Denoise


def check(key: str, **settings: Any) -> None:
    """Raise `UserError`, naming the key below `key`, unless the steps and noise levels can be."""
    check_levels(key, 1, **settings)


def evaluations(*, num_steps: int, **_: Any) -> int:
    """Return the number of evaluations of the denoiser (NFE): one a step."""
    return num_steps


def sample(
    denoise: "Denoise",
    noise: "Tensor",
    *,
    num_steps: int = 35,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
) -> "Tensor":
    """Integrate from noise to images in `num_steps` steps; see `heun.sample`."""
    return euler(denoise, noise, noise_levels(num_steps, sigma_min, sigma_max, rho))


def euler(denoise: "Denoise", noise: "Tensor", levels: "Tensor") -> "Tensor":
    """Integrate along decreasing noise `levels` (N + 1,); the rest as in `heun.sample`."""
    schedule = levels.tolist()
    x = noise.double() * schedule[0]
    for sigma, next_sigma in pairwise(schedule):
        x = x + (next_sigma - sigma) * slope(denoise, x, sigma)
    return x
