"""Nothing is left on the CPU: forward passes and the optimiser on fake CUDA tensors, without a GPU.

A fake tensor knows its shape, type and device, and holds no numbers; an operation between two devices is an
error, as it is on a GPU. Backward passes want a real device.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from get.costs.measure import RandomTraining, options_of, random_inputs
from get.experiment import Experiment, load
from get.experiment.settings import costs_of
from get.networks.denoiser import build as build_teacher
from get.scoring import metrics
from get.student import objective
from get.student.models import build
from get.teacher.generation import sample
from get.teacher.samplers import Sampler, heun
from get.training.loop import take_step

CUDA = torch.device("cuda", 0)
HEUN: dict[str, Any] = {"num_steps": 3, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
STUDENTS = {"get-16": {}, "get-32-unconditional": {}, "vit-16": {}, "get-16 (O(1))": {"checkpointing": True}}


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def fake() -> Iterator[None]:
    with FakeTensorMode(allow_non_fake_inputs=False, shape_env=ShapeEnv()):
        yield


def moved(network: nn.Module) -> nn.Module:
    """Put parameters and buffers on the fake GPU, and nothing else."""
    for module in network.modules():
        for name, p in module._parameters.items():
            if p is not None:
                empty = torch.empty(p.shape, dtype=p.dtype, device=CUDA)
                module._parameters[name] = nn.Parameter(empty, p.requires_grad)
        for name, values in module._buffers.items():
            if values is not None:
                module._buffers[name] = torch.empty(values.shape, dtype=values.dtype, device=CUDA)
    return network


@pytest.fixture(params=STUDENTS)
def student(request: pytest.FixtureRequest, experiment: Experiment, fake: None) -> Any:
    name = request.param.split(" ")[0]
    return SimpleNamespace(settings=costs_of(experiment, name), options=STUDENTS[request.param])


def test_a_student_draws(student: Any) -> None:
    network = moved(build(student.settings["model"])).eval()
    batch, state = random_inputs(network, 4, CUDA)
    with torch.no_grad():
        found = network.trajectory(batch.noise, batch.label, state)
        drawn = network.generate(batch.noise, batch.label, state)
    assert {found.images.device, drawn.images.device} == {CUDA}
    with pytest.raises(RuntimeError, match="same device"), torch.no_grad():
        network.generate(batch.noise.cpu(), batch.label, state)


def test_a_training_step(student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = moved(build(student.settings["model"]))
    options = options_of(student.settings["training"], batch=4, clip=1.0, lr=1e-3, ema=0.9, **student.options)
    training = RandomTraining(network, options, None)
    losses = []

    def backward(loss: Tensor) -> None:
        losses.append(loss)
        for p in network.parameters():
            p.grad = torch.empty_like(p)

    monkeypatch.setattr(Tensor, "backward", backward)
    monkeypatch.setattr(objective, "generator", lambda *_, device: None)  # there is none of a fake GPU
    for _ in range(2):
        take_step(training.state, network, training.loss, options, seed=0)
    assert [loss.device for loss in losses] == [CUDA, CUDA]
    assert {tensor.device for tensor in training.state.tensors()} == {CUDA}
    assert training.state.window.device == CUDA
    assert training.state.step == 2


@pytest.mark.parametrize("name", ["conditional", "unconditional"])
def test_a_teacher_samples(
    name: str, experiment: Experiment, fake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = np.linspace(1, 0, 4).tolist()
    monkeypatch.setattr(heun, "noise_levels", lambda *_: SimpleNamespace(tolist=lambda: levels))
    network = moved(build_teacher(experiment.network_of(experiment.teachers[name]))).eval()
    noise = torch.randn(4, *network.shape, device=CUDA)
    label = torch.zeros(4, dtype=torch.int64, device=CUDA) if network.classes else None
    sampler = Sampler(**HEUN, precision="float32", batch=4)
    assert sample(network, noise, label, sampler, CUDA).device == CUDA


def test_scores(fake: None) -> None:
    rows = np.zeros((20, 8), np.float32)
    found, shares = metrics.moments(rows, CUDA), metrics.resamples_of(20, 3, 0)
    assert found.sigma.device == CUDA
    resampled = metrics.moments(rows, CUDA, shares)
    assert metrics.frechet(resampled, found, metrics.square_root(found.sigma)).device == CUDA
