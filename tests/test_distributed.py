"""Several processes train as one does: torchrun starts two on the CPU. And batches that are prepared ahead.

Run by torchrun, this file is what each of the processes does: all of `RUNS`, one after the other.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import DISTILLATION, GET, NETWORK, ROOT, SHAPE, TRAINING, VIT
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from get.networks.denoiser import build
from get.pairs.dataset import Batch, Pairs
from get.runtime import device
from get.runtime.device import pick_device
from get.runtime.prefetch import Prefetcher
from get.runtime.processes import process_count, process_group, rank
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student import objectives, training
from get.student.objective import Task
from get.student.objectives.pairs import PairRegression
from get.student.training import Inputs, train_student
from get.teacher.training import train_teacher
from get.training import loop

STEPS = 25  # two epochs of 200 pairs in batches of 16
CUT = 10  # where half of a run ends
UNET = {"family": "unet", "network": NETWORK, "conditioning": "embedding"}


# ------------------------------------------------------------------------------ what is run, by one or by two


@contextmanager
def in_float64() -> Iterator[None]:
    """Train in float64, for Adam turns the rounding of a gradient that is zero into steps that are not."""

    def on(batch: Batch, device: torch.device) -> Batch:
        return Batch(batch.noise.double(), batch.image.double(), batch.label)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "on", on)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


class Places:
    """Where the pairs, the images, the work of one process (in pytest) and that of two (by torchrun) are."""

    def __init__(self, manifest: Path, digits: Path, folder: Path) -> None:
        self.manifest, self.digits, self.one, self.two = manifest, digits, folder / "one", folder / "two"
        self.weights = folder / "teacher.safetensors"
        self.mine = self.two if "RANK" in os.environ else self.one

    @in_float64()
    def student(self, name: str, stop: int = STEPS, start: Path | None = None, **change: Any) -> None:
        """Train a student; `change` goes into its training, or is its 'model', 'prefetch' or 'accumulate'."""
        settings = self.mine / f"{name}.{rank()}.settings.json"
        model, prefetch = change.pop("model", GET), change.pop("prefetch", 0)
        accumulate = change.pop("accumulate", 1)
        training = {**(TRAINING if model is UNET else DISTILLATION), **change}
        needs = dict.fromkeys(objectives.needs(training), "abc")
        write_json(settings, {"model": model, "training": training, **needs})
        train_student(
            settings=settings, inputs=Inputs(self.manifest, self.digits, self.weights), seed=0, stop=stop,
            device="cpu", start=start, output=self.mine / name / f"{stop}.pt", prefetch=prefetch,
            accumulate=accumulate,
        )  # fmt: skip

    @in_float64()
    def write_teacher(self) -> None:
        """Write the teacher that students ask or start from, in float64."""
        torch.manual_seed(3)
        model = build({**NETWORK, **SHAPE})
        for parameter in model.parameters():  # its last layers start next to zero
            parameter.data += 0.02 * torch.randn_like(parameter)
        write_weights(self.weights, "teacher", model.state_dict(), {"model": {**NETWORK, **SHAPE}})

    @in_float64()
    def teacher(self, name: str) -> None:
        """Train a teacher with parameters that no loss depends on."""
        settings = {"conditional": True, "network": {**NETWORK, "augment_dim": 4}, "training": TRAINING}
        settings |= {"noise_levels": {"mean": -1.2, "std": 1.2}, "steps": 5}
        output = self.mine / name / "5.safetensors"
        train_teacher(
            store=self.digits, settings=settings, seed=0, device="cpu", output=output,
            history=output.with_suffix(".json"),
        )  # fmt: skip


def examples(places: Places) -> None:
    """Write down the positions of the pairs that are read, z_0, and what dropout would draw."""
    seen: dict[str, list[Tensor]] = {"positions": [], "states": [], "dropout": []}

    def batch(pairs: Pairs, positions: Tensor) -> Any:
        seen["positions"].append(positions)
        return read(pairs, positions)

    def normal(*args: Any) -> Tensor:
        seen["states"].append(draw(*args))
        seen["dropout"].append(torch.rand(4))
        return seen["states"][-1]

    with pytest.MonkeyPatch.context() as patch:
        read, draw = Pairs.batch, Task.normal
        patch.setattr(Pairs, "batch", batch)
        patch.setattr(Task, "normal", normal)
        patch.setattr(training, "mean_image_error", lambda *_: 1.0)
        places.student("plain")
    torch.save(seen, places.mine / f"seen.{rank()}.pt")


def apart(places: Places, name: str, stop: int) -> None:
    """Give each process a folder of its own."""
    mine, places.mine = places.mine, places.mine / f"rank{rank()}"
    try:
        places.student(name, stop)
    finally:
        places.mine = mine


def asked_to_stop(places: Places) -> None:
    """Stop because the last process was asked to: the others were not."""
    real = loop.take_step

    def step(state: Any, *args: Any) -> None:
        real(state, *args)
        if state.step == CUT - 3 and rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "take_step", step)
        patch.setattr(loop, "RECORD_EVERY", CUT)
        apart(places, "stopped", STEPS)


def diverging(places: Places) -> None:
    """Diverge in the last process."""
    real, bad = PairRegression.__call__, float("nan") if rank() == 1 else 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PairRegression, "__call__", lambda *args: bad * real(*args))
        places.student("diverged", 3)


def compiled(places: Places) -> None:
    """Train a compiled model."""
    real = torch.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda model: real(model, backend="eager"))
        places.student("compiled", 3, compile=True)


def in_parts(places: Places) -> None:
    """Compute half a batch in two parts, or as one process all of it at once; count what is put off."""
    entered = []

    def count(forward: DistributedDataParallel) -> Any:
        entered.append(forward)
        return real(forward)

    with pytest.MonkeyPatch.context() as patch:
        real = DistributedDataParallel.no_sync
        patch.setattr(DistributedDataParallel, "no_sync", count)
        places.student("parts", 5, accumulate=process_count(), prefetch=1)
    write_json(places.mine / f"put-off.{rank()}.json", len(entered))


OBJECTIVES: dict[str, dict[str, Any]] = {
    "reflow": {"objective": "reflow", "distil_after": 3},
    "consistency": {"objective": "consistency", "target_ema": 0.5, "levels": 6},
    "training": {"objective": "consistency", "distillation": False, "schedule": "staged", "stage": 3},
    "progressive": {"objective": "progressive", "init": "teacher", "phase": 1},
}


def objective(name: str) -> Callable[[Places], None]:
    """Return a run of a U-Net that is trained with an objective, over a change of its schedule."""
    return lambda places: places.student(name, 5, model=UNET, **OBJECTIVES[name])


RUNS: dict[str, Callable[[Places], None]] = {
    "plain": examples,
    "half": lambda places: places.student("half", CUT),
    "continued": lambda places: places.student("continued", start=places.one / "half" / f"{CUT}.pt"),
    "stopped": asked_to_stop,
    "vit": lambda places: places.student("vit", 5, model=VIT),
    "checkpointing": lambda places: places.student("checkpointing", 5, checkpointing=True, prefetch=2),
    "compiled": compiled,
    "parts": in_parts,
    **{name: objective(name) for name in OBJECTIVES},
    "teacher": lambda places: places.teacher("teacher"),
    "diverged": diverging,
    "odd": lambda places: places.student("odd", batch=15),
    "written": lambda places: apart(places, "written", 3),
    "unfinished": lambda places: apart(places, "unfinished", STEPS),
}


def main(manifest: str, digits: str, folder: str) -> None:
    """Do all runs and write down with which error, if any, each has ended in this process."""
    torch.set_num_threads(1)
    places, ends = Places(Path(manifest), Path(digits), Path(folder)), {}
    with process_group("cpu"):
        for name, run in RUNS.items():
            ends[name] = [0, ""]
            try:
                run(places)
            except UserError as error:
                ends[name] = [error.exit_code, str(error)]
        write_json(places.two / f"ends.{rank()}.json", ends)


# ------------------------------------------------------------------------------ what must come out


@contextmanager
def torchrun(log: Path, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start two processes, which do not outlive the block."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *map(str, arguments)], stdout=file, stderr=file, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def places(pairs: Path, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Do the runs that end well by one process, and all runs by two."""
    places = Places(pairs, digits, tmp_path_factory.mktemp("distributed"))
    places.write_teacher()
    for name in ("plain", "half", "vit", "checkpointing", "compiled", "parts", *OBJECTIVES, "teacher"):
        RUNS[name](places)
    unfinished = places.two / "rank0" / "unfinished" / f"{STEPS}.unfinished.pt"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes((places.one / "half" / f"{CUT}.pt").read_bytes())
    log = places.one.parent / "log"
    with torchrun(log, __file__, pairs, digits, places.one.parent) as process:
        assert process.wait(200) == 0, log.read_text()
    return places


