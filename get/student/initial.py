"""Initial states z_0 of students that have a state, outside of training.

All functions return None for a student without a state (`shape` is its `Student.state_shape`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from get.runtime.seeding import normal

INITIAL = ("independent", "shared", "zeros")  # z_0 of samples: a draw for each, one draw for all, or zeros

Shape = tuple[int, int] | None


def sample_state(
    shape: Shape, indices: Sequence[int], seed: int, initial: str, device: torch.device
) -> Tensor | None:
    """Return z_0 (B, N, D) of the samples with these indices; `initial` is one of `INITIAL`."""
    if shape is None:
        return None
    if initial == "zeros":
        return torch.zeros((len(indices), *shape), device=device)
    numbers = [0] * len(indices) if initial == "shared" else indices
    return normal(numbers, shape, seed, "evaluation", "state", device=device)


def held_out_state(shape: Shape, positions: Sequence[int], device: torch.device) -> Tensor | None:
    """Return z_0 (B, N, D) of the held-out pairs at `positions`: the same for all students of a shape."""
    if shape is None:
        return None
    return normal(positions, shape, 0, "held-out", "state", device=device)
