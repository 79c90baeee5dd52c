"""Optimisation: learning rate, moving average of the weights, and AdamW."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adamw import adamw


@dataclass(frozen=True)
class Optimisation:
    """How a model is trained; the keys of `training:` in the config.

    Args:
        batch: examples per step, over all processes.
        lr: learning rate of AdamW after `warmup` steps of linear increase; constant from then on.
        warmup: steps; 0 for none.
        weight_decay: of AdamW.
        clip: largest gradient norm; None for no clipping.
        ema: decay of the exponential moving average of the weights.
        ema_warmup: at step t the decay is at most (1 + t) / (10 + t).
        precision: 'float32', 'tf32' (on CUDA) or 'bfloat16' (autocast).
        compile: compile the model with torch.compile.
        accumulate: parts that a batch is computed in, one after the other; their gradients are averaged.
    """

    batch: int
    lr: float
    warmup: int
    weight_decay: float
    clip: float | None
    ema: float
    ema_warmup: bool
    precision: str
    compile: bool
    accumulate: int = 1

    @property
    def memory_advice(self) -> str:
        """What saves memory, in words."""
        return (
            "give the job more GPUs, which share the batch, or lower training.batch (which changes results)"
        )

    def lr_at(self, step: int) -> float:
        """Return the learning rate of step `step` (from 0)."""
        return self.lr * min(1.0, (step + 1) / self.warmup) if self.warmup else self.lr

    def ema_at(self, step: int) -> float:
        """Return the decay of the average after step `step` (from 0)."""
        return min(self.ema, (1 + step) / (10 + step)) if self.ema_warmup else self.ema


class AdamW:
    """torch's AdamW, fused, called as a function.

    The class `torch.optim.AdamW` takes the same steps, bit for bit, but imports torch's compiler even where
    nothing is compiled, which is a good part of the time in which a small model comes to its next milestone.

    Args:
        parameters: what is trained; weight_decay: see `Optimisation`.
    """

    def __init__(self, parameters: list[Tensor], weight_decay: float) -> None:
        self.parameters, self.weight_decay = parameters, weight_decay
        self.moments = [
            {
                "step": torch.zeros((), device=p.device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
            for p in parameters
        ]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change the parameters that have a gradient, and drop the gradients."""
        # Parameters without a gradient in this step stay as they are
        with_gradient = [
            (p, m) for p, m in zip(self.parameters, self.moments, strict=True) if p.grad is not None
        ]
        parameters = [p for p, _ in with_gradient]
        moments = [m for _, m in with_gradient]
        # Decoupled weight decay and the bias-corrected step (Loshchilov and Hutter 2019, Algorithm 2)
        adamw(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [m["exp_avg"] for m in moments],
            [m["exp_avg_sq"] for m in moments],
            [],  # largest second moments, of AMSGrad alone
            [m["step"] for m in moments],
            fused=True, amsgrad=False, maximize=False,
            beta1=0.9, beta2=0.999, eps=1e-8, lr=lr, weight_decay=self.weight_decay,
        )  # fmt: skip
        for p in parameters:
            p.grad = None