def ends(places: Places, name: str) -> list[Any]:
    """Return how the run ended in both processes: exit code and message."""
    return [json.loads((places.two / f"ends.{number}.json").read_text())[name] for number in (0, 1)]


def assert_close(one: Path, two: Path) -> None:
    """Compare weights tensor by tensor."""
    a, b = load_file(one), load_file(two)
    assert a.keys() == b.keys()
    for key in a:
        assert (a[key] - b[key]).norm() <= 1e-9 * a[key].norm(), key


@pytest.mark.parametrize(
    "run",
    [
        "plain/25.safetensors",
        "vit/5.safetensors",
        "checkpointing/5.safetensors",
        "compiled/3.safetensors",
        "parts/5.safetensors",
        *(f"{name}/5.safetensors" for name in OBJECTIVES),
        "teacher/5.safetensors",
    ],
)
def test_two_processes_train_to_the_weights_of_one(run: str, places: Places) -> None:
    assert_close(places.one / run, places.two / run)


def test_gradients_of_parts_are_averaged_once(places: Places) -> None:
    """Over the processes, with those of the last part of each of five steps."""
    put_off = [json.loads((places.two / f"put-off.{number}.json").read_text()) for number in (0, 1)]
    assert put_off == [5, 5]


@pytest.mark.parametrize("name", ["consistency", "progressive"])
def test_every_process_has_the_same_target(name: str, places: Places) -> None:
    """It is part of the state, and has moved."""
    one, two = (
        torch.load(folder / name / "5.pt", weights_only=True)["frozen"] for folder in (places.one, places.two)
    )
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)
    key = "model.map_layer0.weight"
    assert not one[key].equal(load_file(places.weights)[key])


