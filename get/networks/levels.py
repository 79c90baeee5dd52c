"""Noise levels of EDM. Light: torch is imported when some are computed."""

from typing import TYPE_CHECKING

from get.storage.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def check_levels(
    key: str, least: int, *, num_steps: int, sigma_min: float, sigma_max: float, rho: float
) -> None:
    """Raise `UserError`, naming the key below `key`, unless there are `least` steps and such levels."""
    if num_steps < least:
        raise UserError(f"{key}.num_steps: it must be at least {least}; there is {num_steps}")
    if not 0 < sigma_min < sigma_max:
        raise UserError(f"{key}: sigma_min must be above 0 and below sigma_max")
    if rho <= 0:
        raise UserError(f"{key}.rho: it must be greater than 0; there is {rho}")


def noise_levels(num_steps: int, sigma_min: float, sigma_max: float, rho: float) -> "Tensor":
    """Return sigma_0 = sigma_max > ... > sigma_{N-1} = sigma_min, then 0: (N + 1,) float64.

    Karras et al. 2022, equation 5. Of one step only sigma_max is left.
    """
    import torch  # takes seconds, which whoever only asks for the NFE should not wait

    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])
