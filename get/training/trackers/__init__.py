"""Trackers of trainings, a module each (docs/extend.md): where they are watched, beside the journal.

A module assigns a class to TRACKER. `TRACKER(folder, name, step, settings, *, ...)` begins, or goes on from
this step; the keyword arguments are keys of its entry in the config. It has `scalars(step, values)`,
`picture(step, picture)` with a picture uint8 (H, W, 3), and `close()`. What it raises is logged, and the
training goes on without it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from get.runtime import plugins
from get.storage.errors import UserError

PACKAGE = "training.trackers"
Entries = Mapping[str, Mapping[str, Any]]  # the arguments of each, by its name
NONE: Entries = MappingProxyType({})


def check(entries: Entries, key: str = "trackers") -> None:
    """Raise `UserError`, naming the key, unless these are trackers with their arguments."""
    for name, given in entries.items():
        plugins.require_known(PACKAGE, name, key)
        tracker = plugins.constants(PACKAGE, name).get("TRACKER")
        if tracker is None:
            raise UserError(f"{key}: get/training/trackers/{name}.py assigns no TRACKER")
        plugins.check_arguments(given, plugins.arguments(PACKAGE, name, tracker), f"{key}.{name}")
