"""Where and how a stage runs: device, precision, processes, limits, input prepared ahead."""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from get.files import UserError
from get.log import log, mute
from get.process import keep_freed_memory

PRECISIONS = ("float32", "tf32", "bfloat16")
LONGEST_MARGIN = 300.0  # seconds before the end of a job in which a training saves its state, at most
SHARE_OF_MARGIN = 0.2  # and at most this share of the time that it has

T = TypeVar("T")


# ---------------------------------------------------------------------------------- device and precision


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: 'auto' (CUDA if there is one), 'cpu', 'cuda', 'cuda:1', ...

    'cuda' is a GPU of this process's own (see `claimed_gpu`); one with a number is taken as it is. CUDA
    computes in full float32 until `autocast` says otherwise.

    Raises:
        UserError: there is no such device, or other jobs have all GPUs.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        log.info("device auto: %s", name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            "a GPU was asked for (device cuda) but torch sees none; look at nvidia-smi, torch.version.cuda, "
            "or compute on the CPU: --device cpu, or in the workflow gpu: 0 in the config (jobs)"
        )
    if not name.startswith(("cpu", "cuda")):
        raise UserError(f"device is {name!r}; it must be auto, cpu or cuda")
    if name == "cuda":
        name = f"cuda:{claimed_gpu()}"
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # or some helper would open the first GPU, which another job may use
        _allow_tf32(False)
    else:
        keep_freed_memory()
    return device


@cache
def claimed_gpu() -> int:
    """Return the number of a visible GPU that no other process of this project on this machine uses.

    A claim is a lock on a file in the temporary directory, which ends with the process, however that ends.

    Raises:
        UserError: others have claimed all GPUs that CUDA_VISIBLE_DEVICES lets this process see.
    """
    count = torch.cuda.device_count()
    for number in range(count):
        path = Path(tempfile.gettempdir(), f"get-gpu-{torch.cuda.get_device_properties(number).uuid}.lock")
        try:
            lock = os.open(
                path, os.O_RDONLY
            )  # not with O_CREAT, which Linux refuses where another user made it
        except FileNotFoundError:
            lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number  # and keep the file open
        except BlockingIOError:
            os.close(lock)
    raise UserError(
        f"other jobs use all {count} visible GPUs; run as many at a time as there are GPUs (snakemake "
        f"--resources gpu={count}), or name one, which is then shared: device cuda:0"
    )


def _allow_tf32(allowed: bool) -> None:
    # these two agree with all other ways to ask, in torch 2.11 and later; the newer fp32_precision does not
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def pin(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor`, in CPU memory, where a copy to `device` need not be waited for."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`, without waiting for the copy."""
    return pin(tensor, device).to(device, non_blocking=True)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which forward passes run at `precision`, one of `PRECISIONS`.

    Whether CUDA may use TF32 is set here for all that follows, and not only inside the context: backward
    passes run after it.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
    if device.type == "cuda":
        _allow_tf32(precision == "tf32")
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


# ---------------------------------------------------------------------------------- processes of one training


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Train together with the other processes that torchrun started; a process that is alone does nothing.

    Args:
        device: see `pick_device`; the processes talk by NCCL on CUDA, by gloo elsewhere.
    """
    if _from_torchrun("WORLD_SIZE", 1) == 1:
        yield
        return
    if device.startswith("cuda:"):
        raise UserError(f"device {device} is one GPU, but each process needs its own: set device: cuda")
    here, seen = _from_torchrun("LOCAL_WORLD_SIZE", 1), torch.cuda.device_count()
    if device != "cpu" and 0 < seen < here:
        raise UserError(f"{here} processes on this machine want a GPU each, but torch sees {seen} GPUs")
    on = pick_device(device)
    if on.type == "cuda":
        torch.cuda.set_device(on)
        dist.init_process_group("nccl", device_id=on)
    else:
        dist.init_process_group("gloo")
    mute(rank() > 0)
    yield
    mute(False)
    # not after an error: others may wait for this process, which torchrun ends when it sees it gone
    dist.destroy_process_group()


def _from_torchrun(name: str, alone: int) -> int:
    return int(os.environ.get(name, alone))


def rank() -> int:
    """Return the number of this process among those that train together; number 0 writes and logs."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_part(batch: Tensor) -> Tensor:
    """Return the slice of the global batch (B, ...) that is this process's: (B / processes, ...)."""
    return batch.chunk(process_count())[rank()]


def average(tensor: Tensor) -> None:
    """Replace `tensor` by its mean over the processes."""
    if process_count() > 1:
        dist.all_reduce(tensor)
        tensor /= process_count()


def largest(*values: int, device: torch.device) -> list[int]:
    """Return the largest of each of the `values` over the processes; of a flag: whether any has it."""
    if process_count() == 1:
        return list(values)
    found = torch.tensor([int(value) for value in values], device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return found.tolist()


def wait_for_all() -> None:
    """Return when all processes have come here."""
    if process_count() > 1:
        dist.barrier()


# ---------------------------------------------------------------------------------- limits of time and memory


def stop_time() -> float | None:
    """Return when (as of `time.time`) a job of SLURM should save its state, shortly before it is ended.

    None where there is no such limit.
    """
    job, now = os.environ.get("SLURM_JOB_ID"), time.time()
    if job is None:
        return None
    try:
        end = float(os.environ.get("SLURM_JOB_END_TIME") or _end_of_job(job))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.info("no time limit: SLURM does not say when job %s ends (%s)", job, error)
        return None
    margin = min(LONGEST_MARGIN, SHARE_OF_MARGIN * (end - now))
    log.info("SLURM ends job %s in %.0f s; %.0f s before it the state is saved", job, end - now, margin)
    return end - margin


def _end_of_job(job: str) -> float:
    """Ask SLURM, whose older versions do not tell a job when it ends."""
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%e"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return datetime.fromisoformat(answer.strip()).timestamp()


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


# ---------------------------------------------------------------------------------- input prepared ahead


class Ahead(Generic[T]):
    """`make`, a function of the step, called by one background thread up to `depth` steps ahead.

    A context manager: leaving it stops the thread. An error of `make` is raised where its step is asked for.
    With depth 0 there is no thread.
    """

    def __init__(self, make: Callable[[int], T], depth: int) -> None:
        self._make, self._depth = make, depth
        self._thread = ThreadPoolExecutor(max_workers=1)  # starts with the first task
        self._made: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """Return make(step); the steps after it are made meanwhile."""
        if self._depth == 0:
            return self._make(step)
        for number in range(step, step + self._depth + 1):
            if number not in self._made:
                self._made[number] = self._thread.submit(self._make, number)
        return self._made.pop(step).result()

    def __enter__(self) -> "Ahead[T]":
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown(cancel_futures=True)
