"""The one training loop: AdamW, linear warm-up, clipping, EMA, and a state that resumes bit for bit.

Classifier, teacher and student give it a model and a loss that is a function of the step. The step names
all randomness, so the state holds no generator: a run killed anywhere and started again ends with the
same weights as one that was left alone (on the same device with the same thread count).

Started by torchrun, several processes train one model: each computes the loss of its own part of the batch
(`runtime.own_part`), DDP averages the gradients, and all take the same step. The first alone writes files.
"""

import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from get.runtime.device import autocast
from get.runtime.limits import is_out_of_memory, stop_time
from get.runtime.log import Progress, log
from get.runtime.processes import average, largest, process_count, rank, wait_for_all
from get.runtime.seeding import fold_in
from get.storage.errors import UserError
from get.storage.hashing import fingerprint
from get.storage.lock import Lock
from get.storage.reading import Damaged
from get.training.journal import Journal
from get.training.optimisation import Optimisation
from get.training.state import RECORD_EVERY, State

SAVE_EVERY = 60.0  # seconds between saves of the state of an unfinished job, at least
SAVE_SHARE = 0.02  # and at most this share of the time goes into saving
MORE_TIME = 1.1  # an attempt that came to nothing is repeated where there is this much more time
POLL = 2.0  # seconds between looks whether another process still trains the same


# why a training stops early, for the journal and for people
REASONS = [("", ""), ("asked", "as it was asked to"), ("time", "as the time of its job is up")]

Loss = Callable[[Callable[..., Tensor], int], Tensor]
Examples = Callable[[int], Tensor]


class Stopped(UserError):
    """Training was asked to stop, or its job ends; its state is saved, and the same command goes on."""

    exit_code = 75  # EX_TEMPFAIL


class Diverged(UserError):
    """The loss or a gradient is no longer finite."""

    exit_code = 3


@dataclass(frozen=True)
class _Job:
    """What a training is asked for, but for the model: see `trained`."""

    loss: Loss
    examples: Examples
    options: Optimisation
    seed: int
    stop: int
    scratch: Path
    journal: Journal


@contextmanager
def trained(
    model: nn.Module,
    loss: Loss,
    options: Optimisation,
    *,
    examples: Examples,
    settings: dict[str, Any],
    stop: int,
    output: str | Path,
    start: str | Path | None = None,
) -> Iterator[State]:
    """Train `model` in place up to step `stop` and yield the state, for the block to write its results.

    While it works, the state is saved about every minute (and when a signal, or the end of its SLURM job,
    asks to stop) to a file beside `output`, from which a killed job goes on. A lock keeps others from
    training the same meanwhile: they wait, and go on from what this one has done. Where several processes
    train, a signal to one of them stops all at the next line of the history; the block runs in each, and
    should write in the first only.

    Args:
        model: freshly initialised, on its device.
        loss: loss(forward, step) -> scalar, where `forward` is the (compiled) model.
        options: see `Optimisation`.
        examples: indices of the examples of a step's batch, for the message where a loss is not finite.
        settings: all that defines the run (JSON-like, key 'seed' among it); a state of other settings is
            never continued.
        stop: the number of steps after which to end.
        output: the result, beside which unfinished work lives.
        start: state of the milestone before, or None to start from `model` as it is.

    Raises:
        Stopped: a signal or the end of the job asked for it; the state is saved.
        Diverged: loss or gradient is no longer finite; the last good state stays saved.
        UserError: `start` is damaged, of other settings, or of a later step; the processes cannot share the
            batch; memory does not suffice; or an attempt before came to nothing in as much time.
    """
    count, threads = process_count(), torch.get_num_threads()
    if options.batch % count:
        raise UserError(
            f"training.batch is {options.batch}, which {count} processes cannot share equally; change either"
        )
    state = State(model, options, fingerprint(settings))
    scratch = Path(output).with_suffix(".unfinished.pt")
    device = state.window.device
    with _alone(scratch.with_suffix(".lock"), device):
        _begin(state, start, scratch, stop)
        most, least = largest(state.step, -state.step, device=device)
        if most != -least:
            raise UserError(
                f"{scratch}: not all processes see it; results must be on a file system that they share"
            )
        size = sum(p.numel() for p in state.parameters)
        log.info("%s: steps %d to %d, %d parameters, on %s", output, state.step, stop, size, device)
        log.info("seed %s, %d processes with %d threads, %s", settings["seed"], count, threads, options)
        job = _Job(loss, examples, options, settings["seed"], stop, scratch, Journal(output))
        with _stop_requests() as stopping:
            _fit(state, job, stopping)
            yield state  # results are written to the end, whatever is asked for
        if rank() == 0:
            _keep(Path(output), scratch)
            job.journal.end(state.step, "done")


