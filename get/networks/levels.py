"""Noise levels of EDM. Light: torch is imported when some are computed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def noise_levels(num_steps: int, sigma_min: float, sigma_max: float, rho: float) -> "Tensor":
    """Return sigma_0 = sigma_max > ... > sigma_{N-1} = sigma_min, then 0: (N + 1,) float64.

    Karras et al. 2022, equation 5.
    """
    import torch  # takes seconds, which whoever only asks for the NFE should not wait

    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])
