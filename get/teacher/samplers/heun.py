"""The deterministic sampler of EDM: Heun's method on the probability-flow ODE.

Karras et al. 2022, Algorithm 1: dx / dsigma = (x - D(x; sigma)) / sigma, from sigma_max to 0.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def noise_levels(num_steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """Return sigma_0 = sigma_max > ... > sigma_{N-1} = sigma_min, then 0: (N + 1,) float64 (equation 5)."""
    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def evaluations(num_steps: int) -> int:
    """Return the number of denoiser evaluations (NFE) of `heun`: two a step, one for the last."""
    return 2 * num_steps - 1


def heun(denoise: Callable[[Tensor, Tensor], Tensor], noise: Tensor, levels: Tensor) -> Tensor:
    """Integrate from noise to images.

    Args:
        denoise: D(x, sigma): images (B, C, H, W) float32 and sigma (B,) float32 to denoised images.
        noise: unit-variance noise (B, C, H, W).
        levels: decreasing noise levels that end with 0, (N + 1,), from `noise_levels`.

    Returns:
        Images (B, C, H, W) float64: the state is kept in float64, the denoiser runs in float32.
    """

    def slope(x: Tensor, sigma: float) -> Tensor:
        level = torch.full((len(x),), sigma, device=x.device)
        return (x - denoise(x.float(), level).double()) / sigma

    schedule = levels.tolist()
    x = noise.double() * schedule[0]
    for now, then in pairwise(schedule):
        d = slope(x, now)
        euler = x + (then - now) * d
        # sigma = 0 has no slope: the last step is Euler's
        x = euler if then == 0 else x + (then - now) * (d + slope(euler, then)) / 2
    return x