def test_a_state_goes_on_whatever_the_number_of_processes(places: Places) -> None:
    places.student("continued", start=places.two / "half" / f"{CUT}.pt")  # by one, what two have begun
    for folder in (places.one, places.two):
        assert_close(places.one / "plain/25.safetensors", folder / "continued/25.safetensors")


def test_processes_share_the_batch_of_one(places: Places) -> None:
    """Each reads its half of the batch, and of z_0; so every pair of an epoch is read once."""
    one = torch.load(places.one / "seen.0.pt")
    halves = [torch.load(places.two / f"seen.{number}.pt") for number in (0, 1)]
    for what in ("positions", "states"):
        assert len(one[what]) == STEPS
        for whole, *parts in zip(one[what], *(half[what] for half in halves), strict=True):
            assert [len(part) for part in parts] == [8, 8]
            assert torch.cat(parts).equal(whole)
    for mask, first, second in zip(one["dropout"], *(half["dropout"] for half in halves), strict=True):
        assert first.equal(mask)
        assert not second.equal(mask)
    epochs = torch.cat(one["positions"]).view(2, 200)
    assert epochs.sort().values.equal(torch.arange(200).expand(2, 200))


def test_history_is_that_of_the_global_batch(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two were stopped after one line of the history, and the window of a state is the mean of both."""
    monkeypatch.setattr(loop, "RECORD_EVERY", CUT)
    places.student("short", CUT)
    one = torch.load(places.one / "short" / f"{CUT}.pt", weights_only=True)
    two = torch.load(places.two / "rank0/stopped" / f"{STEPS}.unfinished.pt", weights_only=True)
    assert two["history"][0] == pytest.approx(one["history"][0], rel=1e-5)
    windows = [
        torch.load(f / "half" / f"{CUT}.pt", weights_only=True)["window"] for f in (places.one, places.two)
    ]
    torch.testing.assert_close(*windows)


def test_a_request_to_one_process_stops_all(places: Places) -> None:
    message = f"stopped at step {CUT} of {STEPS}, as it was asked to; the same command goes on from there"
    assert ends(places, "stopped") == [[75, message]] * 2
    unfinished = places.two / "rank0/stopped" / f"{STEPS}.unfinished.pt"
    content = torch.load(unfinished, weights_only=True)
    assert (content["step"], content["processes"]) == (CUT, 2)
    (places.one / "stopped").mkdir()
    (places.one / "stopped" / unfinished.name).write_bytes(unfinished.read_bytes())
    places.student("stopped")
    assert_close(places.one / "plain/25.safetensors", places.one / "stopped/25.safetensors")


def test_the_first_process_alone_writes(places: Places) -> None:
    def written(number: int, name: str) -> set[str]:
        files = (places.two / f"rank{number}" / name).glob("[!.]*")
        return {path.name for path in files}

    assert ends(places, "written") == [[0, ""]] * 2
    assert written(0, "written") == {"3.pt", "3.unfinished.pt", "3.safetensors", "3.json", "3.journal.jsonl"}
    stopped = {f"{STEPS}.unfinished.pt", f"{STEPS}.journal.jsonl"}
    assert written(0, "stopped") == stopped
    assert written(1, "written") == written(1, "stopped") == set()


def test_what_diverges_in_one_process_stops_all(places: Places) -> None:
    assert [code for code, _ in ends(places, "diverged")] == [3, 3]
    assert not (places.two / "diverged/3.pt").exists()


def test_a_batch_that_cannot_be_shared_is_refused(places: Places) -> None:
    message = "training.batch is 15, which 2 processes cannot share equally; change either"
    assert ends(places, "odd") == [[2, message]] * 2


def test_processes_that_see_different_files_are_refused(places: Places) -> None:
    for code, message in ends(places, "unfinished"):
        assert code == 2
        assert message.endswith("not all processes see it; results must be on a file system that they share")


def test_torchrun_that_is_told_to_stop_saves(pairs: Path, tmp_path: Path) -> None:
    settings, output, log = tmp_path / "settings.json", tmp_path / "1000000.pt", tmp_path / "log"
    write_json(settings, {"model": GET, "training": DISTILLATION, "pairs": "abc"})
    command = ["-m", "get", "train-student", "--settings", settings, "--manifest", pairs, "--seed", "0"]
    command += ["--steps", "1000000", "--device", "cpu", "--threads", "3", "--output", output]
    with torchrun(log, *command) as process:
        while "2 processes with 1 threads" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        time.sleep(1.0)
        process.terminate()
        assert process.wait(60) == 1
    text = log.read_text()
    assert text.count("steps 0 to 1000000") == 1
    assert "get: stopped at step" in text
    content = torch.load(tmp_path / "1000000.unfinished.pt", weights_only=True)
    assert (content["processes"], content["step"] % loop.RECORD_EVERY) == (2, 0)


def test_a_gpu_is_claimed_by_one_process_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=f"uuid-{n}"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(device, "_allow_tf32", lambda allowed: None)
    script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(); sys.stdin.read()"
    device.claimed_gpu.cache_clear()
    other = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "get-gpu-uuid-0.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert other.stdout is not None
        other.stdout.readline()
        assert str(pick_device("auto")) == str(pick_device("cuda")) == "cuda:1"  # and it stays that one
        device.claimed_gpu.cache_clear()  # as another process, for which none is left
        with pytest.raises(
            UserError, match="other jobs use all 2 visible GPUs; run at most as many at a time"
        ):
            pick_device("cuda")
        assert str(pick_device("cuda:0")) == "cuda:0"
        other.kill()
        other.wait()
        assert str(pick_device("cuda")) == "cuda:0"  # a claim ends with its process
    finally:
        other.kill()
        device.claimed_gpu.cache_clear()


# ------------------------------------------------------------------------------ batches prepared ahead


def test_ahead_makes_the_same_in_the_same_order() -> None:
    made, allowed = [], threading.Semaphore(0)
    main = threading.main_thread()

    def make(step: int) -> int:
        made.append((step, threading.current_thread()))
        allowed.release()
        return step * step

    with Prefetcher(make, 2) as ahead:
        for step in range(7, 12):
            assert ahead(step) == step * step
            for _ in range(3 if step == 7 else 1):  # it works without being asked, and no further
                assert allowed.acquire(timeout=10)
            assert not allowed.acquire(timeout=0.01)
    thread = made[0][1]
    assert thread is not main
    assert not thread.is_alive()
    assert made == [(step, thread) for step in range(7, 14)]
    with Prefetcher(make, 0) as ahead:
        assert ahead(3) == 9
    assert made[-1] == (3, main)


def test_prefetch_changes_no_bit_and_discards_no_state(places: Places) -> None:
    places.student("ahead", CUT, prefetch=3)
    places.student("ahead", start=places.one / "ahead" / f"{CUT}.pt", prefetch=1)
    plain, ahead = (load_file(places.one / name / f"{STEPS}.safetensors") for name in ("plain", "ahead"))
    assert all(ahead[key].equal(plain[key]) for key in plain)


def test_an_error_while_preparing_ends_the_training(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Pairs.batch, []

    def batch(pairs: Pairs, positions: Tensor) -> Any:
        calls.append(threading.current_thread())
        if len(calls) == 4:
            raise OSError("the disk is gone")
        return real(pairs, positions)

    monkeypatch.setattr(Pairs, "batch", batch)
    with pytest.raises(OSError, match="the disk is gone"):
        places.student("broken", prefetch=2)
    assert calls[0] is not threading.main_thread()
    assert not calls[0].is_alive()


if __name__ == "__main__":
    main(*sys.argv[1:])
