"""Devices, precision, and copies between them."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from get.runtime.log import log
from get.runtime.tuning import keep_freed_memory
from get.storage.errors import UserError

PRECISIONS = ("float32", "tf32", "bfloat16")


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: 'auto' (CUDA if there is one), 'cpu', 'cuda', 'cuda:1', ...

    'cuda' is a GPU of this process's own (see `claimed_gpu`); one with a number is taken as it is. CUDA
    computes in full float32 but where `tf32` or `autocast` says otherwise.

    Raises:
        UserError: there is no such device, or other jobs have all GPUs.
    """
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,9})?", name):
        raise UserError(f"device is {name!r}; it must be auto, cpu, cuda, or cuda:N for GPU number N, from 0")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        log.info("device auto: %s", name)
    if name == "cpu":
        keep_freed_memory()
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            "a GPU was asked for (device cuda) but torch sees none; look at nvidia-smi, torch.version.cuda, "
            "or compute on the CPU: --device cpu, or in the workflow gpu: 0 in the config (jobs)"
        )
    number, count = name.partition(":")[2], torch.cuda.device_count()
    device = torch.device("cuda", int(number) if number else claimed_gpu())
    if device.index >= count:
        raise UserError(f"device is {name!r}, but the last GPU that torch sees is cuda:{count - 1}")
    torch.cuda.set_device(device)  # or some helper would open the first GPU, which another job may use
    _allow_tf32(False)
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
            # not with O_CREAT, which Linux refuses where another user made it
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process has it
            os.close(lock)
            continue
        return number  # and keep the file open: closed, it would be unlocked
    raise UserError(
        f"other jobs use all {count} visible GPUs; run at most as many at a time "
        f"(resources gpu={count}), or name one, which is then shared: device cuda:0"
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


@contextmanager
def tf32(device: torch.device, precision: str) -> Iterator[None]:
    """In the block, CUDA computes in TF32 if `precision` is 'tf32', else in full float32.

    Other than `autocast`, which is for forward passes, the block holds backward passes too.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _allow_tf32(precision == "tf32")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """In the block, forward passes run at `precision`, one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
    mixed = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
    with tf32(device, precision), mixed:
        yield
