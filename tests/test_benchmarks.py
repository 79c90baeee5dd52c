"""The benchmark of a GPU, on the CPU and without its longest parts; its checks of a device can fail."""

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from warm import python

from get.costs import start, units
from get.costs.measure import training_costs
from get.experiment import load
from get.experiment.settings import costs_of
from get.student.models import build

sys.path.append(str(ROOT / "benchmarks"))
import data_parallel
import device_checks
import gpu
import memory

ARGUMENTS = argparse.Namespace(device="cpu", minutes=9.0)
QUICK = [
    "checks-students", "checks-teacher", "checks-scores", "checks-resume", "checks-checkpointing", "training",
    "student-sampling",
]  # fmt: skip


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(gpu, "RESULTS", tmp_path)
    return tmp_path


def test_the_parts_on_a_cpu() -> None:
    written = ROOT / "benchmarks/results/gpu-cpu.json"
    command = [ROOT / "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--threads", "1", "--only", *QUICK]
    try:
        done = subprocess.run([python(), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        text = written.read_text()
    finally:
        written.unlink(missing_ok=True)
    assert str(ROOT) not in text  # nor any other place on this machine
    parts = json.loads(text)["parts"]
    assert list(parts) == [name for name in parts if name in QUICK]
    assert len(parts) == len(QUICK)
    assert all(part["rows"] and not part["failed"] and part["seconds"] > 0 for part in parts.values())
    assert {row["student"] for row in parts["training"]["rows"]} == {"get-16", "vit-16"}
    stopped, weights = parts["checks-resume"]["rows"]
    assert 50 < stopped["found"] < 400
    assert weights["found"] == 0
    assert not list(written.parent.glob("part-*"))


def test_a_part_that_fails_or_takes_long_stops_no_other(results: Path) -> None:
    slow = gpu.Part("slow", 1.0, ["-c", "import time; print('begun', flush=True); time.sleep(60)"])
    end = time.monotonic() + 100
    found = gpu.run(slow, ARGUMENTS, results, end)
    assert found["failed"]
    assert found["said"] == "begun\n\nit took more than 1 s"
    assert found["seconds"] < 30
    broken = gpu.run(gpu.Part("broken", 30.0, ["-c", "raise SystemExit('no GPU')"]), ARGUMENTS, results, end)
    assert (broken["failed"], broken["said"]) == (True, "no GPU\n")
    late = gpu.run(slow, ARGUMENTS, results, time.monotonic() - 1)
    assert late == {"failed": True, "said": "no time was left"}


@pytest.mark.parametrize("tiny", [True, False])
def test_the_parts_name_students_of_the_config(tiny: bool, tmp_path: Path) -> None:
    arguments = argparse.Namespace(device="cuda", tiny=tiny, threads=1, reference=None, edm=None)
    found = {part.name: part for part in gpu.parts(arguments, tmp_path)}
    assert set(QUICK) < set(found)
    costs = json.loads((tmp_path / "costs.json").read_text())["students"]
    command = found["training"].command
    first = command.index("--students") + 1
    assert set(command[first : first + 2]) <= set(costs)
    assert sum(part.seconds for part in found.values()) <= 540


@pytest.mark.parametrize("name", ["get-48", "vit-48"])
def test_the_memory_that_is_predicted_is_that_of_a_step(name: str) -> None:
    experiment = load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    settings = costs_of(experiment, name)
    predicted = memory.predict(settings["model"], settings["training"]["batch"], "float32")
    taken = training_costs(settings["model"], settings["training"], None, torch.device("cpu"))
    assert predicted["plain"] == pytest.approx(taken["plain"]["peak_memory_bytes"], rel=0.05)
    if name == "get-48":  # the backward pass holds an iteration's gradients beside its tensors
        assert 0.8 < predicted["O(1)"] / taken["checkpointed"]["peak_memory_bytes"] < 1


@pytest.mark.parametrize("name", ["get-48", "vit-48", "vit-32-adaln"])
def test_all_gradients_are_averaged_and_all_operations_counted(name: str) -> None:
    experiment = load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    model = costs_of(experiment, name)["model"]
    forward, backward = data_parallel.stages(model)
    assert sum(stage.bytes for stage in backward) == 4 * sum(p.numel() for p in build(model).parameters())
    assert sum(stage.work for stage in backward) == pytest.approx(2 * forward)


def test_gradients_are_averaged_while_others_are_computed() -> None:
    bucket, late, wait = data_parallel.FIRST, data_parallel.LATENCY * 2, data_parallel.FIRST
    first = [data_parallel.Stage(1.0, bucket), data_parallel.Stage(4.0, 0)]
    last = [data_parallel.Stage(4.0, 0), data_parallel.Stage(1.0, bucket)]
    for stages, found in ((first, 6.0), (last, 7 + late)):  # a bucket takes a second between two GPUs
        assert data_parallel.step(1.0, stages, 1, wait) == 6.0
        assert data_parallel.step(1.0, stages, 2, wait) == pytest.approx(found)
    # one bucket after the other, the later ones larger, and what is left at the end
    several = [data_parallel.Stage(1.0, bucket + data_parallel.BUCKET + bucket // 2)]
    assert data_parallel.step(1.0, several, 2, wait) == pytest.approx(2 + 1 + 25 + 0.5 + 3 * late)


class Wrong(device_checks.Given):
    """A device on which one weight is another."""

    def student(self, name: str, device: torch.device) -> device_checks.Student:
        student = super().student(name, device)
        if device is self.device:
            weight = student.get_parameter("decoder.linear.weight")
            weight.data[0, 0] += 0.5
        return student


CHECKED = argparse.Namespace(
    config=ROOT / "config.yaml", students=["get-16", "vit-16"], batch=4, steps=2, threads=1
)


def test_a_device_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that draws something else, as a GPU does, is not: both get the same z_0."""
    real, other = device_checks.sample_state, torch.device("cpu", 0)
    monkeypatch.setattr(device_checks, "sample_state", lambda *a: draws(real(*a), a[-1] == other))
    for kind, fails in ((device_checks.Given, False), (Wrong, True)):
        rows = list(device_checks.students(kind(CHECKED, other)))
        assert [row["fails"] for row in rows] == [fails] * 6


def draws(state: torch.Tensor | None, others: bool) -> torch.Tensor | None:
    return state if state is None or not others else state.flip(0)


def test_a_compiler_that_compiles_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)
    rows = list(device_checks.compiler(device_checks.Given(CHECKED, torch.device("cpu"))))
    assert [row["check"] for row in rows if row["fails"]] == [
        f"{name}: graphs beside one" for name in ("get-16", "vit-16", "teacher")
    ]


def test_a_plan_needs_no_snakemake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor other packages that a unit wants: it is left out then."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert importlib.reload(start).MODULES["light"] == ["get.paper.tables"]
    monkeypatch.undo()
    assert importlib.reload(start).MODULES["light"][0].startswith("snakemake")

    def missing(*_: object) -> units.Cost:
        raise ImportError("no torch_fidelity")

    monkeypatch.setitem(units.UNITS, "features", missing)
    unit = units.Unit("features", "score", "inception")
    experiment = load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    assert units.measured(unit, experiment, 1, 1) is None
