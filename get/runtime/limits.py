"""Limits of a job: the time that SLURM gives it, and memory."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

import torch

from get.runtime.log import log
from get.storage.errors import UserError

MAX_MARGIN = 300.0  # seconds before the end of a job in which a training saves its state, at most
MAX_MARGIN_FRACTION = 0.2  # and at most this fraction of the time that it has
T = TypeVar("T")


def stop_time() -> float | None:
    """Return when (as of `time.time`) a job of SLURM should save its state, shortly before it is ended.

    None where there is no such limit, also in a shell that has the variables of a job that has ended.
    """
    job, now = os.environ.get("SLURM_JOB_ID"), time.time()
    if job is None:
        return None
    try:
        end = float(os.environ.get("SLURM_JOB_END_TIME") or _end_of_job(job))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.info("no time limit: SLURM does not say when job %s ends (%s)", job, error)
        return None
    if not end > now:
        log.info("no time limit: job %s of SLURM has ended, its SLURM_JOB_ID is left over", job)
        return None
    margin = min(MAX_MARGIN, MAX_MARGIN_FRACTION * (end - now))
    log.info("SLURM ends job %s in %.0f s; %.0f s before it the state is saved", job, end - now, margin)
    return end - margin


def _end_of_job(job: str) -> float:
    """Ask SLURM, whose older versions do not tell a job when it ends."""
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%e"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, encoding="utf-8")
    return datetime.fromisoformat(done.stdout.strip()).timestamp()


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` says that the memory of a GPU or of the machine does not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    signs = ("allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def within_memory(compute: Callable[[slice], T], count: int, batch: int, key: str) -> Iterator[T]:
    """Yield compute(rows) for slices of `batch` rows, one after the other, until `count` rows are done.

    Where memory does not suffice, from there on with half as many, and so on.

    Args:
        compute: a function of the rows.
        count: number of all rows; batch: of those in a slice.
        key: name of the setting that should be lower, for the log.

    Raises:
        UserError: there is no memory for a single row.
    """
    start = 0
    while start < count:
        rows = slice(start, min(start + batch, count))
        try:
            result = compute(rows)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise UserError(f"out of memory with {key} 1; use a device with more") from None
            result = None
        if result is None:  # here the failed attempt has let go of its memory
            torch.cuda.empty_cache()
            batch = max(1, (rows.stop - rows.start) // 2)
            log.info(
                "out of memory: going on with batches of %d (last bits may differ); lower %s", batch, key
            )
            continue
        yield result
        start = rows.stop
