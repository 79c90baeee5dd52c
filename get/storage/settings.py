"""Settings, as JSON has them, into dataclasses."""

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_type_hints

from get.storage.errors import UserError

T = TypeVar("T")


def require_keys(settings: Mapping[str, Any], keys: Iterable[str], name: str) -> None:
    """Raise `UserError`, with the `name` of the settings, unless their keys are exactly `keys`."""
    if not isinstance(settings, Mapping):
        raise UserError(f"{name}: keys and values should be where there is {type(settings).__name__}")
    wanted = set(keys)
    for problem, found in (("missing", wanted - settings.keys()), ("unknown", settings.keys() - wanted)):
        if found:
            raise UserError(f"{name}: {problem} key {', '.join(sorted(found))}")


def from_settings(cls: type[T], settings: Mapping[str, Any], name: str) -> T:
    """Return the dataclass `cls` made from `settings`, which may leave out what has a default.

    Raises:
        UserError: as `require_keys`, or a value is of another type than the field.
    """
    known = {
        field.name: field.default is MISSING and field.default_factory is MISSING
        for field in fields(cls)  # type: ignore[arg-type]
    }
    require_keys(settings, (key for key, needed in known.items() if needed or key in settings), name)
    types = get_type_hints(cls)
    for key, value in settings.items():
        wanted = get_args(types[key]) or (types[key],)
        wanted += (int,) if float in wanted else ()
        if type(value) not in wanted or (type(value) is float and not math.isfinite(value)):
            raise UserError(f"{name}: {key} is {reprlib.repr(value)}")
    return cls(**settings)
