"""The distillation loss: pixel L1 on every state of the fixed-point iteration."""

import torch
from torch import Tensor


def state_weights(states: int, decay: float) -> list[float]:
    """Return the weights decay^(S - i) of the states i = 1..S; the last state has weight 1."""
    return [decay ** (states - i) for i in range(1, states + 1)]


def distillation_loss(states: Tensor, image: Tensor, decay: float) -> Tensor:
    """Return sum_i decay^(S - i) mean |states_i - image|: a scalar.

    Args:
        states: decoded states (S, B, C, H, W); S = 1 for ViT.
        image: the teacher's images (B, C, H, W).
        decay: 0.8 in the published code; the paper's text does not say that all states are supervised.
    """
    errors = (states - image).abs().flatten(1).mean(dim=1)
    return errors @ torch.tensor(state_weights(len(states), decay), dtype=errors.dtype, device=errors.device)
