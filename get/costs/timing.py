"""Seconds of a call: timed whole, or by a line through smaller calls where the whole would take long."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

LIMIT = 1.5  # seconds of timed calls of one part, about; there are at least two calls
GROWTH = 4  # factor by which calls grow to the size of a batch
LARGEST = 1000  # timed calls at most


class Timing(NamedTuple):
    """Seconds of the first call beyond those of another, seconds of a whole call, and the measured share."""

    first: float
    seconds: float
    share: float


def timing(
    call: Callable[[int], object], full: int, device: torch.device, *, least: int = 1, power: int = 1
) -> Timing:
    """Time call(full), or draw a line to it from smaller calls.

    Args:
        call: takes a number of images.
        full: the number in question.
        device: where it computes.
        least: the number to begin with.
        power: seconds grow with this power of the number.
    """
    count = min(least, full)
    first, now = seconds_of(call, count, device), seconds_of(call, count, device)
    first = max(0.0, first - now)
    while count < full and now * GROWTH**power <= LIMIT:
        count = min(full, GROWTH * count)
        call(count)
        now = seconds_of(call, count, device)
    if count == full:
        return Timing(first, seconds_of(call, full, device, max(2, min(LARGEST, int(LIMIT / now)))), 1.0)
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
