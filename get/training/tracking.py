"""The trackers of a training (`training.trackers`), of which none can stop it."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from get.runtime import plugins
from get.runtime.log import log
from get.storage.mosaic import tile
from get.storage.places import place
from get.training.trackers import PACKAGE, Entries, check

Draw = Callable[[], tuple[NDArray[np.uint8], int]]  # images (N, C, H, W), and how many stand in a row


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

    def begin(self, step: int) -> None:
        """Open all of them, for a training that goes on from `step`."""
        for name in self._entries:
            self._guarded(name, self._begin, name, step)

    def _begin(self, name: str, step: int) -> None:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        tracker = plugins.load(PACKAGE, name, "trackers").TRACKER
        self._open[name] = tracker(folder, self._name, step, self._settings, **self._entries[name])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        for name, tracker in list(self._open.items()):
            self._guarded(name, tracker.scalars, step, values)

    def images(self, step: int, draw: Draw) -> None:
        """Note images of a step, which are drawn only if there is a tracker."""
        if not self._open:
            return
        try:
            picture = tile(*draw())
        except Exception as error:  # no picture is worth a training
            log.warning("trackers: no samples: %s: %s", type(error).__name__, error)
            return
        for name, tracker in list(self._open.items()):
            self._guarded(name, tracker.picture, step, picture)

    def close(self) -> None:
        """Close all of them."""
        for name, tracker in list(self._open.items()):
            self._guarded(name, tracker.close)
        self._open.clear()

    def _guarded(self, name: str, call: Callable[..., Any], *arguments: Any) -> None:
        """Call; a tracker that fails is left out from then on."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(*arguments)
        except Exception as error:  # whatever it is: the training goes on
            self._open.pop(name, None)
            log.warning("tracker %s: %s: %s; going on without it", name, type(error).__name__, error)
