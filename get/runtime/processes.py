"""Several processes that train one model: their ranks, and what they exchange."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from get.runtime.device import pick_device
from get.runtime.log import log, mute
from get.storage.errors import UserError

TORCHRUN = "TORCHELASTIC_RUN_ID"  # what torchrun sets in the environment of its processes, and nobody else


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Train together with the other processes that torchrun started; a process that is alone does nothing.

    Who else sets WORLD_SIZE (a notebook, a shell in a job, another launcher) starts processes that are alone.

    Args:
        device: see `pick_device`; the processes talk by NCCL on CUDA, by gloo elsewhere.

    Raises:
        UserError: what torchrun sets is not whole, or there is no GPU for each.
    """
    if _from_torchrun("WORLD_SIZE") == 1:
        if os.environ.get("WORLD_SIZE", "1") != "1":
            log.info("WORLD_SIZE=%s is not torchrun's: training alone", os.environ["WORLD_SIZE"])
        yield
        return
    if device.startswith("cuda:"):
        raise UserError(f"device {device} is one GPU, but each process needs its own: set device: cuda")
    here, seen = processes_here(), torch.cuda.device_count()
    if device != "cpu" and 0 < seen < here:
        raise UserError(f"{here} processes on this machine want a GPU each, but torch sees {seen} GPUs")
    on = pick_device(device)
    try:
        if on.type == "cuda":
            torch.cuda.set_device(on)
            dist.init_process_group("nccl", device_id=on)
        else:
            dist.init_process_group("gloo")
    except ValueError as error:
        names = "RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT"
        raise UserError(f"{names}: {error}; start with torchrun, or: unset {TORCHRUN}") from None
    mute(rank() > 0)
    yield
    mute(False)
    # not after an error: others may wait for this process, which torchrun ends when it sees it gone
    dist.destroy_process_group()


def processes_here() -> int:
    """Return how many of the processes that train together are on this machine."""
    return _from_torchrun("LOCAL_WORLD_SIZE")


def _from_torchrun(name: str) -> int:
    """Return a count that torchrun sets; 1 where it did not start this process."""
    if TORCHRUN not in os.environ:
        return 1
    text = os.environ.get(name, "")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name} is {text!r}, no count; start with torchrun, or: unset {TORCHRUN}")
    return int(text)


def rank() -> int:
    """Return the number of this process among those that train together; number 0 writes and logs."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_rows(batch: int, parts: int = 1) -> list[slice]:
    """Return the rows of the global batch that are this process's, in so many equal parts."""
    rows = batch // (process_count() * parts)
    first = rank() * parts
    return [slice(part * rows, (part + 1) * rows) for part in range(first, first + parts)]


def average(tensor: Tensor) -> None:
    """Replace `tensor` by its mean over the processes."""
    if process_count() > 1:
        dist.all_reduce(tensor)
        tensor /= process_count()


def largest(*values: int, device: torch.device) -> list[int]:
    """Return the largest of each of the `values` over the processes; of a flag: whether any has it."""
    if process_count() == 1:
        return list(values)
    reduced = torch.tensor([int(value) for value in values], device=device)
    dist.all_reduce(reduced, dist.ReduceOp.MAX)
    return reduced.tolist()


def wait_for_all() -> None:
    """Return when all processes have come here."""
    if process_count() > 1:
        dist.barrier()
