"""The distillation loss: pixel L1 on every state of the fixed-point iteration."""

from collections.abc import Callable

import torch
from torch import Tensor

from get.storage.errors import UserError


def supervised(
    forward: Callable[..., Tensor],
    noise: Tensor,
    label: Tensor | None,
    state: Tensor | None,
    checkpointing: bool = False,
    implicit: bool = False,
) -> Tensor:
    """Return what training supervises, (S, B, C, H, W): all states of a student that has them, or its image.

    Args:
        forward: the student, or what wraps it.
        noise, label, state: (B, C, H, W), (B,) int64, and z_0 (B, N, D) or None.
        checkpointing, implicit: O(1)-memory mode, and implicit gradients, of a student with states.

    Raises:
        UserError: they are of another shape than the noise; the loss would broadcast some.
    """
    if state is None:
        states = forward(noise, label)[None]
    else:
        modes = {"implicit": True} if implicit else {"checkpointing": checkpointing}
        states = forward(noise, label, state, **modes)
    if states.shape[1:] != noise.shape:
        found, wanted = tuple(states.shape[1:]), tuple(noise.shape)
        raise UserError(
            f"the student's forward returns images of shape {found} for noise of shape {wanted}; they must be"
            " as many, and of the same shape (B, C, H, W)"
        )
    return states


def state_weights(
    states: int, decay: float, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Return the weights decay^(S - i) of the states i = 1..S as (S,); the last state has weight 1."""
    return decay ** torch.arange(states - 1, -1, -1, dtype=dtype, device=device)


def distillation_loss(states: Tensor, image: Tensor, decay: float) -> Tensor:
    """Return sum_i decay^(S - i) mean |states_i - image|: a scalar.

    Args:
        states: decoded states (S, B, C, H, W); S = 1 without a state.
        image: the teacher's images (B, C, H, W); the loss has at least their precision.
        decay: 0.8 in the published code; the paper's text does not say that all states are supervised.
    """
    errors = (states - image).abs().flatten(1).mean(dim=1)
    return (errors * state_weights(len(states), decay, errors.dtype, errors.device)).sum()
