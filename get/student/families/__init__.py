"""Families of students, a module each (docs/extend.md).

A module assigns its class, a `get.student.models.Student`, to STUDENT. The keyword arguments of its
constructor are the keys of `model` in the config. Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Any

from get import registry
from get.files import UserError
from get.registry import Argument

PACKAGE = "student.families"
OF_IMAGES = ("channels", "size", "classes")  # what every student is told of the images
COMMON = {"conditioning": Argument("str", optional=False)}


def check(model: Mapping[str, Any], key: str = "model") -> None:
    """Raise `UserError`, naming the key below `key`, unless `model` describes a student.

    Args:
        model: 'family', 'conditioning' and what the family's constructor takes, but for `OF_IMAGES`.
        key: of `model` in the config.
    """
    family = model.get("family")
    registry.require_known(PACKAGE, family, f"{key}.family")
    offered = registry.constants(PACKAGE, str(family)).get("STUDENT")
    if offered is None:
        raise UserError(f"{key}.family: get/student/families/{family}.py assigns no class to STUDENT")
    wanted = COMMON | registry.arguments(PACKAGE, str(family), offered)
    given = {name: value for name, value in model.items() if name != "family"}
    registry.check_arguments(given, {k: v for k, v in wanted.items() if k not in OF_IMAGES}, key)
