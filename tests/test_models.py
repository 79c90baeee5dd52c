"""Sizes of the paper, conditioning, and what a student does with its inputs."""

from typing import Any

import pytest
import torch
from conftest import GET, SHAPE, VIT
from torch.utils.flop_counter import FlopCounterMode

from get.networks.kernels import attend, halve, plus, silu
from get.storage.errors import UserError
from get.student import models
from get.student.models import Student, build, parameter_count
from get.student.objectives.pairs import decoded_states

CIFAR = {"channels": 3, "size": 32, "classes": 10}
PARAMETERS = {  # the paper's Tables 2, 4 and 6; exact where paper and code agree
    "get-tiny": 8_558_092,
    "get-mini": 19_177_740,
    "get-small": 37_173_260,
    "get-base": 62_207_244,
    "get-base-plus": 83_481_612,
    "vit-small": 21_402_252,
    "vit-base": 85_271_820,
    "vit-large": 302_599_180,
    "vit-extra-large": 446_652_300,
    "vit-base-adaln": 128_944_908,
}
MACS = {
    "get-tiny": 7.00e9,
    "get-mini": 15.14e9,
    "get-small": 31.2e9,
    "get-base": 81.2e9,
    "get-base-plus": 69.0e9,
}
MACS |= {"vit-base": 22.96e9, "vit-large": 80.5e9}


