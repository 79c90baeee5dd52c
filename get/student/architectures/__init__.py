"""Families of students, a module each (docs/extend.md).

A module assigns its class, a `get.student.models.Student`, to STUDENT. The keyword arguments of its
constructor are the keys of `model` in the config. Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Any

from get.runtime import plugins
from get.runtime.plugins import Argument
from get.storage.errors import UserError

PACKAGE = "student.architectures"
OF_IMAGES = ("channels", "size", "classes")  # arguments of every student, which the pairs give
FORM = "form"  # an argument of students that can be evaluated at any noise level, which the objective gives
COMMON = {"conditioning": Argument("str", optional=False)}


def check(model: Mapping[str, Any], key: str = "model") -> None:
    """Raise `UserError`, naming the key below `key`, unless `model` describes a student.

    Args:
        model: 'family', 'conditioning' and what the family's constructor takes, but for `OF_IMAGES`.
        key: of `model` in the config.
    """
    family = model.get("family")
    plugins.require_known(PACKAGE, family, f"{key}.family")
    offered = plugins.constants(PACKAGE, str(family)).get("STUDENT")
    if offered is None:
        raise UserError(f"{key}.family: get/student/architectures/{family}.py assigns no class to STUDENT")
    arguments = COMMON | plugins.arguments(PACKAGE, str(family), offered)
    keys = {name: argument for name, argument in arguments.items() if name not in (*OF_IMAGES, FORM)}
    given = {name: value for name, value in model.items() if name != "family"}
    plugins.check_arguments(given, keys, key)


def defaults(family: Any) -> dict[str, Any]:
    """Return the keys that a family has where the config says nothing; none of one that is not known."""
    offered = plugins.constants(PACKAGE, family).get("STUDENT") if family in plugins.names(PACKAGE) else None
    keys = plugins.arguments(PACKAGE, family, offered).items() if offered else ()
    return {key: each.default for key, each in keys if each.default is not None and key != FORM}


def has_form(model: Mapping[str, Any]) -> bool:
    """Return whether the students of a description can be evaluated at any noise level."""
    family = str(model["family"])
    return FORM in plugins.arguments(PACKAGE, family, plugins.constants(PACKAGE, family)["STUDENT"])
