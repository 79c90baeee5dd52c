"""Losses: how far an image is from the one that is wanted; a module each (docs/extend.md).

A module assigns a class to LOSS, and what axes and messages call it to LABEL. The keyword arguments of the
constructor are keys of `training.loss` in the config. An object of it maps images found and wanted, both
(..., B, C, H, W), to the error of each pixel (..., B, C, H, W), or of each image (..., B, 1, 1, 1). It is
averaged over both. Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Any

from get import plugins
from get.plugins import Argument
from get.storage.errors import UserError

PACKAGE = "student.losses"
COMMON = {"name": Argument("str", optional=False)}


def check(loss: Mapping[str, Any], key: str) -> None:
    """Raise `UserError`, naming the key below `key`, unless `loss` is a 'name' and the keys of that loss."""
    name = str(loss.get("name"))
    plugins.require_known(PACKAGE, loss.get("name"), f"{key}.name")
    offered = plugins.constants(PACKAGE, name)
    if "LOSS" not in offered or "LABEL" not in offered:
        raise UserError(f"{key}.name: get/student/losses/{name}.py assigns no LOSS, or no LABEL")
    keys = COMMON | plugins.arguments(PACKAGE, name, offered["LOSS"])
    plugins.check_arguments(loss, keys, key, offered.get("RANGES", {}))


def defaults(name: Any) -> dict[str, Any]:
    """Return the keys that a loss has where the config says nothing; none of one that is not known."""
    if name not in plugins.names(PACKAGE):
        return {}
    keys = plugins.arguments(PACKAGE, name, plugins.constants(PACKAGE, name)["LOSS"]).items()
    return {key: argument.default for key, argument in keys if argument.default is not None}


def label(name: str) -> str:
    """Return what axes and messages call a loss: 'L1'."""
    return str(plugins.constants(PACKAGE, name)["LABEL"])


def build(loss: Mapping[str, Any]) -> Any:
    """Return the loss that `loss` names, as an object to call; raises `UserError` as `check` does."""
    check(loss, "training.loss")
    arguments = {key: value for key, value in loss.items() if key != "name"}
    return plugins.load(PACKAGE, loss["name"], "training.loss.name").LOSS(**arguments)
