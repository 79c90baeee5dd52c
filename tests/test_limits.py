"""What ends a training early, or keeps it waiting: the clock, memory, another process; and its journal."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DISTILLATION, NETWORK, SHAPE, VIT
from safetensors.torch import load_file
from test_training import Killed, fit, save_every_step, student
from torch import Tensor

from get.networks.denoiser import build as build_teacher
from get.runtime import device, processes
from get.runtime.limits import stop_time, within_memory
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.student.objective import Distillation
from get.student.objectives import pairs as pair_regression
from get.teacher import generation
from get.teacher.samplers import Sampler
from get.training import loop
from get.training.interruption import Stopped
from get.training.journal import read_journal


def run_here(code: str, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **env}
    return subprocess.run(command, env=env, capture_output=True, text=True)


# --------------------------------------------------------------------------------------------- the clock


def squeue(folder: Path, answer: str, code: int = 0) -> str:
    """A squeue that answers so; returns the PATH on which it is found."""
    program = folder / "squeue"
    program.write_text(
        f'#!/bin/sh\n[ "$*" = "--noheader --jobs 7 --format %e" ] || exit 9\necho "{answer}"\nexit {code}\n'
    )
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_the_time_to_stop_is_some_time_before_the_end_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stop_time() is None
    now = time.time()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for left, margin in ((36_000, 300), (600, 120), (60, 12)):
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(now + left))
        assert stop_time() == pytest.approx(now + left - margin, abs=1)
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now + 36_000))
    monkeypatch.setenv("PATH", squeue(tmp_path, end))
    assert stop_time() == pytest.approx(now + 35_700, abs=2)


@pytest.mark.parametrize(("answer", "code"), [("NONE", 0), ("", 0), ("", 1)])
def test_without_an_answer_there_is_no_limit(
    answer: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", squeue(tmp_path, answer, code))
    assert stop_time() is None
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert stop_time() is None


def test_training_stops_by_the_clock_and_goes_on(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = student(pairs, tmp_path / "whole" / "60.pt", 60)
    for attempt in (1, 2, 3):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "stop_time", lambda: time.time() + 0.1)
            patch.setattr(loop, "take_step", slow(loop.take_step, until=20 * attempt - 10))
            message = r"stopped at step \d+ of 60, as the time of its job is up; the same command goes on"
            with pytest.raises(Stopped, match=message) as stopped:
                student(pairs, tmp_path / "cut" / "60.pt", 60)
        assert stopped.value.exit_code == 75
    cut = student(pairs, tmp_path / "cut" / "60.pt", 60)
    assert all(cut[name].equal(whole[name]) for name in whole)
    reasons = [
        line["reason"] for line in read_journal(tmp_path / "cut" / "60.journal.jsonl") if "reason" in line
    ]
    assert reasons == ["time", "time", "time", "done"]


def slow(real: Any, until: int) -> Any:
    """A step that takes no time before step `until`, and then all of it."""

    def step(state: Any, *args: Any) -> None:
        real(state, *args)
        if state.step >= until:
            time.sleep(0.2)

    return step


def test_a_stop_asked_for_in_the_last_step_finishes(tmp_path: Path) -> None:
    loss = lambda forward, step, rows: os.kill(os.getpid(), signal.SIGTERM) or forward().sum()  # noqa: E731
    assert fit(loss, 1, tmp_path / "x.pt").step == 1


NO_STEP = """
    import sys, time
    from pathlib import Path
    from test_training import fit
    from get.training import loop
    from get.storage.errors import UserError
    from get.runtime.log import logging_to

    path, seconds, duration = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    loop.stop_time = lambda: time.time() + seconds

    def loss(forward, step, rows):
        time.sleep(duration)
        return forward().sum()

    with logging_to():
        try:
            fit(loss, 3, path, write=lambda state: path.write_text("done"))
        except UserError as error:
            sys.exit(f"error: {error}")
