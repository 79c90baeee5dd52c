"""Seconds of a call, extrapolated from smaller calls where the whole one would take long."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

LIMIT = 1.5  # seconds of timed calls of one part, about; there are at least two calls
SLOW = 3.0  # seconds of a first call on a CPU after which there is no other
GROWTH = 4  # factor by which calls grow to the size of a batch
MAX_CALLS = 1000  # timed calls at most


class Timing(NamedTuple):
    """Seconds of the first call beyond those of another, seconds of a whole call, and the measured share."""

    first: float
    seconds: float
    share: float


def timing(
    call: Callable[[int], object], full: int, device: torch.device, *, least: int = 1, power: int = 1
) -> Timing:
    """Time call(full), or extrapolate it from smaller calls.

    Args:
        call: takes a number of images.
        full: the number whose seconds are wanted.
        device: where it computes.
        least: the number to begin with.
        power: seconds grow with this power of the number.
    """
    # The first call may compile or allocate
    count = min(least, full)
    first = seconds_of(call, count, device)
    if device.type == "cpu" and count < full and first > SLOW:  # most of it is work that grows
        return Timing(0.0, first * (full / count) ** power, count / full)
    now = seconds_of(call, count, device)
    first = max(0.0, first - now)
    # Grow the call while the next larger one is quick
    while count < full and now * GROWTH**power <= LIMIT:
        count = min(full, GROWTH * count)
        call(count)
        now = seconds_of(call, count, device)
    if count == full:
        calls = max(2, min(MAX_CALLS, int(LIMIT / now)))
        return Timing(first, seconds_of(call, full, device, calls), 1.0)
    # Extrapolate along a line in count^power through the last two
    more = min(full, 2 * count)
    then = seconds_of(call, more, device)
    slope = max(0.0, then - now) / (more**power - count**power)
    return Timing(first, then + slope * (full**power - more**power), more / full)


def seconds_of(call: Callable[[int], object], count: int, device: torch.device, calls: int = 1) -> float:
    """Return the mean seconds of so many calls."""
    wait(device)
    begun = time.perf_counter()
    for _ in range(calls):
        call(count)
    wait(device)
    return (time.perf_counter() - begun) / calls


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