def on_meta(config: dict[str, Any], name: str) -> Student:
    with torch.device("meta"):
        return build({**config["students"][name]["model"], **CIFAR})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(cifar_config: dict[str, Any], name: str) -> None:
    assert parameter_count(on_meta(cifar_config, name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", MACS)
def test_multiply_accumulates(cifar_config: dict[str, Any], name: str) -> None:
    model = on_meta(cifar_config, name)
    state = None if model.state_shape is None else torch.randn(1, *model.state_shape, device="meta")
    with FlopCounterMode(display=False) as counter:
        model.generate(torch.randn(1, 3, 32, 32, device="meta"), None, state, rule="last")
    assert counter.get_total_flops() / 2 == pytest.approx(MACS[name], rel=0.01)


def fresh(description: dict[str, Any], seed: int = 0) -> Student:
    """A small student whose decoder and modulations are no longer zero."""
    torch.manual_seed(seed)
    model = build({**SHAPE, **description})
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return model


@pytest.mark.parametrize(
    "description", [GET, VIT, {**VIT, "conditioning": "adaln-zero"}], ids=["get", "vit", "adaln"]
)
def test_class_changes_the_image(description: dict[str, Any]) -> None:
    model = fresh(description)
    noise = torch.randn(1, 1, 8, 8).expand(2, -1, -1, -1)
    state = torch.zeros(2, *model.state_shape) if model.state_shape else None
    same = decoded_states(model, noise, torch.tensor([3, 3]), state)
    other = decoded_states(model, noise, torch.tensor([3, 4]), state)
    torch.testing.assert_close(same[:, 0], same[:, 1])
    assert (other[:, 0] - other[:, 1]).abs().max() > 1e-4


def test_unconditional_student_reads_no_label() -> None:
    model = fresh({**GET, "conditioning": "none"})
    noise, state = torch.randn(2, 1, 8, 8), torch.randn(2, 16, 16)
    torch.testing.assert_close(model(noise, None, state), model(noise, torch.tensor([1, 2]), state))


def test_adaln_zero_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    model = build({**SHAPE, **VIT, "conditioning": "adaln-zero"})
    x, c = torch.randn(2, 16, 16), torch.randn(2, 1, 16)
    torch.testing.assert_close(model.blocks[0](x, c), x)


def test_fresh_student_answers_zero() -> None:
    torch.manual_seed(0)
    for description in (GET, VIT):
        model = build({**SHAPE, **description})
        images = model.generate(torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.randn(2, 16, 16)).images
        assert images.abs().max() == 0


def test_state_weights_are_shared_by_all_iterations() -> None:
    """Six iterations are three, and three more from where they ended."""
    model = fresh(GET)
    noise, label, state = torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.randn(2, 16, 16)
    states = model._solve(noise, label, state, 6).states
    again = model._solve(noise, label, states[2], 3).states
    torch.testing.assert_close(states[5], again[2])


@pytest.mark.parametrize("description", [GET, VIT], ids=["get", "vit"])
def test_one_graph_under_compile(description: dict[str, Any]) -> None:
    model = fresh(description)
    inputs = torch.randn(2, 1, 8, 8), torch.tensor([1, 2])
    inputs += (torch.randn(2, *model.state_shape),) if model.state_shape else ()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)  # an error if the graph breaks
    torch.testing.assert_close(compiled(*inputs), model(*inputs))
    generate = torch.compile(model.generate, backend="eager", fullgraph=True)
    torch.testing.assert_close(generate(*inputs).images, model.generate(*inputs).images)


def test_bfloat16_autocast_trains() -> None:
    model = fresh(GET)
    inputs = torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.randn(2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model(*inputs)
    torch.testing.assert_close(states.float(), model(*inputs), atol=0.1, rtol=0.1)
    states.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 3}, "model.heads 3 does not divide model.width 16"),
        ({"patch": 3}, "model.patch 3 does not divide the image size 8"),
        ({"width": 18, "heads": 2}, "no multiple of 4"),
        ({"family": "gan"}, "must be one of get, unet, vit"),
        ({"family": "../vit"}, "must be one of get, unet, vit"),
        ({"depth": 3}, "model.depth: there is no such key; there are conditioning, patch, width"),
        ({"patch": 0}, "model.patch is 0; it must be at least 1"),
        ({"width": "16"}, "model.width is '16'; it must be of type int"),
        ({"conditioning": "adaln-zero"}, "conditioning is 'adaln-zero'; it must be one of none, injection"),
        ({"classes": 0}, "the pairs have no classes"),
    ],
)
def test_impossible_descriptions(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build({**SHAPE, **GET, **change})


class Wrong(Student):
    """A student whose attributes and modules a test sets."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**SHAPE, conditioning="none")
        for name, part in parts.items():
            setattr(self, name, part)


LAYER = torch.nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("student", "keys", "message"),
    [
        (Wrong(state_shape=(2, 2)), {}, "a key iterations and a state_shape go together"),
        (Wrong(), {"iterations": 2}, "a key iterations and a state_shape go together"),
        (Wrong(first=LAYER, last=LAYER), {}, "a module has two names"),
        (Wrong(norm=torch.nn.BatchNorm2d(2)), {}, "running statistics"),
    ],
)
def test_students_that_training_would_spoil(student: Student, keys: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        models._check(student, {"family": "wrong", **keys})


def test_sums_in_the_memory_of_a_product() -> None:
    """Under autocast a product is bfloat16: the sum with float32 must not be rounded to it."""
    y, x = torch.ones(2, 3), torch.full((3,), 2.0**-10)
    assert plus(y, x) is y
    half = torch.ones(2, 3, dtype=torch.bfloat16)
    assert torch.equal(plus(half, x), torch.full((2, 3), 1 + 2.0**-10))
    assert torch.equal(half, torch.ones_like(half))


def test_silu_keeps_what_a_backward_pass_reads() -> None:
    x = torch.linspace(-2, 2, 5, requires_grad=True)
    inner = x * 1
    silu(inner).sum().backward()
    assert torch.equal(inner, x)
    with torch.no_grad():
        assert silu(inner) is inner
        assert torch.equal(inner, torch.nn.functional.silu(x))


def test_attention_is_float32_on_a_cpu() -> None:
    """There bfloat16 takes up to four times as long."""
    q, k, v = torch.randn(3, 2, 1, 4, 8)
    wanted = attend(q, k, v)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(attend(q, k, v), wanted)
        assert attend(q.bfloat16(), k.bfloat16(), v.bfloat16()).dtype == torch.float32


def test_halving_gives_the_same_bits_with_and_without_a_gradient() -> None:
    x = torch.randn(3, 2, 8, 6)
    wanted = halve(x)
    assert wanted.shape == (3, 2, 4, 3)
    with torch.no_grad():
        assert torch.equal(halve(x), wanted)