"""


@pytest.mark.slow
def test_an_attempt_without_progress_ends_the_training(tmp_path: Path) -> None:
    """The first step takes longer than the job has: it is not tried again before there is more time."""
    message = "all the time that the job has, do not suffice to take a step after step 0; raise its runtime"
    first = run_here(NO_STEP, tmp_path / "x.pt", "1", "600")
    assert (first.returncode, message in first.stderr) == (2, True), first.stderr
    begun = time.monotonic()
    second = run_here(NO_STEP, tmp_path / "x.pt", "1", "600")
    assert (second.returncode, message in second.stderr) == (1, True), second.stderr
    assert time.monotonic() - begun < 300
    assert len(read_journal(tmp_path / "x.journal.jsonl")) == 2  # start and end of the first alone
    more = run_here(NO_STEP, tmp_path / "x.pt", "100", "0")
    assert more.returncode == 0, more.stderr
    assert (tmp_path / "x.pt").read_text() == "done"


# ---------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_batches_halve_until_they_fit(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def compute(rows: slice) -> Tensor:
        tried.append(rows.stop - rows.start)
        if tried[-1] > 7:
            raise error
        return torch.arange(rows.start, rows.stop)

    with caplog.at_level("INFO", logger="get"):
        parts = list(within_memory(compute, 20, 16, "evaluation.batch"))
    assert torch.cat(parts).equal(torch.arange(20))
    assert tried == [16, 8, 4, 4, 4, 4, 4]
    assert (
        "out of memory: going on with batches of 8 (last bits may differ); lower evaluation.batch"
        in caplog.text
    )


def test_the_teacher_in_smaller_batches_writes_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    teacher = build_teacher({**NETWORK, **SHAPE}).eval().requires_grad_(False)
    sampler = Sampler(num_steps=3, sigma_min=0.01, sigma_max=5.0, rho=7.0, precision="float32", batch=12)
    _, whole, _ = generation.generate(teacher, 0, sampler, 0, torch.device("cpu"))
    real, sizes = generation.sample, []

    def sample(model: Any, noise: Tensor, *rest: Any) -> Tensor:
        sizes.append(len(noise))
        if len(noise) > 5:
            raise MemoryError
        return real(model, noise, *rest)

    monkeypatch.setattr(generation, "sample", sample)
    _, parts, _ = generation.generate(teacher, 0, sampler, 0, torch.device("cpu"))
    assert sizes == [12, 6, 3, 3, 3, 3]
    torch.testing.assert_close(parts.float(), whole.float(), atol=2e-3, rtol=2e-3)
    assert not torch.allclose(whole[0], whole[1], atol=0.1)


def test_where_nothing_fits_the_setting_is_named() -> None:
    def compute(rows: slice) -> Tensor:
        raise MemoryError

    with pytest.raises(UserError, match=r"out of memory with evaluation\.batch 1"):
        list(within_memory(compute, 20, 16, "evaluation.batch"))


def test_other_errors_are_no_lack_of_memory() -> None:
    def compute(rows: slice) -> Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        list(within_memory(compute, 20, 16, "evaluation.batch"))


SHORT = """
    import resource, sys, torch
    from conftest import DISTILLATION, GET, SHAPE
    from get.storage.errors import UserError
    from get.runtime.log import logging_to
    from get.runtime.seeding import classes_of
    from get.student.models import build
    from get.sampling.one_step import Sampling, sample

    torch.set_num_threads(1)
    model = build({**GET, **SHAPE, "width": 64}).eval()
    draw = lambda batch: torch.cat([found.images for found in sample(
        model, range(4096), classes_of(range(4096), 10), seed=0, options=Sampling(batch),
        device=torch.device("cpu"))])
    wanted = draw(64)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, -1))
    with logging_to():
        torch.testing.assert_close(draw(4096), wanted)
"""


@pytest.mark.slow
def test_sampling_goes_on_where_memory_is_really_short() -> None:
    done = run_here(SHORT)
    assert done.returncode == 0, done.stderr
    assert "out of memory: going on with batches of 2048" in done.stderr


def test_training_without_memory_names_the_settings(pairs: Path, tmp_path: Path) -> None:
    """An allocation that no machine can serve fails in the middle of a step."""

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        return forward().sum() + (torch.empty(2**50).sum() if step == 2 else 0)

    message = r"out of memory in step 3 \(.*allocate memory.*\); give the job more GPUs"
    with pytest.raises(UserError, match=message):
        fit(loss, 5, tmp_path / "x.pt")
    plain, saving, parts = (
        Distillation.read(DISTILLATION | change, "training").memory_advice
        for change in ({}, {"checkpointing": True}, {"accumulate": 4})
    )
    assert plain.startswith(
        "set training.accumulate: 2 (the same batch in 2 parts), or training.checkpointing: true"
    )
    assert "checkpointing" not in saving
    assert parts.startswith("set training.accumulate: 8")


def test_a_get_without_room_goes_on_in_o1_memory(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The gradient of the first part of the batch, of which the second had no room, is forgotten."""
    calls, real = [], pair_regression.decoded_states

    def states(*args: Any, **modes: bool) -> Tensor:
        calls.append(modes["checkpointing"])
        if len(calls) == 4:  # in the second part of step 2
            raise torch.OutOfMemoryError("no room")
        return real(*args, **modes)

    def weights(name: str, **change: bool) -> dict[str, Tensor]:
        training = DISTILLATION | change
        return student(pairs, tmp_path / name / "3.pt", 3, training=training, accumulate=2)

    saving = weights("saving", checkpointing=True)
    monkeypatch.setattr(pair_regression, "decoded_states", states)
    with caplog.at_level("INFO", logger="get"):
        found = weights("plain")
    assert calls == [False] * 4 + [True] * 4
    assert "out of memory: going on with training.checkpointing: true" in caplog.text
    for name, weight in saving.items():
        torch.testing.assert_close(found[name], weight)
    # Where there is no fixed point, or no more to save
    for change in ({"model": VIT}, {"training": DISTILLATION | {"checkpointing": True}}):
        calls[:] = [True] * 3
        monkeypatch.setattr(pair_regression, "decoded_states", lambda *_, **__: states(checkpointing=True))
        with pytest.raises(UserError, match="out of memory in step 1"):
            student(pairs, tmp_path / "none" / "3.pt", 3, **change)


