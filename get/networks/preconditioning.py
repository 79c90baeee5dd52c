"""Preconditioning: what turns one network F into a denoiser, a consistency function, or a velocity.

All three are skip x + out F(x / norm; noise), with factors of the noise level. Inputs and targets of F have
unit variance for data of standard deviation sigma_data.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Preconditioning(NamedTuple):
    """The factors at the levels of a batch: skip, out and norm (B, 1, 1, 1), and noise (B,)."""

    skip: Tensor
    out: Tensor
    norm: Tensor
    noise: Tensor

    def __call__(self, network: Network, x: Tensor, label: Tensor | None) -> Tensor:
        """Return skip x + out F(x / norm; noise, label), of the shape of x (B, C, H, W)."""
        return self.skip * x + self.out * network(x / self.norm, self.noise, label).to(x.dtype)


def denoiser(sigma: Tensor, sigma_data: float) -> Preconditioning:
    """Of D(x; sigma), at noise levels (B,): Karras et al. 2022, equation 7 and Table 1."""
    s = sigma.view(-1, 1, 1, 1)
    total = s.square() + sigma_data**2
    norm = total.sqrt()
    return Preconditioning(sigma_data**2 / total, s * sigma_data / norm, norm, sigma.log() / 4)


def consistency(sigma: Tensor, sigma_data: float, sigma_min: float) -> Preconditioning:
    """Of f(x, sigma), at noise levels (B,): Song et al. 2023, Appendix C. At sigma_min, f is the identity."""
    s = sigma.view(-1, 1, 1, 1)
    above, norm = s - sigma_min, (s.square() + sigma_data**2).sqrt()
    skip = sigma_data**2 / (above.square() + sigma_data**2)
    return Preconditioning(skip, sigma_data * above / norm, norm, sigma.log() / 4)


def velocity(t: Tensor, sigma_data: float, sigma_min: float, sigma_max: float) -> Preconditioning:
    """Of v(x_t, t), at times (B,) from 0 (noise) to 1 (data), where x_t = (1 - t) e + t x.

    It is (D(x_t / t; (1 - t) / t) - x_t) / (1 - t), the velocity of the denoiser's ODE along these lines,
    with all fractions reduced: the same F serves both (Lee, Lin and Fanti 2024, arXiv 2405.20320, Section 4).
    F has never seen a noise level outside sigma_min to sigma_max; it is given the nearest one within.
    """
    s = t.view(-1, 1, 1, 1)
    total = (1 - s).square() + (sigma_data * s).square()
    norm = total.sqrt()
    sigma = ((1 - t) / t).clamp(sigma_min, sigma_max)  # infinite at t = 0
    return Preconditioning((sigma_data**2 * s - (1 - s)) / total, sigma_data / norm, norm, sigma.log() / 4)
