"""Losses: how far an image is from the one that is wanted; a module each (docs/extend.md).

A module assigns a class to LOSS, and what axes and messages call it to LABEL. The keyword arguments of the
constructor are keys of `training.loss` in the config. An object of it maps images found and wanted, both
(..., B, C, H, W), to the error of each pixel (..., B, C, H, W), or of each image (..., B, 1, 1, 1). It is
averaged over both. A module also assigns what it does not take:

    COLOUR         True if images must be in colour
    LEAST_SIZE     lowest height and width of images
    VELOCITIES     False if it compares images alone, and not what an objective with a velocity does

A loss that looks through a network has the keyword argument `source`: in the config a file from outside (url
or path, sha256), for the constructor where it lies, or None for random weights, with which costs are
measured. It keeps the network in `network`. Nothing here needs torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from get.runtime import plugins
from get.runtime.plugins import Argument
from get.storage.errors import UserError
from get.student import objectives

PACKAGE = "student.losses"
COMMON = {"name": Argument("str", optional=False)}


def check(loss: Mapping[str, Any], key: str) -> None:
    """Raise `UserError`, naming the key below `key`, unless `loss` is a 'name' and the keys of that loss."""
    name = str(loss.get("name"))
    plugins.require_known(PACKAGE, loss.get("name"), f"{key}.name")
    offered = plugins.constants(PACKAGE, name)
    if "LOSS" not in offered or "LABEL" not in offered:
        raise UserError(f"{key}.name: get/student/losses/{name}.py assigns no LOSS, or no LABEL")
    plugins.check_arguments(loss, COMMON | arguments(name), key, offered.get("RANGES", {}))


def arguments(name: str) -> dict[str, Argument]:
    """Return the keyword arguments of a loss; none of a module that offers no class."""
    offered = plugins.constants(PACKAGE, name).get("LOSS")
    return plugins.arguments(PACKAGE, name, offered) if offered else {}


def defaults(name: Any) -> dict[str, Any]:
    """Return the keys that a loss has where the config says nothing; none of one that is not known."""
    if name not in plugins.names(PACKAGE):
        return {}
    found = arguments(name).items()
    return {key: argument.default for key, argument in found if argument.default is not None}


def check_fit(name: str, shape: Sequence[int], objective: str, key: str) -> None:
    """Raise `UserError`, naming the key below `key`, unless a loss takes what an objective compares.

    Args:
        name: of the loss; shape: (C, H, W) of the images; objective: its name.
    """
    about, size = plugins.constants(PACKAGE, name), min(shape[1:])
    least = about.get("LEAST_SIZE", 1)
    problem = None
    if about.get("COLOUR") and shape[0] != 3:
        problem = "looks at colour, and these images are grey"
    elif size < least:
        problem = f"looks at images of {least} x {least} pixels or more, and these are {size} x {size}"
    elif not about.get("VELOCITIES", True) and objectives.about(objective).get("FORM") == "velocity":
        problem = f"compares images, and the objective {objective} compares velocities"
    if problem:
        raise UserError(f"{key}.name: {name} {problem}; choose another")


def has_source(name: str) -> bool:
    """Return True if a loss looks through a network, whose weights are a file."""
    return "source" in arguments(name)


def label(name: str) -> str:
    """Return what axes and messages call a loss: 'L1'."""
    return str(plugins.constants(PACKAGE, name)["LABEL"])


def build(loss: Mapping[str, Any], source: str | Path | None = None) -> Any:
    """Return the loss that `loss` names, as an object to call.

    Args:
        loss: its name and arguments.
        source: where the weights of its network lie, if it has one; None is random ones.

    Raises:
        UserError: as `check` does; or of the loss.
    """
    plugins.require_known(PACKAGE, loss.get("name"), "training.loss.name")
    given = {**loss, "source": source} if has_source(loss["name"]) else loss
    check(given, "training.loss")
    keys = {key: value for key, value in given.items() if key != "name"}
    return plugins.load(PACKAGE, loss["name"], "training.loss.name").LOSS(**keys)
