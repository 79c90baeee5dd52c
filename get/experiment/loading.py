"""From what YAML holds to an experiment; what is wrong is named by its key."""

import datetime
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from get.experiment.config import Config, check_config
from get.experiment.config.errors import ConfigError
from get.experiment.config.keys import meant
from get.experiment.config.unlabelled import without_classes
from get.experiment.experiment import Experiment
from get.runtime import plugins


def load(given: Mapping[str, Any]) -> Experiment:
    """Return the experiment that a config, read from YAML, describes.

    Raises:
        ConfigError: a key is unknown, missing, of another type, out of range, or at odds with another one.
    """
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        # a misspelt key comes before the key that is missing for it
        first = min(error.errors(), key=lambda each: each["type"] not in ("extra_forbidden", "unknown_key"))
        raise ConfigError(message(first)) from None
    if not config.data.classes:
        config = without_classes(config)
    check_config(config)
    return Experiment(config)


def message(error: Mapping[str, Any]) -> str:
    """Return the words for an error of pydantic: the key, what must be, and what there is."""
    place = list(error["loc"])
    key, given = key_of(place), error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: there is no such key; {meant(str(place[-1]), keys_at(place[:-1]))}"
        case "unknown_key":  # of a mapping that takes the arguments of a module too
            name, known, others = (error["ctx"][part] for part in ("key", "known", "objectives"))
            if not others:
                return f"{key}.{name}: there is no such key; {meant(str(name), known)}"
            wanted = f"{key}.objective: {' or '.join(others)}"
            return f"{key}.{name} goes with {wanted}; name it, or leave the key out"
        case "missing":
            return f"{key} is missing"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{key}: keys and values should be where there is {given!r}"
        case "string_pattern_mismatch":
            return f"{key}: {given!r} does not match the pattern {error['ctx']['pattern']}"
        case "finite_number":
            return f"{key}: .nan and .inf are no numbers to compute with"
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    return f"{key}: {text[:1].lower()}{text[1:]}; there is {given!r}{remedy(error['type'], given)}"


def key_of(place: Sequence[str | int]) -> str:
    """Return a place as a reader of the YAML finds it: paper.table2[0].student."""
    text = ""
    for part in place:
        if part != "[key]":  # pydantic's mark of a key that is itself wrong
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the config"


def remedy(problem: str, given: Any) -> str:
    """Return the words for how a value of another type is written so that YAML reads what is wanted."""
    match problem:
        case "int_type" | "float_type":
            return plugins.spelling(given, problem.removesuffix("_type"))
        case "bool_type":
            return "; write true or false"
        case "string_type" if isinstance(given, bool | int | float | datetime.date):
            return "; in quotes it is text"
    return ""


def keys_at(place: Sequence[str | int]) -> list[str]:
    """Return the keys that the config may have at a place."""
    kind: Any = Config
    for part in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = kind.model_fields.items()
            kind = next(field.annotation for name, field in fields if part in (name, field.alias))
        else:  # of a mapping by names, or a list
            kind = typing.get_args(kind)[-1]
        kind = model_in(kind)
    return [field.alias or name for name, field in kind.model_fields.items()]


def model_in(kind: Any) -> Any:
    """Return a type without what is said about it, and without None as an alternative."""
    if typing.get_origin(kind) is typing.Annotated:
        return model_in(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return model_in(next(part for part in typing.get_args(kind) if part is not type(None)))
    return kind
