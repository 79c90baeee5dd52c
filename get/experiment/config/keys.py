"""Kinds of keys and values that the config is made of."""

import difflib
import unicodedata
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WrapValidator


def unrounded(value: Any, check: Callable[[Any], float]) -> Any:
    """Return a number as it was written: 80 and 80.0 have different fingerprints."""
    check(value)
    return value


UNROUNDED = WrapValidator(unrounded)
Positive = Annotated[float, Field(gt=0), UNROUNDED]
NonNegative = Annotated[float, Field(ge=0), UNROUNDED]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]  # as HDF5 keeps it
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[  # part of the names of files, of at most 255 bytes
    str, StringConstraints(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$", max_length=100)
]
Precision = Literal["float32", "tf32", "bfloat16"]


def distinct(values: list[Any]) -> list[Any]:
    """Return a list, none of whose values comes twice."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value!r} comes twice")
    return values


def one_line(text: str) -> str:
    """Return a text that can stand in the cell of a table: of one line, not blank, no control signs."""
    if not text.strip() or any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in text):
        raise ValueError("it must be one line of text, without control signs")
    return text


Label = Annotated[Text, AfterValidator(one_line)]
DISTINCT = AfterValidator(distinct)


def meant(name: str, known: Iterable[str]) -> str:
    """Return the words for the key that was meant by one that there is not, or for those that there are."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    return f"was {close[0]} meant?" if close else f"there are {', '.join(known)}"


def optional(**limits: Any) -> Any:
    """Return the field of a key that may be left out, and is then in no settings."""
    return Field(default=None, exclude_if=lambda value: value is None, **limits)


class Keys(BaseModel):
    """A mapping of the config: unknown keys are refused, and so are values of another type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def settings(self) -> dict[str, Any]:
        """Return the keys as YAML has them, with defaults, without optional keys that were left out."""
        return self.model_dump(by_alias=True, warnings=False)  # mode="json" would make 80 a float


class OpenKeys(Keys):
    """A mapping with keys beyond these: arguments of a module, which are checked against its source."""

    model_config = ConfigDict(extra="allow")
