"""Training resumes bit for bit, keeps an average, and stops where something is wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DISTILLATION, GET, NETWORK, TRAINING, VIT
from safetensors.torch import load_file
from torch import Tensor, nn

from get.data.sets.digits import write_digits
from get.pairs.dataset import Batch
from get.runtime.device import autocast, tf32
from get.scoring.trained import train_extractor
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.student import checkpoint, training
from get.student.examples import Source
from get.student.losses.l1 import L1
from get.student.losses.l2 import L2
from get.student.training import Inputs, mean_image_error, train_student
from get.teacher.training import train_teacher
from get.training import loop
from get.training.interruption import Stopped
from get.training.journal import read_journal
from get.training.loop import Diverged, train
from get.training.optimisation import AdamW, Optimisation
from get.training.state import State

AdamWOfTorch = partial(torch.optim.AdamW, fused=True)


def student(
    manifest: Path,
    output: Path,
    stop: int,
    start: Path | None = None,
    seed: int = 0,
    accumulate: int = 1,
    **change: Any,
) -> dict[str, Tensor]:
    settings = output.with_name("settings.json")
    write_json(settings, {"model": GET, "training": DISTILLATION, "pairs": "abc"} | change)
    train_student(
        settings=settings,
        inputs=Inputs(manifest),
        seed=seed,
        stop=stop,
        device="cpu",
        start=start,
        output=output,
        accumulate=accumulate,
    )
    return load_file(output.with_suffix(".safetensors"))


def test_the_first_pairs_are_learned_from_alone(pairs: Path, tmp_path: Path) -> None:
    """120 pairs are the first shard: a manifest of it alone gives the same weights."""
    few = DISTILLATION | {"pairs": 120}
    seen = student(pairs, tmp_path / "5.pt", 5, training=few)
    copy = Path(shutil.copytree(pairs.parent, tmp_path / "pairs"), "manifest.json")
    lines = json.loads(copy.read_text())
    lines["shards"] = [line for line in lines["shards"] if line["file"] != "train-00001.h5"]
    first = copy.with_name("first.json")
    write_json(first, lines)
    assert_same(student(first, tmp_path / "5.pt", 5), seen)
    with pytest.raises(UserError, match=r"training.pairs is 121, but .*first.json lists 120 pairs"):
        student(first, tmp_path / "5.pt", 5, training=DISTILLATION | {"pairs": 121})


def test_implicit_gradients_train(pairs: Path, tmp_path: Path) -> None:
    """The loss is that of one state, and so is the plateau, which 60 steps on random pairs do not leave."""
    weights = student(pairs, tmp_path / "60.pt", 60, training=DISTILLATION | {"implicit": True})
    assert all(weights[name].any() for name in ("decoder.linear.weight", "injection.weight"))
    ((_, loss, _),) = json.loads((tmp_path / "60.json").read_text())["rows"]
    assert 0.4 < loss < 0.6
    assert checkpoint.load(tmp_path / "60.safetensors")[1]["plateau"]


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(a[key].equal(b[key]) for key in a)


def save_every_step(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop, "SAVE_EVERY", 0.0)
    patch.setattr(loop, "SAVE_COST", 1e9)


class Killed(BaseException):
    pass


Kill = Callable[[int, Callable[[], Any]], None]


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Kill:
    """Run a training that saves after every step, and kill it, as SIGKILL would, after so many steps."""

    def kill(steps: int, train: Callable[[], Any]) -> None:
        real, left = loop.take_step, [steps]

        def step(*args: Any) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            real(*args)

        with monkeypatch.context() as patch:
            save_every_step(patch)
            patch.setattr(loop, "take_step", step)
            with pytest.raises(Killed):
                train()

    return kill


@pytest.fixture(scope="module")
def wholes(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training of a GET and one of a ViT, which nobody killed."""
    folder = tmp_path_factory.mktemp("wholes")
    for model in (GET, VIT):
        student(pairs, folder / model["family"] / "70.pt", 70, model=model)
    return folder


