"""The one training loop: AdamW, linear warm-up, clipping, EMA, and a state that resumes bit for bit.

Classifier, teacher and student give it a model and a loss that is a function of the step. The step names
all randomness, so the state holds no generator: a run killed anywhere and started again ends with the
same weights as one that was left alone (on the same device with the same thread count; on a GPU up to what
its kernels leave open).

Started by torchrun, several processes train one model: each computes the loss of its own rows of the batch
(`processes.own_rows`), DDP averages the gradients, and all take the same step. The first alone writes files.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from get.runtime.device import autocast, tf32
from get.runtime.limits import is_out_of_memory, stop_time
from get.runtime.log import Progress, log
from get.runtime.processes import average, largest, own_rows, process_count, rank, wait_for_all
from get.runtime.seeding import fold_in, seed_global
from get.storage.errors import UserError
from get.storage.hashing import fingerprint
from get.storage.reading import Damaged, outdated
from get.training.interruption import EXPLANATIONS, Reason, Stopped, attempt, exclusive, stop_requests
from get.training.journal import Journal
from get.training.optimisation import Optimisation
from get.training.state import RECORD_EVERY, State
from get.training.trackers import NONE, Entries
from get.training.tracking import Tracking

SAVE_EVERY = 60.0  # seconds between saves of the state of an unfinished training, at least
SAVE_COST = 0.02  # and at most this fraction of the time goes into saving

Loss = Callable[[Callable[..., Tensor], int, slice], Tensor]
Examples = Callable[[int], Tensor]
Picture = tuple[NDArray[np.uint8], int]


class Diverged(UserError):
    """The loss or a gradient is no longer finite."""

    exit_code = 3


@dataclass(frozen=True)
class _Run:
    """A training: what `train` was given, its state, and where its unfinished work and journal are."""

    state: State
    loss: Loss
    examples: Examples
    options: Optimisation
    seed: int
    stop: int
    scratch: Path
    journal: Journal
    prepare: Callable[[State], None]
    rate: Callable[[int], float]
    relieve: Callable[[], bool]
    show: Callable[[State], Picture] | None


def train(
    model: nn.Module,
    loss: Loss,
    options: Optimisation,
    *,
    examples: Examples,
    settings: dict[str, Any],
    stop: int,
    output: str | Path,
    write: Callable[[State], None],
    start: str | Path | None = None,
    frozen: nn.Module | None = None,
    prepare: Callable[[State], None] = lambda state: None,
    rate: Callable[[int], float] = lambda step: 1.0,
    relieve: Callable[[], bool] = lambda: False,
    trackers: Entries = NONE,
    show: Callable[[State], Picture] | None = None,
) -> None:
    """Train `model` in place up to step `stop`, and let `write` write the results.

    While it works, the state is saved about every minute (and when a signal, or the end of its SLURM job,
    asks to stop) to a file beside `output`, from which a killed job goes on. A lock keeps others from
    training the same meanwhile: they wait, and go on from what this one has done. Where several processes
    train, a signal to one of them stops all at the next line of the history.

    Args:
        model: freshly initialised, on its device.
        loss: loss(forward, step, rows) -> scalar: the mean over these rows of the batch, where `forward` is
            the (compiled) model.
        options: see `Optimisation`.
        examples: indices of the examples of a step's batch, for the message where a loss is not finite.
        settings: all that defines the run (JSON-like, key 'seed' among it); a state of other settings is
            never continued.
        stop: the number of steps after which to end.
        output: the result, beside which unfinished work lives.
        write: writes the results, given the state; called in the first process, and no signal cuts it short.
        start: state of the milestone before, or None to start from `model` as it is.
        frozen: networks beside the model that are saved with it, and that `prepare` may change.
        prepare: called with the state before every step.
        rate: factor of the learning rate in each step (from 0), beside that of the warm-up.
        relieve: makes the loss take less memory and returns True; False if it cannot. Called where memory
            does not suffice for a step, which is then taken once more.
        trackers: where it is watched (see `training.trackers`); show: draws samples of the result for them,
            images uint8 (N, C, H, W), and how many stand in a row.

    Raises:
        Stopped: a signal or the end of the job asked for it; the state is saved.
        Diverged: loss or gradient is no longer finite; the last good state stays saved.
        UserError: `start` is damaged, of other settings, or of a later step; the processes cannot share the
            batch; memory does not suffice; or an attempt before took no step in as much time.
    """
    _require_equal_parts(options)
    state = State(model, options, fingerprint(settings), frozen)
    scratch = Path(output).with_suffix(".unfinished.pt")
    run = _Run(
        state,
        loss,
        examples,
        options,
        settings["seed"],
        stop,
        scratch,
        Journal(output, Tracking(trackers, output, settings)),
        prepare,
        rate,
        relieve,
        show,
    )
    with exclusive(scratch.with_suffix(".lock"), state.window.device):
        # Resume
        _restore(run, start)
        size, device = sum(p.numel() for p in state.parameters), state.window.device
        log.info("%s: steps %d to %d, %d parameters, on %s", output, state.step, stop, size, device)
        count, threads = process_count(), torch.get_num_threads()
        log.info("seed %s, %d processes with %d threads, %s", run.seed, count, threads, options)
        with stop_requests() as requested, closing(run.journal):
            # Train
            _fit(run, requested)
            # Write the results, to the end whatever is asked for meanwhile
            if rank() == 0:
                write(state)
                _keep_finished(run, Path(output))
                run.journal.end(state.step, "done")
                if run.show is not None:
                    run.journal.show(state.step, partial(run.show, state))


def _require_equal_parts(options: Optimisation) -> None:
    parts, processes = options.accumulate, process_count()
    if options.batch % (parts * processes) == 0:
        return
    shared, key = f"{processes} processes", "either"
    if parts > 1:
        shared, key = f"{shared} in {parts} parts each", "it or training.accumulate"
    raise UserError(f"training.batch is {options.batch}, which {shared} cannot share equally; change {key}")


def _restore(run: _Run, start: str | Path | None) -> None:
    """Bring the state to where training goes on: its unfinished work, else the milestone before, else 0."""
    state, scratch = run.state, run.scratch
    if not _resumed(run):
        if rank() == 0:
            scratch.unlink(missing_ok=True)
        if start is not None and not state.load(Path(start), run.stop):
            raise outdated(start, f"has other settings or is beyond step {run.stop}")
    highest, lowest = largest(state.step, -state.step, device=state.window.device)
    if highest != -lowest:
        raise UserError(
            f"{scratch}: not all processes see it; results must be on a file system that they share"
        )


def _resumed(run: _Run) -> bool:
    """Load the unfinished work of the same training; returns False if there is none."""
    if not run.scratch.exists():
        return False
    try:
        if run.state.load(run.scratch, run.stop):
            log.info("resuming at step %d from %s", run.state.step, run.scratch)
            return True
        log.info("%s is of other settings: starting afresh", run.scratch)
    except Damaged:
        log.info("%s is damaged: starting afresh", run.scratch)
    return False


def _fit(run: _Run, requested: threading.Event) -> None:
    """Take the steps up to `run.stop`, with a line of the history and a save now and then."""
    state = run.state
    until = stop_time() if rank() == 0 else None
    with _memory_advice(run), attempt(state, run.stop, run.journal, until):
        forward = _forward(state.model.train(), run.options.compile)
        progress = Progress("training", run.stop, state.step)
        next_save = time.monotonic() + SAVE_EVERY
        while state.step < run.stop:
            run.prepare(state)
            _step(run, forward)
            # A line of the history
            recorded = state.step % RECORD_EVERY == 0
            if recorded:
                _record(run)
            progress.advance(note=f"loss {state.history[-1][1]:.4f}" if state.history else "")
            if process_count() > 1 and not recorded:
                continue  # several processes agree only where the host has waited for the device anyway
            # Save, and stop where that is asked for
            reason, save_due = _next_action(run, requested, until, next_save)
            if reason or save_due:
                next_save = _save(run)
            if reason and state.step < run.stop:
                _end(run, reason.name.lower())
                raise Stopped(
                    f"stopped at step {state.step} of {run.stop}, {EXPLANATIONS[reason]}; "
                    "the same command goes on from there"
                )
    progress.close()
    _average_window(run)


def _step(run: _Run, forward: Callable[..., Tensor]) -> None:
    """Take a step; where there is no room for it, once more when `run.relieve` has made some."""
    state = run.state
    rate = run.rate(state.step)
    try:
        return take_step(state, forward, run.loss, run.options, run.seed, rate)
    except (MemoryError, RuntimeError) as error:
        # of several processes the others would wait for this one's gradients
        if process_count() > 1 or not is_out_of_memory(error) or not run.relieve():
            raise
    # here the failed attempt has let go of its memory; only its passes need any, so it has left but gradients
    state.model.zero_grad()
    torch.cuda.empty_cache()
    take_step(state, forward, run.loss, run.options, run.seed, rate)


def _next_action(
    run: _Run, requested: threading.Event, until: float | None, next_save: float
) -> tuple[Reason, bool]:
    """Return why to stop now, if at all, and whether it is time to save: the same in all processes."""
    reason = Reason.NONE
    if until and time.time() > until:
        reason = Reason.TIME
    if requested.is_set():
        reason = Reason.ASKED
    late = time.monotonic() > next_save
    agreed_reason, agreed_save = largest(reason, late, device=run.state.window.device)
    return Reason(agreed_reason), bool(agreed_save)


def _forward(model: nn.Module, compiled: bool) -> Callable[..., Tensor]:
    """Return what computes the model: compiled if asked for, gradients averaged over several processes."""
    forward: Any = torch.compile(model) if compiled else model
    if process_count() == 1:
        return forward
    with warnings.catch_warnings():  # newer torch renames broadcast_buffers; torch 2.11 has no other name
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(forward, broadcast_buffers=False, gradient_as_bucket_view=True)


def take_step(
    state: State,
    forward: Callable[..., Tensor],
    loss: Loss,
    options: Optimisation,
    seed: int,
    rate: float = 1.0,
) -> None:
    """Take one optimisation step, its learning rate times `rate`, without waiting for the device."""
    # Each process has dropout masks of its own; the first has those of a process that is alone
    own = (rank(),) if rank() else ()
    device = state.window.device
    seed_global(fold_in(seed, "dropout", state.step, *own), device)
    # Forward and backward: TF32 holds for both, autocast chooses types in the forward pass alone
    values = []
    with tf32(device, options.precision):
        parts = own_rows(options.batch, options.accumulate)
        for rows in parts:
            with _gradients_later(forward, rows != parts[-1]):
                with autocast(device, options.precision):
                    value = loss(forward, state.step, rows) / len(parts)
                value.backward()
            values.append(value.detach())
    # Gradient clipping
    norm = nn.utils.get_total_norm([p.grad for p in state.parameters if p.grad is not None])
    if options.clip is not None:
        nn.utils.clip_grads_with_norm_(state.parameters, options.clip, norm)
    # AdamW
    state.optimizer.step(rate * options.lr_at(state.step))
    with torch.no_grad():
        # Exponential moving average of the weights
        torch._foreach_lerp_(state.ema, state.parameters, 1 - options.ema_at(state.step))
        state.window[:, state.step % RECORD_EVERY] = torch.stack([sum(values[1:], values[0]), norm])
    state.step += 1


def _gradients_later(forward: Callable[..., Tensor], later: bool) -> AbstractContextManager[None]:
    """In the block, gradients are not averaged over the processes yet, if that comes `later`."""
    if later and isinstance(forward, DistributedDataParallel):
        return forward.no_sync()
    return nullcontext()


def _record(run: _Run) -> None:
    """Append the means of the last steps to the history."""
    _average_window(run)
    state = run.state
    loss, gradient_norm = state.window.mean(dim=1).tolist()
    state.history.append((state.step, loss, gradient_norm))
    state.window.zero_()
    if rank() == 0:
        run.journal.record(state.step, loss, gradient_norm)


def _save(run: _Run) -> float:
    """Save the state of an unfinished training; returns the time of the next save."""
    _average_window(run)
    begun = time.monotonic()
    if rank() == 0:
        run.state.save(run.scratch, recorded=False)
    wait_for_all()
    now = time.monotonic()
    return now + max(SAVE_EVERY, (now - begun) / SAVE_COST)


def _average_window(run: _Run) -> None:
    """Make `state.window` the mean over the processes, which it stays when more steps are added.

    Raises:
        Diverged: loss or gradient norm has not been finite in a step since the last line of the history.
    """
    state = run.state
    average(state.window)
    bad = (~state.window.isfinite().all(dim=0)).nonzero().flatten().tolist()
    if not bad:
        return
    loss, norm = state.window[:, bad[0]].tolist()
    step = (state.step - 1) // RECORD_EVERY * RECORD_EVERY + bad[0]  # from 0
    chosen = run.examples(step).tolist()
    kept = run.scratch if run.scratch.exists() else "the milestone before"
    _end(run, "diverged", at=step + 1, loss=str(loss), gradient_norm=str(norm), examples=chosen)
    raise Diverged(
        f"in step {step + 1} the loss is {loss} and the norm of its gradient {norm}, for the examples "
        f"{chosen[:8]}... (all {len(chosen)} in {run.journal.path}); lower training.lr, set training.clip, "
        f"or look at the examples; {kept} keeps the last good state"
    )


@contextmanager
def _memory_advice(run: _Run) -> Iterator[None]:
    """Turn a lack of memory into a `UserError` that says what saves memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _end(run, "out of memory")
        what = (str(error).splitlines() or ["the machine has no more"])[0]
        advice = run.options.memory_advice
        raise UserError(f"out of memory in step {run.state.step + 1} ({what}); {advice}") from None


def _end(run: _Run, reason: str, **facts: Any) -> None:
    if rank() == 0:
        run.journal.end(run.state.step, reason, **facts)


def _keep_finished(run: _Run, output: Path) -> None:
    """Let the finished state be the unfinished one too, of a student by a link that takes no room.

    Snakemake does not always take the results: if it died, it does not know that this job is finished; if a
    clock is ahead, inputs seem to be newer. It deletes the results and starts the job again, which goes on
    from here and has only to write them. Snakemake removes the state when it has made everything.
    """
    if output.suffix == ".pt":
        link = run.scratch.with_suffix(".link")
        with suppress(OSError):  # a file system without links
            link.unlink(missing_ok=True)
            os.link(output, link)
            os.replace(link, run.scratch)
            return
    try:
        run.state.save(run.scratch, recorded=False)
    except (UserError, OSError) as error:  # the results are whole
        log.info("%s was not kept: %s", run.scratch, error)
