"""Fixed points of z = f(z): a plain or damped iteration, its residuals, and which state to return.

Gradients go through the unrolled iterations; with `checkpointing`, each iteration keeps only its input
state and is computed again in the backward pass (the paper's O(1)-memory mode).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

RULES = ("lowest-residual", "last")


def iterate(
    f: Callable[[Tensor], Tensor],
    state: Tensor,
    iterations: int,
    *,
    damping: float = 1.0,
    checkpointing: bool = False,
) -> list[Tensor]:
    """Return the states z_0, ..., z_K, each (B, N, D), of z <- (1 - damping) z + damping f(z).

    Args:
        f: map of states (B, N, D) to states.
        state: z_0, (B, N, D).
        iterations: K, the number of evaluations of f.
        damping: in (0, 1]; 1 is the plain iteration z <- f(z).
        checkpointing: keep one state per iteration for the backward pass instead of all of f's tensors
            (but those of the last iteration).
    """
    states = [state]
    for number in range(1, iterations + 1):
        z = states[-1]
        # the last one is the first that the backward pass needs: to compute it again would save nothing
        again = checkpointing and number < iterations
        new = checkpoint(f, z, use_reentrant=False, preserve_rng_state=False) if again else f(z)
        states.append(new if damping == 1.0 else torch.lerp(z, new, damping))
    return states


def residuals(states: Tensor, damping: float = 1.0) -> Tensor:
    """Return ||f(z_k) - z_k||, k = 0..K-1, as (K, B), of the stacked states (K + 1, B, N, D) of `iterate`."""
    return (states[1:] - states[:-1]).flatten(2).norm(dim=2) / damping


def choose(states: Tensor, residuals: Tensor, rule: str) -> Tensor:
    """Return one state per sample (B, ...) of the states z_1..z_K, stacked (K, B, ...).

    Rule 'lowest-residual' is the published one: z_{k+1} for the k at which ||f(z_k) - z_k||, `residuals`
    (K, B), was smallest, per sample, without synchronising with the host. Rule 'last' is z_K.
    """
    if rule == "last":
        return states[-1]
    return states[residuals.argmin(dim=0), torch.arange(states.shape[1], device=states.device)]
