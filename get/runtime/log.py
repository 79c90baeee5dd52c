"""The log of a stage, and its progress. It imports no torch, which takes seconds."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from get.runtime.remedies import explain
from get.runtime.tuning import collect_seldom, draw_into_files
from get.storage.errors import UserError

log = logging.getLogger("get")
warned = logging.getLogger("py.warnings")  # where Python's warnings go


@contextmanager
def logging_to(path: str | Path | None = None) -> Iterator[None]:
    """Send the log (and an error's traceback) to the file at `path`, or to standard error.

    Every stage runs in such a block, its imports too.
    """
    collect_seldom()
    draw_into_files()
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warned.addHandler(handler)
    try:
        yield
    except UserError as error:
        if path:  # who logs to standard error prints it there
            log.error("error: %s", explain(error))
        raise
    except Exception:
        log.exception("failed")
        raise
    finally:
        log.removeHandler(handler)
        warned.removeHandler(handler)
        logging.captureWarnings(False)


@contextmanager
def job(path: str | Path) -> Iterator[None]:
    """Log a job to the file at `path`, as `logging_to`, and end the process with the block, at once.

    Python's own end takes half a second where torch was imported, and its libraries may abort it.
    """
    with logging_to(path):
        yield
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def mute(muted: bool) -> None:
    """Log nothing from now on (or again): of the processes that train together, one logs for all."""
    log.disabled = warned.disabled = muted


class Progress:
    """A bar on a terminal; elsewhere a line in the log every `interval` seconds, with the time left."""

    def __init__(self, name: str, total: int, done: int = 0, interval: float = 15.0) -> None:
        self.name, self.total, self.done, self.interval = name, total, done, interval
        in_file = any(isinstance(handler, logging.FileHandler) for handler in log.handlers)
        # jobs and processes that share a terminal would draw over each other
        hidden = in_file or log.disabled or not sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=name, disable=hidden)
        self._begun = self._logged = time.monotonic()
        self._first = done

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units as done; `note` (say, the loss) stands behind the rate."""
        self.done += count
        self._bar.update(count)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        now = time.monotonic()
        if now - self._logged > self.interval or self.done == self.total:
            rate = (self.done - self._first) / max(now - self._begun, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            log.info("%s %d/%d %.4g/s %.0f s left %s", self.name, self.done, self.total, rate, left, note)
            self._logged = now

    def close(self) -> None:
        """Leave the terminal as it is now."""
        self._bar.close()
