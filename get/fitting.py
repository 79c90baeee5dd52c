"""The one training loop: AdamW, linear warm-up, clipping, EMA, and a state that resumes bit for bit.

Classifier, teacher and student give it a model and a loss that is a function of the step. The step names
all randomness, so the state holds no generator: a run killed anywhere and started again ends with the
same weights as one that was left alone (on the same device with the same thread count).

Started by torchrun, several processes train one model: each computes the loss of its own part of the batch
(`runtime.own_part`), DDP averages the gradients, and all take the same step. The first alone writes files.
"""

import math
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from get.files import UserError, atomic, fingerprint, write_json
from get.runtime import Progress, autocast, average, largest, log, process_count, rank, wait_for_all
from get.seeding import fold_in

RECORD_EVERY = 50  # steps averaged into one line of the history; the only time the host waits for the device
SAVE_EVERY = 60.0  # seconds between saves of the state of an unfinished job, at least
SAVE_SHARE = 0.02  # and at most this share of the time goes into saving

STATE_KEYS = {"identity", "threads", "step", "model", "ema", "optimizer", "history", "window"}

Loss = Callable[[Callable[..., Tensor], int], Tensor]


class Stopped(UserError):
    """Training was asked to stop (SIGTERM, Ctrl-C); its state is saved and the same command goes on."""

    exit_code = 75  # EX_TEMPFAIL


class Diverged(UserError):
    """The loss or a gradient is no longer finite."""

    exit_code = 3


@dataclass(frozen=True)
class Optimisation:
    """How a model is trained; the keys of `training:` in the config.

    Args:
        batch: examples per step, over all processes.
        lr: learning rate of AdamW after `warmup` steps of linear increase; constant from then on.
        warmup: steps; 0 for none.
        weight_decay: of AdamW.
        clip: largest gradient norm; None for no clipping.
        ema: decay of the exponential moving average of the weights.
        ema_warmup: at step t the decay is at most (1 + t) / (10 + t).
        precision: 'float32', 'tf32' (on CUDA) or 'bfloat16' (autocast).
        compile: compile the model with torch.compile.
    """

    batch: int
    lr: float
    warmup: int
    weight_decay: float
    clip: float | None
    ema: float
    ema_warmup: bool
    precision: str
    compile: bool

    def lr_at(self, step: int) -> float:
        """Return the learning rate of step `step` (from 0)."""
        return self.lr * min(1.0, (step + 1) / self.warmup) if self.warmup else self.lr

    def ema_at(self, step: int) -> float:
        """Return the decay of the average after step `step` (from 0)."""
        return min(self.ema, (1 + step) / (10 + step)) if self.ema_warmup else self.ema


class State:
    """A training run after `step` steps: weights, average, optimiser, and the history of the loss.

    `history` is a list of (step, loss, gradient norm): means over the `RECORD_EVERY` steps that end there.
    """

    def __init__(self, model: nn.Module, options: Optimisation, identity: str) -> None:
        self.model, self.identity, self.step = model, identity, 0
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True
        )
        self.history: list[tuple[int, float, float]] = []
        self.window = torch.zeros(2, device=self.parameters[0].device)  # sums of loss and gradient norm

    def ema_weights(self) -> dict[str, Tensor]:
        """Return the model's state dict with each parameter replaced by its moving average."""
        names = [name for name, p in self.model.named_parameters() if p.requires_grad]
        averages = dict(zip(names, self.ema, strict=True))
        return {**self.model.state_dict(), **averages}

    def save(self, path: Path) -> None:
        """Write everything to `path`, atomically; readable with weights_only=True."""
        content = {
            "identity": self.identity,
            "threads": torch.get_num_threads(),
            "processes": process_count(),
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "window": self.window,
        }
        with atomic(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path, stop: int) -> bool:
        """Continue from `path`; returns False where it is of other settings or of a step beyond `stop`.

        Raises:
            UserError: the file is missing or damaged.
        """
        device = self.parameters[0].device
        try:
            content = torch.load(path, map_location=device, weights_only=True)
            if missing := STATE_KEYS - content.keys():
                raise KeyError(*missing)
            if content["identity"] != self.identity or content["step"] > stop:
                return False
            made = content.get("processes", 1), content["threads"]  # older states do not say: it was one
            if made != (process_count(), torch.get_num_threads()):
                log.info("%s: made by %d processes with %d threads: the last bits may differ", path, *made)
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            torch._foreach_copy_(self.ema, content["ema"])
            self.step, self.history = content["step"], [tuple(line) for line in content["history"]]
            self.window = content["window"]
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; make it with: snakemake {path}") from None
        except (
            RuntimeError,
            EOFError,
            OSError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            pickle.UnpicklingError,
        ) as error:
            raise UserError(f"{path} is no training state or is damaged: delete it ({error!r})") from None
        return True

    def write_history(self, path: str | Path) -> None:
        """Write the history as JSON: the names of the columns and the rows."""
        write_json(path, {"columns": ["step", "loss", "gradient norm"], "rows": self.history})