@contextmanager
def _alone(path: Path, device: torch.device) -> Iterator[None]:
    """Hold the lock at `path`; while another process holds it, wait."""
    lock, waited = Lock(path), False
    while largest(rank() == 0 and not lock.acquire(), device=device)[0]:
        if not waited:
            log.info("%s trains this already; waiting until it ends", lock.holder())
        waited = True
        time.sleep(POLL)
    try:
        yield
    finally:
        if rank() == 0:
            lock.release()


def _keep(output: Path, scratch: Path) -> None:
    """Let the finished state be the unfinished one too, by a link that takes no room.

    Should Snakemake have died, it does not know that this job is finished: it deletes the results and starts
    the job again, which then finds them here. Snakemake removes the link when it ends.
    """
    if output.suffix == ".pt":
        link = scratch.with_suffix(".link")
        with suppress(OSError):  # a file system without links
            link.unlink(missing_ok=True)
            os.link(output, link)
            os.replace(link, scratch)
            return
    scratch.unlink(missing_ok=True)


def _begin(state: State, start: str | Path | None, scratch: Path, stop: int) -> None:
    """Bring `state` to where its job goes on: its own unfinished work, else the milestone before, else 0."""
    if scratch.exists():
        try:
            if state.load(scratch, stop):
                log.info("resuming at step %d from %s", state.step, scratch)
                return
            log.info("%s is of other settings: starting afresh", scratch)
        except Damaged:
            log.info("%s is damaged: starting afresh", scratch)
        if rank() == 0:
            scratch.unlink(missing_ok=True)
    if start is not None and not state.load(Path(start), stop):
        raise UserError(f"{start} has other settings or is beyond step {stop}", start)


def _fit(state: State, job: _Job, stopping: threading.Event) -> None:
    until = stop_time() if rank() == 0 else None
    with _advised(state, job), _watched(state, job, until):
        model = state.model.train()
        forward = torch.compile(model) if job.options.compile else model
        if process_count() > 1:
            forward = _in_parallel(forward)
        progress = Progress("training", job.stop, state.step)
        next_save = time.monotonic() + SAVE_EVERY
        while state.step < job.stop:
            take_step(state, forward, job.loss, job.options, job.seed)
            if recorded := state.step % RECORD_EVERY == 0:
                _record(state, job)
            progress.advance(note=f"loss {state.history[-1][1]:.4f}" if state.history else "")
            if process_count() > 1 and not recorded:
                continue  # several processes agree only where the host has waited for the device anyway
            why = 1 if stopping.is_set() else 2 if until and time.time() > until else 0
            late = time.monotonic() > next_save
            why, due = largest(why, late, device=state.window.device)
            if why or due:
                next_save = _save(state, job)
            if why and state.step < job.stop:
                reason, words = REASONS[why]
                _end(state, job, reason)
                text = "stopped at step %d of %d, %s; the same command goes on from there"
                raise Stopped(text % (state.step, job.stop, words))
    progress.close()
    _settle(state, job)


@contextmanager
def _watched(state: State, job: _Job, until: float | None) -> Iterator[None]:
    """Begin the journal of the attempt, and end the process if its job passes without a step.

    Raises:
        UserError: an attempt before did not come to its first step in as much time.
    """
    if rank() > 0:
        yield
        return
    limit = until - time.time() if until else math.inf
    if limit < MORE_TIME * job.journal.wasted(state.step):
        raise UserError(f"{_came_to_nothing(state.step, limit)}, or delete {job.journal.path}")
    device, threads = str(state.window.device), torch.get_num_threads()
    job.journal.begin(state.step, job.stop, device=device, processes=process_count(), threads=threads)
    watch = threading.Timer(min(limit, threading.TIMEOUT_MAX), _give_up, (state, job, state.step, limit))
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


