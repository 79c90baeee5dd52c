"""What a student is trained to do: objectives, a module each (docs/extend.md).

A module assigns its class, a `get.student.objective.Objective`, to OBJECTIVE. The keyword arguments of its
constructor are keys of `training` in the config. It also assigns what the workflow must know before anything
runs:

    NEEDS          what it learns with: 'pairs' or 'images' (real ones), and perhaps 'teacher' (to ask while
                   training); to each the key that says whether it does, or None: always
    DEFAULT_LOSS   the loss where the config names none
    FORM           what it makes of a network with a noise level (`architectures.unet`)
    LEVELS         True if it wants such a network
    FROM_TEACHER   True if a student must start from the teacher's weights
    RANGES         the lowest and the highest value of some of its keys

Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Any

from get.runtime import plugins
from get.runtime.plugins import Argument
from get.storage.errors import UserError

PACKAGE = "student.objectives"
DEFAULT = "pairs"
ASSIGNED = ("OBJECTIVE", "NEEDS", "DEFAULT_LOSS", "FORM")  # by every module


def keys(name: str) -> dict[str, Argument]:
    """Return the keys of `training` that are an objective's own; raises `UserError` as `about` does."""
    return plugins.arguments(PACKAGE, name, about(name)["OBJECTIVE"])


def having(key: str) -> list[str]:
    """Return the objectives that have a key."""
    return [name for name in plugins.names(PACKAGE) if key in keys(name)]


def check(name: str, given: Mapping[str, Any], key: str) -> None:
    """Raise `UserError`, naming the key below `key`, unless `given` are keys of this objective."""
    plugins.check_arguments(given, keys(name), key, about(name).get("RANGES", {}))


def defaults(name: Any) -> dict[str, Any]:
    """Return the keys that an objective has where the config says nothing; none of one that is not known."""
    if name not in plugins.names(PACKAGE):
        return {}
    return {key: argument.default for key, argument in keys(name).items() if argument.default is not None}


def about(name: str) -> Mapping[str, Any]:
    """Return what the module of an objective assigns to names in capitals.

    Raises:
        UserError: it assigns not all that it must.
    """
    found = plugins.constants(PACKAGE, name)
    for each in ASSIGNED:
        if each not in found:
            raise UserError(f"training.objective: get/student/objectives/{name}.py assigns nothing to {each}")
    return found


def needs(training: Mapping[str, Any]) -> set[str]:
    """Return what a training needs ('pairs', 'images', 'teacher'), given its settings."""
    return _asks(training) | ({"teacher"} if training.get("init") == "teacher" else set())


def asks_teacher(training: Mapping[str, Any]) -> bool:
    """Return whether a teacher is asked while a student is trained."""
    return "teacher" in _asks(training)


def _asks(training: Mapping[str, Any]) -> set[str]:
    objective = training.get("objective", DEFAULT)
    given = defaults(objective) | dict(training)
    return {need for need, key in about(objective)["NEEDS"].items() if key is None or given[key]}