# --------------------------------------------------------------------------------------- another process


@pytest.mark.parametrize("finishes", [True, False], ids=["finished", "killed"])
def test_a_second_trainer_waits_and_goes_on_from_what_the_first_has_done(
    finishes: bool,
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = student(pairs, tmp_path / "whole" / "30.pt", 30)
    output, steps = tmp_path / "two" / "30.pt", []
    first = Lock(output.with_name("30.unfinished.lock"))
    assert first.acquire()

    def sleep(_: float) -> None:
        """While the second one sleeps, the first one finishes, or saves its state and is killed."""
        first.release()
        with monkeypatch.context() as patch:
            if finishes:
                student(pairs, output, 30)
                return
            save_every_step(patch)
            patch.setattr(loop, "take_step", killed_after(real, 12))
            with pytest.raises(Killed):
                student(pairs, output, 30)

    real = loop.take_step
    counting = lambda state, *args: steps.append(state.step) or real(state, *args)  # noqa: E731
    monkeypatch.setattr(loop.time, "sleep", sleep)
    monkeypatch.setattr(loop, "take_step", real)
    with caplog.at_level("INFO", logger="get"), monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", counting)
        weights = student(pairs, output, 30)
    assert all(weights[name].equal(whole[name]) for name in whole)
    assert f"process {os.getpid()} on " in caplog.text
    assert "trains this already; waiting until it ends" in caplog.text
    assert not list(output.parent.glob("*.lock"))
    assert load_file(output.with_suffix(".safetensors")).keys() == whole.keys()
    assert steps == list(range(0 if finishes else 12, 30))  # of the first if it finished, else of the second


def killed_after(real: Any, count: int) -> Any:
    def step(state: Any, *args: Any) -> None:
        if state.step == count:
            raise Killed
        real(state, *args)

    return step


# --------------------------------------------------------------------------------------------- the journal


def test_the_journal_tells_each_attempt_and_forgets_lost_steps(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved once after step 101 and killed at step 170: what was recorded at step 150 is done again."""
    monkeypatch.setattr(loop, "SAVE_COST", 1e-9)  # so that there is no second save
    real = loop.take_step

    def step(state: Any, *args: Any) -> None:
        if state.step == 100:
            loop._save(runs[0])
        if state.step == 170:
            raise Killed
        real(state, *args)

    runs: list[Any] = []
    take_steps = loop._fit
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_fit", lambda run, requested: runs.append(run) or take_steps(run, requested))
        patch.setattr(loop, "take_step", step)
        with pytest.raises(Killed):
            student(pairs, tmp_path / "200.pt", 200)
    path = tmp_path / "200.journal.jsonl"
    assert [line["step"] for line in read_journal(path)] == [0, 50, 100, 150]
    path.write_text(path.read_text() + '{"step": 1')  # cut off by the kill
    student(pairs, tmp_path / "200.pt", 200)
    lines = read_journal(path)
    assert [line["step"] for line in lines] == [0, 50, 100, 100, 150, 200, 200]
    assert [line.get("event") for line in lines] == ["start", None, None, "start", None, None, "end"]
    assert lines[0].items() >= {"stop": 200, "device": "cpu", "processes": 1, "threads": 1}.items()
    rows = json.loads((tmp_path / "200.json").read_text())["rows"]
    recorded = [line for line in lines if "loss" in line]
    assert [[line["step"], line["loss"], line["gradient_norm"]] for line in recorded] == rows
    assert all(line["rate"] > 0 for line in recorded)


def test_a_job_that_was_promised_gpus_fails_where_there_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="a GPU was asked for"):
        device.pick_device("cuda")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(UserError, match="4 processes on this machine want a GPU each, but torch sees 2 GPUs"),
        processes.process_group("cuda"),
    ):
        pass