@pytest.mark.parametrize("steps", [1, 13, 49, 50, 51, 69])
@pytest.mark.parametrize("model", [GET, VIT], ids=["get", "vit"])
@pytest.mark.slow
def test_killed_anywhere_and_resumed_equals_uninterrupted(
    steps: int, model: dict[str, Any], pairs: Path, wholes: Path, tmp_path: Path, kill: Kill
) -> None:
    whole = wholes / model["family"]
    kill(steps, lambda: student(pairs, tmp_path / "cut" / "70.pt", 70, model=model))
    assert torch.load(tmp_path / "cut" / "70.unfinished.pt", weights_only=True)["step"] == steps
    resumed = student(pairs, tmp_path / "cut" / "70.pt", 70, model=model)
    assert_same(resumed, load_file(whole / "70.safetensors"))
    assert (whole / "70.json").read_text() == (tmp_path / "cut" / "70.json").read_text()


def test_a_finished_training_whose_results_were_deleted_takes_no_step(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Snakemake does with those of a job that it did not see end, because it was killed."""
    whole = student(pairs, tmp_path / "70.pt", 70)
    for path in tmp_path.glob("70.[psj]*"):
        if path.name.count(".") == 1:
            path.unlink()
    monkeypatch.setattr(loop, "take_step", lambda *_: pytest.fail("trained again"))
    assert_same(student(pairs, tmp_path / "70.pt", 70), whole)
    assert {path.name for path in tmp_path.glob("70.*")} >= {"70.pt", "70.safetensors", "70.json"}


def test_a_signal_while_results_are_written_waits_for_them(pairs: Path, tmp_path: Path) -> None:
    def write(state: State) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        state.save(tmp_path / "x.pt")

    fit(lambda forward, step, rows: forward().sum(), 1, tmp_path / "x.pt", write=write)
    assert (tmp_path / "x.pt").exists()


def test_a_failure_while_results_are_written_keeps_the_state(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: the journal does not say "done", and the next attempt goes on from the last save."""
    whole = student(pairs, tmp_path / "whole" / "30.pt", 30)
    with monkeypatch.context() as patch:
        save_every_step(patch)
        patch.setattr(training, "write_weights", lambda *_: (_ for _ in ()).throw(UserError("no room")))
        with pytest.raises(UserError, match="no room"):
            student(pairs, tmp_path / "30.pt", 30)
    assert read_journal(tmp_path / "30.journal.jsonl")[-1].get("reason") != "done"
    monkeypatch.setattr(loop, "take_step", lambda *_: pytest.fail("a step was lost"))
    assert_same(student(pairs, tmp_path / "30.pt", 30), whole)


def test_a_file_system_that_fails_for_a_moment_costs_no_state(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: Kill
) -> None:
    kill(7, lambda: student(pairs, tmp_path / "20.pt", 20))

    def load(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", load)
        with pytest.raises(UserError, match=r"20\.unfinished\.pt cannot be read now .*Input/output error"):
            student(pairs, tmp_path / "20.pt", 20)
    assert torch.load(tmp_path / "20.unfinished.pt", weights_only=True)["step"] == 7


def test_a_flipped_bit_in_a_state_is_seen(pairs: Path, tmp_path: Path) -> None:
    student(pairs, tmp_path / "10.pt", 10)
    content = bytearray((tmp_path / "10.pt").read_bytes())
    where = bytes(torch.load(tmp_path / "10.pt", weights_only=True)["ema"][0].numpy().tobytes())
    content[content.find(where) + 3] ^= 1
    (tmp_path / "10.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"10\.pt is no training state or is damaged"):
        student(pairs, tmp_path / "20.pt", 20, tmp_path / "10.pt")


def test_a_milestone_continues_the_one_before(pairs: Path, tmp_path: Path) -> None:
    whole = student(pairs, tmp_path / "60.pt", 60)
    student(pairs, tmp_path / "25.pt", 25)
    assert_same(student(pairs, tmp_path / "b" / "60.pt", 60, start=tmp_path / "25.pt"), whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_saves_and_says_how_to_go_on(
    number: signal.Signals, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.take_step
    before = signal.signal(number, signal.SIG_DFL)  # under nohup, a closed terminal is no reason to stop

    def step(state: Any, *args: Any) -> None:
        real(state, *args)
        if state.step == 7:
            os.kill(os.getpid(), number)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(loop, "take_step", step)
            with pytest.raises(Stopped, match=r"stopped at step \d+ of 30, .*; the same command goes on"):
                student(pairs, tmp_path / "30.pt", 30)
    finally:
        signal.signal(number, before)
    assert not (tmp_path / "30.pt").exists()
    resumed = student(pairs, tmp_path / "30.pt", 30)
    assert_same(resumed, student(pairs, tmp_path / "whole.pt", 30))


def test_unfinished_work_of_other_settings_is_discarded(pairs: Path, tmp_path: Path, kill: Kill) -> None:
    kill(5, lambda: student(pairs, tmp_path / "20.pt", 20))
    other = {**DISTILLATION, "lr": 5e-3}
    changed = student(pairs, tmp_path / "20.pt", 20, training=other)
    assert_same(changed, student(pairs, tmp_path / "fresh.pt", 20, training=other))


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", None])
def test_damaged_unfinished_work_is_discarded(damage: bytes | None, pairs: Path, tmp_path: Path) -> None:
    student(pairs, tmp_path / "10.pt", 10)
    content = (tmp_path / "10.pt").read_bytes()
    (tmp_path / "20.unfinished.pt").write_bytes(content[: len(content) // 2] if damage is None else damage)
    assert_same(student(pairs, tmp_path / "20.pt", 20), student(pairs, tmp_path / "whole.pt", 20))


@pytest.mark.slow
def test_killed_inside_a_later_milestone(pairs: Path, tmp_path: Path, kill: Kill) -> None:
    whole = student(pairs, tmp_path / "whole" / "60.pt", 60)
    student(pairs, tmp_path / "25.pt", 25)
    kill(11, lambda: student(pairs, tmp_path / "60.pt", 60, start=tmp_path / "25.pt"))
    assert torch.load(tmp_path / "60.unfinished.pt", weights_only=True)["step"] == 36
    assert_same(student(pairs, tmp_path / "60.pt", 60, start=tmp_path / "25.pt"), whole)


def test_work_beyond_the_milestone_is_not_taken_for_it(pairs: Path, tmp_path: Path) -> None:
    student(pairs, tmp_path / "20.pt", 20)
    with pytest.raises(UserError, match="is beyond step 10"):
        student(pairs, tmp_path / "10.pt", 10, start=tmp_path / "20.pt")
    (tmp_path / "20.pt").rename(tmp_path / "10.unfinished.pt")
    assert_same(student(pairs, tmp_path / "10.pt", 10), student(pairs, tmp_path / "fresh.pt", 10))


def test_milestone_of_other_settings_is_refused(pairs: Path, tmp_path: Path) -> None:
    student(pairs, tmp_path / "10.pt", 10)
    with pytest.raises(UserError, match=r"10.pt has other settings"):
        student(pairs, tmp_path / "20.pt", 20, start=tmp_path / "10.pt", seed=1)
    (tmp_path / "10.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"10.pt is no training state or is damaged"):
        student(pairs, tmp_path / "20.pt", 20, start=tmp_path / "10.pt")
    torch.save({"step": 3}, tmp_path / "10.pt")
    with pytest.raises(UserError, match=r"10.pt is no training state or is damaged"):
        student(pairs, tmp_path / "20.pt", 20, start=tmp_path / "10.pt")
    (tmp_path / "10.pt").unlink()
    with pytest.raises(UserError, match=r"10.pt does not exist"):
        student(pairs, tmp_path / "20.pt", 20, start=tmp_path / "10.pt")


def test_pairs_of_other_settings_are_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made with other settings"):
        student(pairs, tmp_path / "10.pt", 10, pairs="other")


def test_teacher_resumes_too(digits: Path, tmp_path: Path, kill: Kill) -> None:
    def train(output: Path) -> dict[str, Tensor]:
        settings = {"conditional": True, "network": {**NETWORK, "dropout": 0.2}, "training": TRAINING}
        settings |= {"noise_levels": {"mean": -1.2, "std": 1.2}, "steps": 12}
        history = output.with_suffix(".json")
        train_teacher(store=digits, settings=settings, seed=0, device="cpu", output=output, history=history)
        return load_file(output)

    whole = train(tmp_path / "whole.safetensors")
    kill(5, lambda: train(tmp_path / "cut.safetensors"))
    assert_same(train(tmp_path / "cut.safetensors"), whole)


def test_checkpointing_trains_to_the_same_weights(pairs: Path, tmp_path: Path) -> None:
    plain = student(pairs, tmp_path / "a.pt", 5)
    saving = student(pairs, tmp_path / "b.pt", 5, training={**DISTILLATION, "checkpointing": True})
    for key in plain:
        torch.testing.assert_close(saving[key], plain[key])


def test_a_checkpoint_needs_no_config(pairs: Path, tmp_path: Path) -> None:
    weights = student(pairs, tmp_path / "10.pt", 10)
    model, header = checkpoint.load(tmp_path / "10.safetensors")
    assert_same(dict(model.state_dict()), weights)
    assert header["step"] == 10
    assert header["pairs"] == "abc"
    assert header["training"]["lr"] == DISTILLATION["lr"]
    assert header["teacher"] == "t"


def test_unfinished_work_on_other_images_is_discarded(tmp_path: Path, kill: Kill) -> None:
    def classifier(store: Path, name: str) -> dict[str, Tensor]:
        output = tmp_path / name
        train_extractor(
            name="classifier", store=store, model={"width": 2, "features": 4}, training=TRAINING, noise=0.1,
            steps=9, seed=0, device="cpu", output=output,
        )  # fmt: skip
        return load_file(output)

    stores = tmp_path / "a.h5", tmp_path / "b.h5"
    for store, fraction in zip(stores, (0.2, 0.3), strict=True):
        write_digits(store, test_fraction=fraction, seed=0)
    whole = [classifier(store, "whole.safetensors") for store in stores]
    kill(4, lambda: classifier(stores[0], "cut.safetensors"))
    unfinished = (tmp_path / "cut.unfinished.pt").read_bytes()
    assert_same(classifier(stores[0], "cut.safetensors"), whole[0])
    (tmp_path / "cut.unfinished.pt").write_bytes(unfinished)
    assert_same(classifier(stores[1], "cut.safetensors"), whole[1])


class Quadratic(nn.Module):
    """One weight w whose loss is (w - target)^2 / 2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([4.0]))

    def forward(self) -> Tensor:
        return self.w


def three(step: int) -> Tensor:
    return torch.arange(step, step + 3)


def fit(loss: Any, stop: int, output: Path, write: Any = None, **change: Any) -> State:
    """Train a model of one weight; returns its state, which is all that is written."""
    states: list[State] = []
    train(
        Quadratic(), loss, options(**change),
        examples=three, settings={"seed": 0}, stop=stop, output=output, write=write or states.append,
    )  # fmt: skip
    return states[0] if states else State(Quadratic(), options(), "")


def options(**change: Any) -> Optimisation:
    return Optimisation(**{**TRAINING, "warmup": 0, "clip": None, "ema_warmup": False, **change})


def test_optimiser_follows_adamw_with_warmup_and_ema(tmp_path: Path) -> None:
    w = torch.tensor([4.0], requires_grad=True)
    adamw = torch.optim.AdamW([w], lr=0.1, weight_decay=0.1)
    average = 4.0
    for step in range(10):
        adamw.param_groups[0]["lr"] = 0.1 * min(1, (step + 1) / 4)
        (w.square().sum() / 2).backward()
        adamw.step()
        adamw.zero_grad()
        average = 0.5 * average + 0.5 * w.item()
    loss = lambda forward, step, rows: forward().square().sum() / 2  # noqa: E731
    state = fit(loss, 10, tmp_path / "x.pt", lr=0.1, warmup=4, ema=0.5, weight_decay=0.1)
    assert state.model.state_dict()["w"].item() == pytest.approx(w.item(), rel=1e-6)
    assert state.ema_weights()["w"].item() == pytest.approx(average, rel=1e-5)


def test_ema_warmup() -> None:
    assert options(ema=0.999, ema_warmup=True).ema_at(0) == pytest.approx(0.1)
    assert options(ema=0.999, ema_warmup=True).ema_at(90) == pytest.approx(0.91)
    assert options(ema=0.999, ema_warmup=True).ema_at(100_000) == 0.999
    assert options(ema=0.999).ema_at(0) == 0.999


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_steps_are_those_of_the_class_of_torch_bit_for_bit(decay: float) -> None:
    ours, theirs = (nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    optimizers = AdamW(list(ours.parameters()), decay), AdamWOfTorch(theirs.parameters(), weight_decay=decay)
    for number in range(20):
        lr = 1e-2 * (number + 1)
        for model in (ours, theirs):
            used = model if number % 3 else model[0]  # in some steps, some parameters have no gradient
            used(torch.full((2, 5), float(number))).square().sum().backward()
        optimizers[0].step(lr)
        optimizers[1].param_groups[0]["lr"] = lr
        optimizers[1].step()
        optimizers[1].zero_grad()
        assert all(p.grad is None for p in ours.parameters())
        assert_same(ours.state_dict(), theirs.state_dict())
    for found, wanted in zip(optimizers[0].moments, optimizers[1].state.values(), strict=True):
        assert_same(found, wanted)


def test_a_state_that_the_class_of_torch_wrote_goes_on(pairs: Path, tmp_path: Path) -> None:
    """As older versions of this project did; its entries are there among others."""
    whole = student(pairs, tmp_path / "whole" / "20.pt", 20)
    student(pairs, tmp_path / "10.pt", 10)
    state = torch.load(tmp_path / "10.pt", weights_only=True)
    parameters = [nn.Parameter(values) for values in state["ema"]]
    optimizer = AdamWOfTorch(parameters)
    optimizer.load_state_dict({**optimizer.state_dict(), **state["optimizer"]})
    torch.save({**state, "optimizer": optimizer.state_dict()}, tmp_path / "10.pt")
    assert_same(student(pairs, tmp_path / "20.pt", 20, start=tmp_path / "10.pt"), whole)


@pytest.mark.slow
def test_training_does_not_import_the_compiler(pairs: Path, tmp_path: Path) -> None:
    """It takes seconds, in each of many jobs. TensorBoard, imported where it is installed, spares it too."""
    code = f"""
        import sys
        from pathlib import Path
        sys.modules["torch._dynamo"] = None
        from test_training import student
        student(Path({str(pairs)!r}), Path({str(tmp_path)!r}, "60.pt"), 60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_clipping_bounds_the_norm(tmp_path: Path) -> None:
    """Clipped to 1, the first moment of AdamW after one step is 0.1; the history has the norm before."""
    for clip, moment in ((1.0, 0.1), (None, 800.0)):
        loss = lambda forward, step, rows: 1000 * forward().square().sum()  # noqa: E731
        state = fit(loss, 1, tmp_path / f"{clip}.pt", clip=clip)
        (moments,) = state.optimizer.moments
        assert moments["exp_avg"].item() == pytest.approx(moment, rel=1e-4)
        assert state.window[1, 0].item() == pytest.approx(8000)


def test_the_average_takes_no_part_in_the_graph(tmp_path: Path) -> None:
    state = fit(lambda forward, step, rows: forward().sum(), 3, tmp_path / "x.pt")
    assert not any(average.requires_grad for average in state.ema)
    assert not state.window.requires_grad


@pytest.mark.parametrize("stop", [61, 90, 200])
def test_divergence_stops_and_keeps_the_last_good_state(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_every_step(monkeypatch)
    loss = lambda forward, step, rows: forward().sum() * (float("nan") if step == 60 else 1.0)  # noqa: E731
    message = r"step 61 the loss is nan .* gradient nan, .* \[60, 61, 62\].*x.unfinished.pt keeps"
    with pytest.raises(Diverged, match=message):
        fit(loss, stop, tmp_path / "x.pt")
    assert torch.load(tmp_path / "x.unfinished.pt", weights_only=True)["step"] == 60


def test_divergence_is_dated_though_it_is_noticed_later(tmp_path: Path) -> None:
    """Without a save in between, only the line of step 100 shows what happened in step 61."""
    loss = lambda forward, step, rows: forward().sum() * (float("inf") if step == 60 else 1.0)  # noqa: E731
    message = r"in step 61 the loss is -?inf .*the milestone before keeps the last good"
    with pytest.raises(Diverged, match=message):
        fit(loss, 100, tmp_path / "x")
    last = read_journal(tmp_path / "x.journal.jsonl")[-1]
    assert (last["reason"], last["at"], last["examples"]) == ("diverged", 61, [60, 61, 62])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "tolerance"),
    [({"compile": True}, 1e-5), ({"precision": "bfloat16"}, 2e-2)],
    ids=["compile", "bf16"],
)
def test_compile_and_bfloat16_train_to_about_the_same_weights(
    change: dict[str, Any],
    tolerance: float,
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That bfloat16 is slow for so narrow a student is said."""
    compiled = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda m: compiled.append(m) or real(m, backend="aot_eager"))
    torch._dynamo.reset()
    plain = student(pairs, tmp_path / "a.pt", 5)
    other = student(pairs, tmp_path / "b.pt", 5, training={**DISTILLATION, **change})
    assert len(compiled) == ("compile" in change)
    assert any(not plain[key].equal(other[key]) for key in plain) or "compile" in change
    assert ("bfloat16 is slower" in caplog.text) == ("precision" in change)
    for key in plain:
        torch.testing.assert_close(other[key], plain[key], atol=tolerance, rtol=tolerance)


def tf32_allowed() -> list[bool]:
    """Ask in the old and in the new way, which must not contradict each other."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    new = [part.fp32_precision == "tf32" for part in (matmul, cudnn.conv)]
    return [matmul.allow_tf32, cudnn.allow_tf32, *new]


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("outer", ["float32", "tf32"])
def test_precision_decides_about_tf32_and_leaves_nothing_behind(outer: str) -> None:
    before, cuda = tf32_allowed(), torch.device("cuda")
    with tf32(cuda, outer):
        assert tf32_allowed() == [outer == "tf32"] * 4
        for precision in ("tf32", "float32", "bfloat16"):
            with autocast(cuda, precision):
                assert tf32_allowed() == [precision == "tf32"] * 4
            assert tf32_allowed() == [outer == "tf32"] * 4
            with autocast(torch.device("cpu"), "tf32"):
                assert tf32_allowed() == [outer == "tf32"] * 4
        with pytest.raises(ZeroDivisionError), autocast(cuda, "tf32"):
            _ = 1 / 0
        assert tf32_allowed() == [outer == "tf32"] * 4
    assert tf32_allowed() == before
    message = "precision is 'float16'; it must be one of float32, tf32, bfloat16"
    with pytest.raises(UserError, match=message), autocast(cuda, "float16"):
        pass


def test_tf32_holds_for_the_backward_pass_and_autocast_for_the_forward_pass_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a step on a GPU; here only the switches are looked at, so that it runs on a CPU."""
    seen: dict[str, list[bool]] = {}

    def note(when: str) -> None:
        seen[when] = [all(tf32_allowed()), torch.is_autocast_enabled("cpu")]

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        note("forward")
        w = forward()
        w.register_hook(lambda _: note("backward"))
        return w.sum()

    on_gpu = lambda _, precision: tf32(torch.device("cuda"), precision)  # noqa: E731
    monkeypatch.setattr(loop, "tf32", on_gpu)
    before = tf32_allowed()
    for precision, wanted in (("tf32", True), ("bfloat16", False)):
        chosen = options(precision=precision)
        state = State(Quadratic(), chosen, "")
        loop.take_step(state, state.model, loss, chosen, seed=0)
        assert seen == {"forward": [wanted, not wanted], "backward": [wanted, False]}
        assert tf32_allowed() == before


def test_a_run_on_the_plateau_says_so(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student(pairs, tmp_path / "50.pt", 50, training={**DISTILLATION, "lr": 1e-9})
    assert checkpoint.load(tmp_path / "50.safetensors")[1]["plateau"] is True
    # the same run beside a mean image twice as bad has left the plateau
    monkeypatch.setattr(training, "mean_image_error", lambda *args: 2 * mean_image_error(*args))
    student(pairs, tmp_path / "100.pt", 50, training={**DISTILLATION, "lr": 1e-9})
    assert checkpoint.load(tmp_path / "100.safetensors")[1]["plateau"] is False


@pytest.mark.usefixtures("large")
def test_a_shard_that_is_cut_off_meanwhile_is_named(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Path(shutil.copytree(pairs.parent, tmp_path / "pairs"), "manifest.json")
    shard, real = manifest.with_name("train-00001.h5"), loop.take_step

    def step(state: Any, *args: Any) -> None:
        real(state, *args)
        if state.step == 5:
            os.truncate(shard, 10_000)

    monkeypatch.setattr(loop, "take_step", step)
    with pytest.raises(UserError, match=rf"{shard} .*cut off"):
        student(manifest, tmp_path / "50.pt", 50)


def test_mean_image_error() -> None:
    image = torch.tensor([0.0, 2.0, 10.0, 12.0])[:, None, None, None]
    four = Source(lambda _: Batch(image, image, torch.tensor([0, 0, 1, 1])), 4, (1, 1, 1), 2)
    assert mean_image_error(four, conditional=True, loss=L1()) == 1.0
    assert mean_image_error(four, conditional=False, loss=L1()) == 5.0
    assert mean_image_error(four, conditional=True, loss=L2()) == 1.0
    assert mean_image_error(four, conditional=False, loss=L2()) == 26.0


def test_under_nohup_a_closed_terminal_stops_nothing(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.take_step

    def step(state: Any, *args: Any) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        real(state, *args)

    monkeypatch.setattr(loop, "take_step", step)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        student(pairs, tmp_path / "3.pt", 3)
    finally:
        signal.signal(signal.SIGHUP, before)
