"""Distillation on pairs: a student maps the teacher's noise to the teacher's image.

The loss is pixel L1 on every state of the fixed-point iteration (paper, Section 4; the weights of the states
are those of its code).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from get.pairs.dataset import Batch
from get.storage.errors import UserError
from get.training.optimisation import Optimisation


@dataclass(frozen=True)
class Distillation(Optimisation):
    """How a student is trained: `Optimisation`, and keys of its own.

    Args:
        loss_decay: weight of state i of S is loss_decay^(S - i); at 0 the last one alone counts.
        checkpointing: O(1)-memory mode: compute each fixed-point iteration again in the backward pass.
        implicit: supervise the last state alone, with the gradient of a fixed point (`equilibrium.implicit`).
        pairs: learn from the first so many pairs; None is all of them.
    """

    loss_decay: float
    checkpointing: bool
    implicit: bool = False
    pairs: int | None = None

    @property
    def memory_advice(self) -> str:
        """What saves memory, in words."""
        if self.checkpointing or self.implicit:
            return super().memory_advice
        return f"set training.checkpointing: true (O(1)-memory mode), {super().memory_advice}"


def distillation_loss(
    forward: Callable[..., Tensor], batch: Batch, state: Tensor | None, options: Distillation
) -> Tensor:
    """Return the loss (a scalar) of a student on one batch of pairs.

    Args:
        forward: the student, or what wraps it.
        batch: noise and image (B, C, H, W) float32, label (B,) int64, on the student's device.
        state: z_0 (B, N, D), or None for a student without a state.
        options: `loss_decay`, `checkpointing` and `implicit` are read.
    """
    modes = {"implicit": True} if options.implicit else {"checkpointing": options.checkpointing}
    images = decoded_states(forward, batch.noise, batch.label, state, **modes)
    return weighted_l1(images, batch.image, options.loss_decay)


def decoded_states(
    forward: Callable[..., Tensor], noise: Tensor, label: Tensor | None, state: Tensor | None, **modes: bool
) -> Tensor:
    """Return the images (S, B, C, H, W) of all states that are supervised; S = 1 without a state.

    Args:
        forward, state: as for `distillation_loss`.
        noise, label: (B, C, H, W) and (B,) int64.
        **modes: keyword arguments of the forward pass of a student with a state.

    Raises:
        UserError: the images are of another shape than the noise; the loss would broadcast some.
    """
    images = forward(noise, label)[None] if state is None else forward(noise, label, state, **modes)
    if images.shape[1:] != noise.shape:
        found, wanted = tuple(images.shape[1:]), tuple(noise.shape)
        raise UserError(
            f"the student's forward returns images of shape {found} for noise of shape {wanted}; they must be"
            " as many, and of the same shape (B, C, H, W)"
        )
    return images


def state_weights(
    states: int, decay: float, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Return the weights decay^(S - i) of the states i = 1..S as (S,); the last state has weight 1."""
    return decay ** torch.arange(states - 1, -1, -1, dtype=dtype, device=device)


def weighted_l1(states: Tensor, image: Tensor, decay: float) -> Tensor:
    """Return sum_i decay^(S - i) mean |states_i - image|: a scalar.

    Args:
        states: decoded states (S, B, C, H, W); S = 1 without a state.
        image: the teacher's images (B, C, H, W); the loss has at least their precision.
        decay: 0.8 in the published code; the paper's text does not say that all states are supervised.
    """
    errors = (states - image).abs().flatten(1).mean(dim=1)
    return (errors * state_weights(len(states), decay, errors.dtype, errors.device)).sum()