@contextmanager
def trained(
    model: nn.Module,
    loss: Loss,
    options: Optimisation,
    *,
    settings: dict[str, Any],
    stop: int,
    output: str | Path,
    start: str | Path | None = None,
) -> Iterator[State]:
    """Train `model` in place up to step `stop` and yield the state, for the block to write its results.

    While it works, the state is saved every minute (and when a signal asks to stop) to a file beside
    `output`, from which a killed job goes on. That file goes away when the block ends without error. Where
    several processes train, a signal to one of them stops all at the next line of the history; the block
    runs in each, and should write in the first only.

    Args:
        model: freshly initialised, on its device.
        loss: loss(forward, step) -> scalar, where `forward` is the (compiled) model.
        options: see `Optimisation`.
        settings: all that defines the run (JSON-like, key 'seed' among it); a state of other settings is
            never continued.
        stop: the number of steps after which to end.
        output: the result, beside which unfinished work lives.
        start: state of the milestone before, or None to start from `model` as it is.

    Raises:
        Stopped: a signal asked for it; the state is saved.
        Diverged: loss or gradient is no longer finite; the last good state stays saved.
        UserError: `start` is damaged, of other settings, or of a later step; or the processes cannot share
            the batch.
    """
    count, threads = process_count(), torch.get_num_threads()
    if options.batch % count:
        raise UserError(
            f"training.batch is {options.batch}, which {count} processes cannot share equally; change either"
        )
    state = State(model, options, fingerprint(settings))
    scratch = Path(output).with_suffix(".unfinished.pt")
    _begin(state, start, scratch, stop)
    device = state.window.device
    most, least = largest(state.step, -state.step, device=device)
    if most != -least:
        raise UserError(
            f"{scratch}: not all processes see it; results must be on a file system that they share"
        )
    size = sum(p.numel() for p in state.parameters)
    log.info("%s: steps %d to %d, %d parameters, on %s", output, state.step, stop, size, device)
    log.info("seed %s, %d processes with %d threads, %s", settings["seed"], count, threads, options)
    _fit(state, loss, options, settings["seed"], stop, scratch)
    yield state
    if rank() == 0:
        scratch.unlink(missing_ok=True)


def _begin(state: State, start: str | Path | None, scratch: Path, stop: int) -> None:
    """Bring `state` to where its job goes on: its own unfinished work, else the milestone before, else 0."""
    if scratch.exists():
        try:
            if state.load(scratch, stop):
                log.info("resuming at step %d from %s", state.step, scratch)
                return
            log.info("%s is of other settings: starting afresh", scratch)
        except UserError:
            log.info("%s is damaged: starting afresh", scratch)
        if rank() == 0:
            scratch.unlink(missing_ok=True)
    if start is not None and not state.load(Path(start), stop):
        raise UserError(
            f"{start} has other settings or is beyond step {stop}; delete it and run snakemake again"
        )


def _fit(state: State, loss: Loss, options: Optimisation, seed: int, stop: int, scratch: Path) -> None:
    with _stop_requests() as stopping:
        model = state.model.train()
        forward = torch.compile(model) if options.compile else model
        if process_count() > 1:
            forward = _in_parallel(forward)
        progress = Progress("training", stop, state.step)
        next_save = time.monotonic() + SAVE_EVERY
        while state.step < stop:
            take_step(state, forward, loss, options, seed)
            if recorded := state.step % RECORD_EVERY == 0:
                _record(state)
            progress.advance(note=f"loss {state.history[-1][1]:.4f}" if state.history else "")
            if process_count() > 1 and not recorded:
                continue  # several processes agree only where the host has waited for the device anyway
            late = time.monotonic() > next_save
            asked, due = largest(stopping.is_set(), late, device=state.window.device)
            if asked or due:
                _settle(state)
                begun = time.monotonic()
                if rank() == 0:
                    state.save(scratch)
                wait_for_all()
                now = time.monotonic()
                next_save = now + max(SAVE_EVERY, (now - begun) / SAVE_SHARE)
            if asked:
                raise Stopped(f"stopped at step {state.step} of {stop}; the same command goes on from there")
    progress.close()
    _settle(state)


def _in_parallel(model: Any) -> Any:
    """Return `model` with gradients averaged over the processes, which start from the first one's weights."""
    with warnings.catch_warnings():  # newer torch renames broadcast_buffers; torch 2.11 has no other name
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)


def take_step(
    state: State, forward: Callable[..., Tensor], loss: Loss, options: Optimisation, seed: int
) -> None:
    """Take one optimisation step, without waiting for the device."""
    # each process has masks of its own; those of the first are those of a process that is alone
    own = (rank(),) if rank() else ()
    torch.manual_seed(fold_in(seed, "dropout", state.step, *own))
    for group in state.optimizer.param_groups:
        group["lr"] = options.lr_at(state.step)
    with autocast(state.window.device, options.precision):
        value = loss(forward, state.step)
    value.backward()
    norm = nn.utils.get_total_norm([p.grad for p in state.parameters if p.grad is not None])
    if options.clip is not None:
        nn.utils.clip_grads_with_norm_(state.parameters, options.clip, norm)
    state.optimizer.step()
    state.optimizer.zero_grad()
    with torch.no_grad():
        torch._foreach_lerp_(state.ema, state.parameters, 1 - options.ema_at(state.step))
        state.window += torch.stack([value, norm])
    state.step += 1


def _record(state: State) -> None:
    """Append the means of the last steps to the history."""
    _settle(state)
    mean_loss, mean_norm = (state.window / RECORD_EVERY).tolist()
    state.history.append((state.step, mean_loss, mean_norm))
    state.window.zero_()


def _settle(state: State) -> None:
    """Make `state.window` the mean over the processes, which it stays when more steps are added.

    Raises:
        Diverged: loss or gradient norm has not been finite since the last line of the history.
    """
    average(state.window)
    loss, norm = state.window.tolist()
    if not math.isfinite(loss + norm):
        last = state.history[-1][0] if state.history else 0
        raise Diverged(
            f"between steps {last} and {state.step} the loss or the norm of its gradient stopped being "
            "finite; lower training.lr or set training.clip"
        )


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or Ctrl-C sets."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before: list[Any] = [signal.signal(number, lambda *_: event.set()) for number in signals]
    try:
        yield event
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
