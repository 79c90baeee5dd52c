"""Prefetching: a thread prepares the input of the next steps."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """`make`, a function of the step, called by one background thread up to `depth` steps ahead.

    A context manager: leaving it stops the thread. An error of `make` is raised in the call for its step.
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

    def __enter__(self) -> "Prefetcher[T]":
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown(cancel_futures=True)
