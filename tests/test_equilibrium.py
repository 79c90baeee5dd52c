"""The fixed-point solver against a known contraction, torchdeq, and a count of saved bytes."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import GET, SHAPE
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from get.student.equilibrium import anderson, choose, implicit, iterate, plain, residuals
from get.student.models import build


def linear_map(rate: float) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """f(z) = z* + rate Q (z - z*) with an orthogonal Q, and its fixed point z*."""
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    fixed = torch.randn(3, 4, 6, dtype=torch.float64)
    return lambda z: fixed + rate * (z - fixed) @ q, fixed


def test_converges_to_the_fixed_point_at_the_known_rate() -> None:
    f, fixed = linear_map(0.5)
    states = torch.stack(iterate(f, torch.zeros_like(fixed), 40))
    errors = (states - fixed).flatten(2).norm(dim=2)
    torch.testing.assert_close(errors[1:11] / errors[:10], torch.full((10, 3), 0.5, dtype=torch.float64))
    torch.testing.assert_close(states[-1], fixed)
    torch.testing.assert_close(residuals(states)[5], (f(states[5]) - states[5]).flatten(1).norm(dim=1))


def test_lowest_residual_per_sample() -> None:
    """Sample 0 contracts, so its last step is the smallest; sample 1 grows, so its first is."""
    rates = torch.tensor([0.5, 2.0])[:, None, None]
    states = torch.stack(iterate(lambda z: rates * z, torch.ones(2, 1, 1), 4))
    assert choose(states[1:], residuals(states), "lowest-residual").flatten().tolist() == [0.5**4, 2.0]
    assert choose(states[1:], residuals(states), "last").flatten().tolist() == [0.5**4, 2.0**4]


@pytest.mark.parametrize("rate", [0.5, 1.1])
def test_agrees_with_torchdeq(rate: float) -> None:
    from torchdeq import get_deq

    f, fixed = linear_map(rate)
    deq = get_deq(f_solver="fixed_point_iter", f_max_iter=6, f_tol=1e-12, f_stop_mode="abs").eval()
    (theirs,), _ = deq(f, torch.zeros_like(fixed))
    states = torch.stack(iterate(f, torch.zeros_like(fixed), 6))
    ours = choose(states[1:], residuals(states), "lowest-residual")
    torch.testing.assert_close(ours, theirs)


def test_anderson_solves_a_linear_map_exactly() -> None:
    """Q is 6x6, its minimal polynomial of degree 6: with memory for it, seven evaluations are enough."""
    f, fixed = linear_map(0.9)
    found = anderson(f, torch.zeros_like(fixed), 9, memory=8, ridge=0.0)
    assert found.residuals[6].min() > 1e-3
    assert found.residuals[7].max() < 1e-10
    torch.testing.assert_close(found.states[-1], fixed)
    step = (found.states[1] - found.states[0]).flatten(1).norm(dim=1)  # z_1 is f(z_0)
    torch.testing.assert_close(found.residuals[1], step)
    slow = plain(f, torch.zeros_like(fixed), 9)
    assert (found.residuals[5:] < slow.residuals[5:]).all()


def test_anderson_at_a_fixed_point_stays_there() -> None:
    z = torch.ones(2, 3, 4)
    found = anderson(lambda z: z, z, 4)
    torch.testing.assert_close(found.states[-1], z)
    assert not found.residuals.any()


def test_anderson_as_it_is_used() -> None:
    """With its memory and ridge, also under autocast, it is faster; samples do not see each other."""
    torch.manual_seed(0)
    weight, start = torch.linalg.qr(torch.randn(8, 8))[0], torch.randn(5, 4, 8)

    def f(z: Tensor) -> Tensor:
        return 0.95 * torch.tanh((z.flatten(0, 1) @ weight).view_as(z)) + 0.1

    fast, slow = anderson(f, start, 12), plain(f, start, 12)
    assert (fast.residuals[-1] < 0.1 * slow.residuals[-1]).all()
    alone = anderson(f, start[2:3], 12)
    torch.testing.assert_close(alone.states[-1, 0], fast.states[-1, 2], rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = anderson(lambda z: f(z).float(), start, 12)
    assert (rounded.states[2] - fast.states[2]).abs().max() < 0.05


def test_anderson_agrees_with_torchdeq() -> None:
    from torchdeq.solver.anderson import anderson_solver

    f, fixed = linear_map(0.9)
    ours = anderson(f, torch.zeros_like(fixed), 6, memory=3, ridge=1e-14)
    _, _, info = anderson_solver(f, torch.zeros_like(fixed), max_iter=6, m=3, lam=1e-14)
    theirs = info["abs_trace"].reshape(len(fixed), -1)[:, -4:]  # from the first combined state on
    torch.testing.assert_close(ours.residuals[2:].T, theirs, rtol=1e-6, atol=1e-9)


def test_implicit_gradients_are_those_of_the_fixed_point() -> None:
    """z* = b + z* A has dz*/db = (1 - A^T)^-1; six evaluations give the first six terms of its series."""
    f, _ = linear_map(0.5)
    b, weight = torch.zeros(3, 4, 6, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, 6).double()
    step = torch.autograd.functional.jacobian(lambda z: f(z)[0, 0], torch.zeros(3, 4, 6).double())[:, 0, 0]
    for evaluations in (60, 6, 1):
        (implicit(lambda z: f(z) + b, torch.randn(3, 4, 6).double(), evaluations) * weight).sum().backward()
        wanted = sum(weight @ torch.linalg.matrix_power(step, k) for k in range(evaluations))
        torch.testing.assert_close(b.grad, wanted)
        b.grad = None
    torch.testing.assert_close(implicit(f, weight, 5), iterate(f, weight, 5)[-1])


def test_implicit_gradients_can_be_taken_twice_and_leave_nothing_behind() -> None:
    weight = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))[
        0
    ].requires_grad_()
    z = implicit(lambda z: torch.tanh(0.5 * z @ weight) + 1, torch.zeros(2, 3, 6), 20)
    first, second = (torch.autograd.grad(z.sum(), weight, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
    graph = weakref.ref(z.grad_fn)
    del z
    assert graph() is None
    with torch.no_grad():
        assert not implicit(lambda z: z @ weight, torch.zeros(2, 3, 6), 3).requires_grad


def test_a_solver_is_used_in_sampling_alone() -> None:
    torch.manual_seed(0)
    model = build({**SHAPE, **GET})
    torch.nn.init.normal_(model.decoder.linear.weight)
    inputs = torch.randn(3, 1, 8, 8), torch.tensor([1, 2, 3]), torch.randn(3, 16, 16)
    trained, sampled = model(*inputs), model.trajectory(*inputs)
    model.solver = anderson
    torch.testing.assert_close(model(*inputs), trained)
    found = model.trajectory(*inputs)
    torch.testing.assert_close(found.images[:2], sampled.images[:2])  # nothing to combine before z_2
    assert not found.images[2].allclose(sampled.images[2], rtol=1e-3)


def gradients(checkpointing: bool) -> list[Tensor]:
    torch.manual_seed(0)
    model = build({**SHAPE, **GET}).double()
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    noise, state = torch.randn(3, 1, 8, 8).double(), torch.randn(3, 16, 16).double()
    model(noise, torch.tensor([1, 2, 3]), state, checkpointing=checkpointing).square().sum().backward()
    return [p.grad for p in model.parameters()]


def test_checkpointed_gradients_equal_plain_ones() -> None:
    for unrolled, checkpointed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(checkpointed, unrolled, atol=1e-12, rtol=1e-12)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages made under it that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.known = 0, weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.known:
                self.known.add(storage)
                self.bytes += (size := storage.nbytes())
                weakref.finalize(storage, self._gone, size)
        return out

    def _gone(self, size: int) -> None:
        self.bytes -= size


def kept_bytes(iterations: int, checkpointing: bool) -> int:
    """Bytes that the forward pass of a whole GET keeps for the backward pass, its images included."""
    torch.manual_seed(0)
    model = build({**SHAPE, **GET, "width": 64, "iterations": iterations})
    noise, state, label = torch.randn(8, 1, 8, 8), torch.randn(8, 16, 64), torch.zeros(8, dtype=torch.int64)
    with LiveBytes() as live:
        images = model(noise, label, state, checkpointing=checkpointing)
        kept = live.bytes
    assert images.requires_grad
    return kept


def test_checkpointing_keeps_one_state_per_iteration() -> None:
    state_bytes, image_bytes = 8 * 16 * 64 * 4, 8 * 64 * 4
    per_iteration = (kept_bytes(12, True) - kept_bytes(4, True)) / 8
    assert 0 < per_iteration <= state_bytes + image_bytes
    assert (kept_bytes(12, False) - kept_bytes(4, False)) / 8 > 10 * state_bytes


def test_checkpointing_computes_all_but_the_last_iteration_again() -> None:
    calls = []

    def f(z: Tensor) -> Tensor:
        calls.append(1)
        return z.sin()

    states = iterate(f, torch.ones(1, 1, 1, requires_grad=True), 4, checkpointing=True)
    torch.stack(states).sum().backward()
    assert len(calls) == 4 + 3
