"""Costs: operations against hand counts, memory against what is known to be held, and their file."""

import functools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import GET, SHAPE, VIT

from get.costs import measure as costs
from get.costs.measure import measure_costs, operations, options_of, training_step
from get.experiment import load
from get.experiment.settings import costs_of
from get.student.models import build
from get.student.objective import Distillation

TRAINING = {"batch": 8, "clip": 1.0, "compile": False, "precision": "float32"}
EVALUATION = {"batch": 4, "iterations": [1, 5], "precision": "float32"}


def test_operations_by_hand() -> None:
    """A ViT block has 12 D^2 multiply-accumulates per token, and 2 N D in its attention."""
    D, N, depth = VIT["width"], 16, VIT["depth"]
    found = operations({**SHAPE, **VIT}, TRAINING)
    patches = 2 * N * 4 * D  # in and out
    assert found["macs"] == depth * (12 * D * D * N + 2 * N * N * D) + patches
    # the backward pass computes two products for each of the forward's, but none for the noise
    forward = 2 * found["macs"]
    assert 2.9 * forward < found["training_flops"] <= 3 * forward


def test_operations_grow_with_iterations() -> None:
    few, many = (operations({**SHAPE, **GET, "iterations": count}, TRAINING)["macs"] for count in (2, 6))
    D, N, blocks, expansion = GET["width"], 16, GET["equilibrium_depth"], GET["expansion"]
    block = (4 + 2 * expansion) * D * D * N + 2 * N * N * D
    assert many - few == 4 * blocks * block


@pytest.mark.parametrize(
    ("name", "passes", "evaluations", "networks"),
    [("kd", 3, 0, 1), ("reflow", 3, 0, 1), ("cd", 6, 2, 2), ("ct", 4, 0, 1), ("pd", 5, 2, 2)],
)
def test_operations_of_every_objective(
    name: str, passes: int, evaluations: int, networks: int, with_objectives: dict[str, Any]
) -> None:
    """Training takes three forward passes of the student, and those of target and teacher."""
    settings = costs_of(load(with_objectives), name)
    found = operations(settings["model"], settings["training"], settings.get("teacher"))
    assert found["training_flops"] == pytest.approx(passes * 2 * found["macs"], rel=0.01)
    assert (found["teacher_evaluations"], found["networks"]) == (evaluations, networks)


def test_what_a_teacher_is_asked_is_timed_and_in_memory(
    with_objectives: dict[str, Any], tmp_path: Path
) -> None:
    experiment, output, threads = load(with_objectives), tmp_path / "costs.json", torch.get_num_threads()
    students = {name: costs_of(experiment, name) for name in ("cd", "ct")}
    measure_costs(students=students, evaluation=EVALUATION, threads=1, device="cpu", output=output)
    torch.set_num_threads(threads)
    asking, alone = (json.loads(output.read_text())["students"][name] for name in ("cd", "ct"))
    assert set(asking["training"]) == set(alone["training"]) == {"plain"}
    more = [each["training"]["plain"]["peak_memory_bytes"] for each in (asking, alone)]
    assert more[0] - more[1] == pytest.approx(4 * asking["parameters"], rel=0.05)


def options(**change: Any) -> Distillation:
    return options_of({**TRAINING, **change})


def test_memory_holds_what_must_be_held() -> None:
    """Weights, average, two moments and gradients are five times the weights; activations come on top."""
    student = build({**SHAPE, **GET})
    weights = sum(p.nbytes for p in student.parameters())
    small, large = (training_step(student, options(batch=b))["peak_memory_bytes"] for b in (64, 128))
    assert small > 5 * weights
    # activations are proportional to the batch
    assert 1.8 < (large - 4 * weights) / (small - 4 * weights) < 2.05


def test_checkpointing_takes_less_memory() -> None:
    student = build({**SHAPE, **GET, "iterations": 12})
    plain, saving = (
        training_step(student, options(batch=128, checkpointing=on))["peak_memory_bytes"]
        for on in (False, True)
    )
    assert saving < 0.5 * plain


def test_costs_of_all_students(tmp_path: Path) -> None:
    students = {
        name: {"model": {**SHAPE, **model}, "training": TRAINING}
        for name, model in (("get", GET), ("vit", VIT))
    }
    output = tmp_path / "costs.json"
    threads = torch.get_num_threads()
    measure_costs(students=students, evaluation=EVALUATION, threads=1, device="cpu", output=output)
    torch.set_num_threads(threads)
    content = json.loads(output.read_text())
    assert content["device"] == "CPU, 1 thread"
    get, vit = content["students"]["get"], content["students"]["vit"]
    assert set(get["training"]) == {"plain", "checkpointed"}
    assert set(vit["training"]) == {"plain"}
    assert set(get["sampling"]) == {"1", "3", "5"}  # 3 is what it was trained with
    assert set(vit["sampling"]) == {"1"}
    for spread in (get["sampling"]["5"], get["training"]["plain"]["iterations_per_second"]):
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]


def test_what_students_share_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling by model, training by model and settings; so equal students have equal costs."""
    counts: Counter[str] = Counter()

    def counted(measure: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(measure)
        def call(*args: Any) -> Any:
            counts[measure.__name__] += 1
            return measure(*args)

        return call

    for measure in (costs.sampling_time, costs.training_step):
        monkeypatch.setattr(costs, measure.__name__, counted(measure))
    model, larger = {**SHAPE, **VIT}, {**SHAPE, **VIT, "width": 2 * VIT["width"]}
    students = {
        "one": {"model": model, "training": TRAINING},
        "same": {"model": dict(reversed(model.items())), "training": TRAINING},
        "batch": {"model": model, "training": {**TRAINING, "batch": 16}},
        "larger": {"model": larger, "training": TRAINING},
    }
    output = tmp_path / "costs.json"
    measure_costs(students=students, evaluation=EVALUATION, threads=1, device="cpu", output=output)
    assert counts == {"sampling_time": 2, "training_step": 3}
    found = json.loads(output.read_text())["students"]
    assert found["one"] == found["same"]
    assert found["one"]["sampling"] == found["batch"]["sampling"] != found["larger"]["sampling"]
    assert found["batch"]["training"] != found["one"]["training"] != found["larger"]["training"]
    assert found["larger"]["parameters"] > found["one"]["parameters"]


def test_too_little_memory_leaves_training_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("get.costs.measure.training_step", fail)
    students = {"vit": {"model": {**SHAPE, **VIT}, "training": TRAINING}}
    output = tmp_path / "costs.json"
    measure_costs(students=students, evaluation=EVALUATION, threads=1, device="cpu", output=output)
    found = json.loads(output.read_text())["students"]["vit"]
    assert found["training"] == {}
    assert found["sampling"]
