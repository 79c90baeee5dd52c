"""Regression on pairs: a student maps the teacher's noise to the teacher's image.

All states of the fixed-point iteration are supervised (paper, Section 4; the weights of the states are those
of its code). For a U-Net it is knowledge distillation (Luhman and Luhman 2021, arXiv 2101.02388).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from get.pairs.dataset import Batch
from get.runtime.log import log
from get.storage.errors import UserError
from get.student.objective import Loss, Objective, Task


class PairRegression(Objective):
    """Regression on pairs.

    Args:
        loss_decay: weight of state i of S is loss_decay^(S - i); at 0 the last one alone counts.
        checkpointing: O(1)-memory mode: compute each fixed-point iteration again in the backward pass. Where
            memory does not suffice without, it comes on by itself.
        implicit: supervise the last state alone, with the gradient of a fixed point (`equilibrium.implicit`).
    """

    def __init__(
        self,
        task: Task,
        *,
        loss_decay: float = 0.8,
        checkpointing: bool = False,
        implicit: bool | None = None,
    ) -> None:
        super().__init__(task)
        self.loss_decay = loss_decay
        self.modes = {"implicit": True} if implicit else {"checkpointing": checkpointing}
        self.states = 1 if implicit else task.student.iterations  # that are supervised

    def relieve(self) -> bool:
        """Switch to O(1)-memory mode; False without a fixed point, or if that is on already."""
        if self.task.student.state_shape is None or self.modes.get("checkpointing", True):
            return False
        self.modes = {"checkpointing": True}
        log.info("out of memory: going on with training.checkpointing: true (last bits may differ)")
        return True

    def __call__(self, forward: Callable[..., Tensor], batch: Batch, step: int, rows: slice) -> Tensor:
        """Return the sum over states of their weighted mean errors; see `Objective`."""
        shape, state = self.task.student.state_shape, None
        if shape is not None:
            state = self.task.normal("state", step, shape, rows)  # z_0 ~ N(0, I)
        images = decoded_states(forward, batch.noise, batch.label, state, **self.modes)
        return weighted_loss(images, batch.image, self.task.loss, self.loss_decay)


def decoded_states(
    forward: Callable[..., Tensor], noise: Tensor, label: Tensor | None, state: Tensor | None, **modes: bool
) -> Tensor:
    """Return the images (S, B, C, H, W) of all states that are supervised; S = 1 without a state.

    Args:
        forward: the student, or what wraps it.
        noise, label: (B, C, H, W) and (B,) int64; state: z_0 (B, N, D), or None for a student without one.
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


def weighted_loss(states: Tensor, image: Tensor, loss: Loss, decay: float) -> Tensor:
    """Return sum_i decay^(S - i) mean loss(states_i, image): a scalar.

    Args:
        states: decoded states (S, B, C, H, W); S = 1 without a state.
        image: the teacher's images (B, C, H, W); the loss has at least their precision.
        loss: see `losses`; L1 in the paper.
        decay: 0.8 in the published code; the paper's text does not say that all states are supervised.
    """
    errors = loss(states, image).flatten(1).mean(dim=1)
    return (errors * state_weights(len(states), decay, errors.dtype, errors.device)).sum()


OBJECTIVE = PairRegression
NEEDS = {"pairs": None}
DEFAULT_LOSS = "l1"
FORM = "denoiser"
RANGES = {"loss_decay": (0.0, 1.0)}
