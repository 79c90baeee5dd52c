"""Every draw is a function of names."""

from typing import Any

import conftest
import torch
from conftest import SHAPE
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from get.pairs.indices import HELD_OUT
from get.runtime.seeding import BLOCK, EpochSampler, fold_in, normal, seed_global
from get.sampling.one_step import Sampling, sample
from get.student.architectures.get import GET
from get.student.initial import held_out_state, sample_state
from get.student.losses.l1 import L1
from get.student.models import Generated
from get.student.objective import Task
from get.teacher.generation import draw


def test_fold_in_is_fixed() -> None:
    """These values are in every checkpoint and shard: they must never change."""
    assert fold_in(0) == 1999793380834467432
    assert fold_in(0, "pairs", 3) == 1336684919927665375
    assert len({fold_in(0, "a"), fold_in(1, "a"), fold_in(0, "b"), fold_in(0, "a", 0)}) == 4


def test_seed_of_dropout_is_that_of_torch() -> None:
    """Masks of trainings that were begun before go on as they were."""
    masks = []
    for seed in (torch.manual_seed, lambda value: seed_global(value, torch.device("cpu"))):
        seed(fold_in(0, "dropout", 7))
        masks.append(torch.nn.functional.dropout(torch.ones(100), 0.5))
    assert torch.equal(*masks)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_a_row_depends_on_its_index_alone(indices: list[int]) -> None:
    rows = normal(indices, (2, 3), 7, "tag")
    for row, index in zip(rows, indices, strict=True):
        torch.testing.assert_close(row, normal([index], (2, 3), 7, "tag")[0], atol=0, rtol=0)


def test_draws_are_standard_normal_and_distinct() -> None:
    draws = normal(range(4 * BLOCK), (64,), 0, "tag")
    assert abs(draws.mean()) < 0.03
    assert abs(draws.std() - 1) < 0.03
    assert len(draws.unique(dim=0)) == len(draws)


class Recorder(GET):
    """A student that keeps what it was given."""

    def generate(self, noise: Tensor, label: Any, state: Any, *rest: Any) -> Generated:
        self.noise, self.state = noise, state
        return super().generate(noise, label, state, *rest)


def test_evaluation_noise_is_no_pair() -> None:
    """Same seed, same indices: evaluation, training and held-out noise have no row in common."""
    student = Recorder(**{k: v for k, v in {**SHAPE, **conftest.GET}.items() if k != "family"})
    labels = torch.zeros(500, dtype=torch.int64)
    options = Sampling(batch=500)
    (samples,) = sample(student, range(500), labels, seed=0, options=options, device=torch.device("cpu"))
    assert len(samples.images) == 500
    train, _ = draw(range(500), (1, 8, 8), 0, 10)
    held_out, _ = draw(range(HELD_OUT, HELD_OUT + 500), (1, 8, 8), 0, 10)
    rows = torch.cat([student.noise.half(), train, held_out])
    assert len(rows.flatten(1).unique(dim=0)) == 1500
    # one block is one draw, so that a shared tag would make its first numbers equal
    assert not torch.equal(student.state[:BLOCK].flatten()[:1000], student.noise[:BLOCK].flatten()[:1000])


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_epoch_visits_everything_once(count: int, batch: int, seed: int) -> None:
    examples = EpochSampler(count, batch, seed)
    steps = -(-3 * count // batch)
    order = torch.cat([examples(step) for step in range(steps)])[: 3 * count]
    for epoch in order.view(3, count):
        assert epoch.sort().values.tolist() == list(range(count))


def test_epochs_have_orders_of_their_own() -> None:
    examples = EpochSampler(100, 100, 0)
    assert examples(0).tolist() != examples(1).tolist()
    assert examples(0).tolist() != EpochSampler(100, 100, 1)(0).tolist()


def test_a_batch_is_a_function_of_the_step() -> None:
    forward, jumping = EpochSampler(100, 16, 5), EpochSampler(100, 16, 5)
    batches = [forward(step) for step in range(20)]
    for step in (19, 3, 7, 0):
        assert jumping(step).tolist() == batches[step].tolist()


def test_initial_states() -> None:
    """Of samples, of training and of held-out pairs; no two share a draw."""
    device = torch.device("cpu")
    task = Task(torch.nn.Module(), L1(), BLOCK, 0, device)  # type: ignore[arg-type]
    draws = [
        task.normal("state", 0, (4, 2), slice(0, BLOCK)),
        task.normal("state", 1, (4, 2), slice(0, BLOCK)),
        sample_state((4, 2), range(BLOCK), 0, "independent", device),
        held_out_state((4, 2), range(BLOCK), device),
    ]
    assert len(torch.cat(draws).flatten(1).unique(dim=0)) == 4 * BLOCK
    assert held_out_state(None, [5], device) is None
    independent = sample_state((4, 2), [5, 6, 5], 0, "independent", device)
    assert independent[0].equal(independent[2])
    assert not independent[0].equal(independent[1])
    shared = sample_state((4, 2), [5, 6], 0, "shared", device)
    assert shared[0].equal(shared[1])
    assert not sample_state((4, 2), [5, 6], 0, "zeros", device).any()
    assert sample_state(None, [5], 0, "independent", device) is None
