"""Fixed points z = f(z): solvers, gradients, and the choice of the state to decode.

The solvers are the plain iteration, which is the paper's, and Anderson acceleration. Gradients go through the
unrolled iterations; with `checkpointing`, each iteration keeps only its input state and is computed again in
the backward pass (the paper's O(1)-memory mode). `implicit` takes the gradient of a fixed point instead, by
the implicit function theorem.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from get.storage.variants import Rule

MEMORY, RIDGE = 5, 1e-4  # of Anderson acceleration

Map = Callable[[Tensor], Tensor]


class Solution(NamedTuple):
    """Of K evaluations, k = 0..K-1: states f(z_k) (K, B, N, D), and residuals ||f(z_k) - z_k|| (K, B)."""

    states: Tensor
    residuals: Tensor


Solver = Callable[[Map, Tensor, int], Solution]  # of f, z_0 and K, the number of evaluations of f


def iterate(f: Map, state: Tensor, iterations: int, *, checkpointing: bool = False) -> list[Tensor]:
    """Return the states z_0, ..., z_K, each (B, N, D), of the plain iteration z <- f(z).

    Args:
        f: map of states (B, N, D) to states.
        state: z_0, (B, N, D).
        iterations: K, the number of evaluations of f.
        checkpointing: keep one state per iteration for the backward pass instead of all of f's tensors
            (but those of the last iteration).
    """
    states = [state]
    for number in range(1, iterations + 1):
        z = states[-1]
        # the last one is the first that the backward pass needs: to compute it again would save nothing
        if checkpointing and number < iterations:
            states.append(checkpoint(f, z, use_reentrant=False, preserve_rng_state=False))
        else:
            states.append(f(z))
    return states


def residuals(states: Tensor) -> Tensor:
    """Return ||f(z_k) - z_k||, k = 0..K-1, as (K, B), of the stacked states (K + 1, B, N, D) of `iterate`."""
    return (states[1:] - states[:-1]).flatten(2).norm(dim=2)


def plain(f: Map, state: Tensor, iterations: int) -> Solution:
    """Solve z = f(z) by the plain iteration, the paper's, from z_0 = `state` (B, N, D)."""
    states = torch.stack(iterate(f, state, iterations))
    return Solution(states[1:], residuals(states))


def anderson(
    f: Map, state: Tensor, iterations: int, *, memory: int = MEMORY, ridge: float = RIDGE
) -> Solution:
    """Solve z = f(z) by Anderson acceleration (Walker and Ni 2011), each sample by itself.

    z_{k+1} = sum_i a_i f(z_i) over the last evaluations, with the a_i, of sum 1, that make the norm of
    sum_i a_i (f(z_i) - z_i) least.

    Args:
        f, state, iterations: the map, z_0 (B, N, D), and the evaluations of f.
        memory: how many evaluations are combined.
        ridge: added to the diagonal of the residuals' inner products, in units of its mean.
    """
    z = state
    inputs: list[Tensor] = []
    values: list[Tensor] = []
    norms: list[Tensor] = []
    for _ in range(iterations):
        # Evaluate f
        inputs.append(z)
        values.append(f(z))
        # Residuals f(z_i) - z_i of the last evaluations, (B, m, N, D)
        steps = torch.stack([v - x for v, x in zip(values, inputs, strict=True)][-memory:], dim=1)
        norms.append(steps[:, -1].flatten(1).norm(dim=1))
        # Combine the values so that the combined residual is shortest
        weights = _combination(steps.flatten(2).double(), ridge).to(state.dtype)[..., None, None]
        z = (weights * torch.stack(values[-memory:], dim=1)).sum(dim=1)  # no product: autocast would round it
    return Solution(torch.stack(values), torch.stack(norms))


def _combination(steps: Tensor, ridge: float) -> Tensor:
    """Return the weights (B, m), of sum 1, that make the weighted sum of `steps` (B, m, N D) shortest."""
    # Normal equations: (G + ridge) w = 1 with the inner products G, then scaled to sum 1
    products = steps @ steps.mT
    mean = products.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    added = (ridge * mean).clamp(min=1e-100)  # where all steps are 0, any weights do
    eye = torch.eye(steps.shape[1], dtype=steps.dtype, device=steps.device)
    weights = torch.linalg.solve(products + added * eye, steps.new_ones(steps.shape[:2]))
    return weights / weights.sum(dim=1, keepdim=True)


# a larger ridge keeps the combination nearer to the mean of the last evaluations
SOLVERS: dict[str, Solver] = {
    "plain": plain,
    "anderson": anderson,
    "anderson-ridge": partial(anderson, ridge=1e-2),
}


class _Adjoint(torch.autograd.Function):
    """Passes f(z) on, and turns its gradient v into g = v + J^T g with the Jacobian J of f at z."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, z_and_value: tuple[Tensor, Tensor], products: int) -> Tensor:
        ctx.z_and_value, ctx.products = z_and_value, products
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None]:
        (z, value), g = ctx.z_and_value, v
        # Plain iteration of g = v + J^T g
        for _ in range(ctx.products):
            g = v + torch.autograd.grad(value, z, g, retain_graph=True)[0]
        return g, None, None


def implicit(f: Map, state: Tensor, iterations: int) -> Tensor:
    """Return z_K (B, N, D) of the plain iteration, with the gradient of a fixed point of f.

    With J the Jacobian of f at z_{K-1}, the backward pass turns the gradient v of z_K into the solution of
    g = v + J^T g (implicit function theorem), by the plain iteration in as many products with J^T as the
    forward pass has evaluations (the last of them that with the parameters), and f's parameters receive that.
    Only one evaluation's tensors are kept.
    """
    # All iterations but the last, without a graph
    with torch.no_grad():
        z = iterate(f, state, iterations - 1)[-1]
    # The last one, whose Jacobian the backward pass uses
    z = z.detach().requires_grad_()
    value = f(z)
    return _Adjoint.apply(value, (z, value), iterations - 1)


def choose(states: Tensor, residuals: Tensor, rule: str) -> Tensor:
    """Return one state per sample (B, ...) of the states z_1..z_K, stacked (K, B, ...), by a `Rule`.

    The lowest residual is the published rule: z_{k+1} for the k at which ||f(z_k) - z_k||,
    `residuals` (K, B), was smallest, per sample, without synchronising with the host. The last is z_K.
    """
    if rule == Rule.LAST or len(states) == 1:
        return states[-1]
    return states[residuals.argmin(dim=0), torch.arange(states.shape[1], device=states.device)]
