"""What tables and figures call the Fréchet distance: FID in Inception's features, FD in those of others."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_distance = ContextVar("distance", default="FID")


@contextmanager
def distance_called(name: str) -> Iterator[None]:
    """In the block, what is written and drawn says `name` for FID."""
    token = _distance.set(name)
    try:
        yield
    finally:
        _distance.reset(token)


def named(text: str) -> str:
    """Return a text that speaks of FID with the name that is in force."""
    return re.sub(r"\bFID\b", _distance.get(), text)
