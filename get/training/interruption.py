"""What interrupts a training: signals, the clock of its job, and another process that trains the same."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch

from get.runtime.log import log
from get.runtime.processes import largest, process_count, rank
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.training.journal import Journal
from get.training.state import State

RETRY_FACTOR = 1.1  # an attempt without a step is repeated only where there is this much more time
POLL = 2.0  # seconds between looks whether another process still trains the same


class Stopped(UserError):
    """Training was asked to stop, or its job ends; its state is saved, and the same command goes on."""

    exit_code = 75  # EX_TEMPFAIL


class Reason(IntEnum):
    """Why a training stops early. Of the reasons of several processes, the largest counts."""

    NONE = 0
    ASKED = 1
    TIME = 2


EXPLANATIONS = {Reason.ASKED: "as it was asked to", Reason.TIME: "as the time of its job is up"}


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM, Ctrl-C or a closed terminal sets; under nohup, the last one does not."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield event
        return
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    previous: list[Any] = [signal.signal(number, lambda *_: event.set()) for number in signals]
    try:
        yield event
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def exclusive(path: Path, device: torch.device) -> Iterator[None]:
    """Hold the lock at `path` in the first process; while another training holds it, wait."""
    lock = Lock(path)
    announced = False
    while largest(rank() == 0 and not lock.acquire(), device=device)[0]:
        if not announced:
            log.info("%s trains this already; waiting until it ends", lock.holder())
            announced = True
        time.sleep(POLL)
    try:
        yield
    finally:
        if rank() == 0:
            lock.release()


@contextmanager
def attempt(state: State, stop: int, journal: Journal, until: float | None) -> Iterator[None]:
    """Begin the journal of an attempt, and end the process if its job's time passes without a step.

    Args:
        state: of the training; stop: the step after which it ends.
        journal: of the training; the first process alone writes it.
        until: the time (as of `time.time`) when the job ends; None if never.

    Raises:
        UserError: an attempt before did not come to its first step in as much time.
    """
    if rank() > 0:
        yield
        return
    limit = until - time.time() if until else math.inf
    if limit < RETRY_FACTOR * journal.fruitless_seconds(state.step):
        raise UserError(f"{_no_step(state.step, limit)}, or delete {journal.path}")
    device, threads = str(state.window.device), torch.get_num_threads()
    journal.begin(state.step, stop, device=device, processes=process_count(), threads=threads)
    arguments = (state, journal, state.step, limit)
    watchdog = threading.Timer(min(limit, threading.TIMEOUT_MAX), _end_without_step, arguments)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _end_without_step(state: State, journal: Journal, first: int, limit: float) -> None:
    """End the process if it has not taken a step since `first`: its job's time is all but over."""
    if state.step == first:
        journal.end(first, "no progress", limit=limit)
        log.error("error: %s", _no_step(first, limit))
        os._exit(UserError.exit_code)


def _no_step(step: int, limit: float) -> str:
    return (
        f"{limit:.0f} s, all the time that the job has, do not suffice to take a step after step {step}; "
        "raise its runtime in the config (jobs)"
    )