@contextmanager
def _advised(state: State, job: _Job) -> Iterator[None]:
    """Turn a lack of memory into a `UserError` that says what saves memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _end(state, job, "out of memory")
        what = (str(error).splitlines() or ["the machine has no more"])[0]
        raise UserError(f"out of memory in step {state.step + 1} ({what}); {job.options.savers}") from None


def _give_up(state: State, job: _Job, first: int, limit: float) -> None:
    """End the process if it has not taken a step since `first`: its job's time is all but over."""
    if state.step == first:
        job.journal.end(first, "no progress", limit=limit)
        log.error("error: %s", _came_to_nothing(first, limit))
        os._exit(UserError.exit_code)


def _came_to_nothing(step: int, limit: float) -> str:
    return (
        f"{limit:.0f} s, all the time that the job has, do not suffice to take a step after step {step}; "
        "raise its runtime in the config (jobs)"
    )


def _save(state: State, job: _Job) -> float:
    """Save the state of an unfinished job; returns the time of the next save."""
    _settle(state, job)
    begun = time.monotonic()
    if rank() == 0:
        state.save(job.scratch, recorded=False)
    wait_for_all()
    now = time.monotonic()
    return now + max(SAVE_EVERY, (now - begun) / SAVE_SHARE)


def _end(state: State, job: _Job, reason: str, **facts: Any) -> None:
    if rank() == 0:
        job.journal.end(state.step, reason, **facts)


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
    with autocast(state.window.device, options.precision):
        value = loss(forward, state.step)
    value.backward()
    norm = nn.utils.get_total_norm([p.grad for p in state.parameters if p.grad is not None])
    if options.clip is not None:
        nn.utils.clip_grads_with_norm_(state.parameters, options.clip, norm)
    state.optimizer.step(options.lr_at(state.step))
    with torch.no_grad():
        torch._foreach_lerp_(state.ema, state.parameters, 1 - options.ema_at(state.step))
        state.window[:, state.step % RECORD_EVERY] = torch.stack([value, norm])
    state.step += 1


def _record(state: State, job: _Job) -> None:
    """Append the means of the last steps to the history."""
    _settle(state, job)
    mean_loss, mean_norm = state.window.mean(dim=1).tolist()
    state.history.append((state.step, mean_loss, mean_norm))
    state.window.zero_()
    if rank() == 0:
        job.journal.record(state.step, mean_loss, mean_norm)


def _settle(state: State, job: _Job) -> None:
    """Make `state.window` the mean over the processes, which it stays when more steps are added.

    Raises:
        Diverged: loss or gradient norm has not been finite in a step since the last line of the history.
    """
    average(state.window)
    bad = (~state.window.isfinite().all(dim=0)).nonzero().flatten().tolist()
    if not bad:
        return
    loss, norm = state.window[:, bad[0]].tolist()
    step = (state.step - 1) // RECORD_EVERY * RECORD_EVERY + bad[0]  # from 0
    chosen = job.examples(step).tolist()
    kept = job.scratch if job.scratch.exists() else "the milestone before"
    _end(state, job, "diverged", at=step + 1, loss=str(loss), gradient_norm=str(norm), examples=chosen)
    raise Diverged(
        f"in step {step + 1} the loss is {loss} and the norm of its gradient {norm}, for the examples "
        f"{chosen[:8]}... (all {len(chosen)} in {job.journal.path}); lower training.lr, set training.clip, "
        f"or look at the examples; {kept} keeps the last good state"
    )


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM, Ctrl-C or a closed terminal sets; under nohup, the last one does not."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    before: list[Any] = [signal.signal(number, lambda *_: event.set()) for number in signals]
    try:
        yield event
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
