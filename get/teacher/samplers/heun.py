"""The deterministic sampler of EDM: Heun's method on the probability-flow ODE.

Karras et al. 2022, Algorithm 1: dx / dsigma = (x - D(x; sigma)) / sigma, from sigma_max to 0.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from get.networks.levels import check_levels, noise_levels

if TYPE_CHECKING:
    from torch import Tensor

    Denoise = Callable[[Tensor, Tensor], Tensor]


def check(key: str, **settings: Any) -> None:
    """Raise `UserError`, naming the key below `key`, unless the steps and noise levels can be."""
    check_levels(key, 2, **settings)


def evaluations(*, num_steps: int, **_: Any) -> int:
    """Return the number of evaluations of the denoiser (NFE): two a step, one in the last."""
    return 2 * num_steps - 1


def sample(
    denoise: "Denoise",
    noise: "Tensor",
    *,
    num_steps: int = 18,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
) -> "Tensor":
    """Integrate from noise to images in `num_steps` steps.

    Args:
        denoise: D(x, sigma): images (B, C, H, W) float32 and sigma (B,) float32 to denoised images.
        noise: unit-variance noise (B, C, H, W).
        num_steps, sigma_min, sigma_max, rho: see `noise_levels`.

    Returns:
        Images (B, C, H, W) float64: the state is kept in float64, the denoiser runs in float32.
    """
    return heun(denoise, noise, noise_levels(num_steps, sigma_min, sigma_max, rho))


def heun(denoise: "Denoise", noise: "Tensor", levels: "Tensor") -> "Tensor":
    """Integrate along decreasing noise `levels` (N + 1,) that end with 0; the rest as in `sample`."""
    schedule = levels.tolist()
    x = noise.double() * schedule[0]
    for sigma, next_sigma in pairwise(schedule):
        # Euler step
        d = slope(denoise, x, sigma)
        euler = x + (next_sigma - sigma) * d
        # Heun's correction, but in the last step: there is no slope at sigma = 0
        if next_sigma == 0:
            x = euler
        else:
            x = x + (next_sigma - sigma) * (d + slope(denoise, euler, next_sigma)) / 2
    return x


def slope(denoise: "Denoise", x: "Tensor", sigma: float) -> "Tensor":
    """Return dx / dsigma (B, C, H, W) float64 at x (B, C, H, W) float64 and noise level sigma > 0."""
    x32 = x.float()
    return (x - denoise(x32, x32.new_full((len(x),), sigma)).double()) / sigma
