"""The trackers of a training (`training.trackers`), none of which can stop it, or keep it waiting.

They are called one after the other in a thread of their own, which the end of the process does not wait for.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from get.runtime import plugins
from get.runtime.log import log
from get.storage.mosaic import enlarged, tile
from get.storage.places import place
from get.training.trackers import PACKAGE, Entries, check

LIMIT = 20.0  # seconds that the end of a training waits for what trackers have left to do
Draw = Callable[[], tuple[NDArray[np.uint8], int]]  # images (N, C, H, W), and how many stand in a row
Call = tuple[str, Callable[[], Any]]  # the tracker's name, and what is to be done


class Tracking:
    """The trackers of the training that makes `output`.

    Args:
        entries: the arguments of each, by its name.
        output: the result; trackers keep their files in a folder beside it.
        settings: all that defines the run, JSON-like.

    Raises:
        UserError: there is no such tracker, or an argument is wrong.
    """

    def __init__(self, entries: Entries, output: str | Path, settings: Mapping[str, Any]) -> None:
        check(entries)
        self._entries, self._settings = entries, settings
        self._folder = Path(output).with_suffix(".trackers")
        self._name = place(output) or Path(output).stem
        self._open: dict[str, Any] = {}
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._worker: threading.Thread | None = None

    def begin(self, step: int) -> None:
        """Open all of them, for a training that goes on from `step`."""
        if not self._entries:
            return
        self._worker = threading.Thread(target=self._work, name="trackers", daemon=True)
        self._worker.start()
        for name in self._entries:
            self._do(name, self._begin, name, step)

    def _begin(self, name: str, step: int) -> None:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        tracker = plugins.load(PACKAGE, name, "trackers").TRACKER
        self._open[name] = tracker(folder, self._name, step, self._settings, **self._entries[name])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        for name in self._entries:
            self._do(name, self._tell, name, "scalars", step, values)

    def images(self, step: int, draw: Draw) -> None:
        """Note images of a step, which are drawn only if there is a tracker."""
        if self._worker is None:
            return
        try:
            picture = enlarged(tile(*draw()))
        except Exception as error:  # no picture is worth a training
            log.warning("trackers: no samples: %s: %s", type(error).__name__, error)
            return
        for name in self._entries:
            self._do(name, self._tell, name, "picture", step, picture)

    def close(self) -> None:
        """Close all of them, and wait for what they have left to do, but not for long."""
        if self._worker is None:
            return
        for name in self._entries:
            self._do(name, self._tell, name, "close")
        self._calls.put(None)
        self._worker.join(LIMIT)
        if self._worker.is_alive():
            log.warning("trackers: not done after %.0f s, and left", LIMIT)
        self._worker = None

    def _tell(self, name: str, method: str, *arguments: Any) -> None:
        getattr(self._open[name], method)(*arguments)

    def _do(self, name: str, call: Callable[..., None], *arguments: Any) -> None:
        """Let a tracker do something, in its turn."""
        if self._worker is not None:
            self._calls.put((name, partial(call, *arguments)))

    def _work(self) -> None:
        """Make the calls; a tracker that fails is left out from then on."""
        failed: set[str] = set()
        while (waiting := self._calls.get()) is not None:
            name, call = waiting
            if name in failed:
                continue
            try:
                call()
            except Exception as error:  # whatever it is: the training goes on
                failed.add(name)
                self._open.pop(name, None)
                log.warning("tracker %s: %s: %s; going on without it", name, type(error).__name__, error)
