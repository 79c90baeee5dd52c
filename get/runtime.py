"""Where and how a stage runs: device, precision, log, progress."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from tqdm import tqdm

from get.files import UserError

log = logging.getLogger("get")


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: 'auto' (CUDA if there is one), 'cpu', 'cuda', 'cuda:1', ..."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device is 'cuda' but torch sees no CUDA device; set device: auto or device: cpu")
    if not name.startswith(("cpu", "cuda")):
        raise UserError(f"device is {name!r}; it must be auto, cpu or cuda")
    return torch.device(name)


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return `tensor` on `device`, without waiting for the copy."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which forward passes run at `precision`: 'float32' or 'bfloat16'."""
    if precision == "float32":
        return nullcontext()
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    raise UserError(f"precision is {precision!r}; it must be 'float32' or 'bfloat16'")


@contextmanager
def logging_to(path: str | Path | None = None) -> Iterator[None]:
    """Send the log (and an error's traceback) to the file at `path`, or to standard error."""
    handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    except UserError as error:
        if path:  # who logs to standard error prints it there
            log.error("error: %s", error)
        raise
    except Exception:
        log.exception("failed")
        raise
    finally:
        log.removeHandler(handler)


class Progress:
    """A bar on a terminal; elsewhere a line in the log every `interval` seconds, with the time left."""

    def __init__(self, name: str, total: int, done: int = 0, interval: float = 15.0) -> None:
        self.name, self.total, self.done, self.interval = name, total, done, interval
        in_file = any(isinstance(handler, logging.FileHandler) for handler in log.handlers)
        hidden = in_file or not sys.stderr.isatty()  # jobs that share a terminal would draw over each other
        self._bar = tqdm(total=total, initial=done, desc=name, disable=hidden)
        self._begun = self._told = time.monotonic()
        self._first = done

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units as done; `note` (say, the loss) stands behind the rate."""
        self.done += count
        self._bar.update(count)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        now = time.monotonic()
        if now - self._told > self.interval or self.done == self.total:
            rate = (self.done - self._first) / max(now - self._begun, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            log.info("%s %d/%d %.4g/s %.0f s left %s", self.name, self.done, self.total, rate, left, note)
            self._told = now

    def close(self) -> None:
        """Leave the terminal as it is now."""
        self._bar.close()
