"""Plug points: students, data sets, teachers' samplers and extractors, each one module in its folder.

A module is known by lying in its folder, and by nothing else: a name, from a config or from the header of a
file that may be forged, leads there or nowhere. What a module takes is the signature of its function or
class, read from the source, so that a config is checked without importing what the module needs.
"""

import ast
import importlib
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from get.storage.errors import UserError

ROOT = Path(__file__).resolve().parents[1]  # the package
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


@dataclass(frozen=True)
class Argument:
    """A keyword argument: its annotation, as written ('' for none), whether it may be left out, its default.

    The default is None, too, where it is no literal.
    """

    annotation: str
    optional: bool
    default: Any = None

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with `value`; None if nothing is, or if the annotation is not understood."""
        if isinstance(value, float) and not math.isfinite(value):
            return "it must be finite"
        if self.annotation.startswith("Literal["):
            choices = ast.literal_eval(self.annotation.removeprefix("Literal"))
            alike = any(value == choice and type(value) is type(choice) for choice in choices)
            return None if alike else f"it must be one of {', '.join(map(str, choices))}"
        kind = self.annotation.removesuffix(" | None")
        if kind in _KINDS and type(value) not in _KINDS[kind]:
            return f"it must be of type {kind}{spelling(value, kind)}"
        if kind == "int" and value < 1:
            return "it must be at least 1"
        return None


def spelling(value: Any, kind: str) -> str:
    """Return the words for how YAML spells a text or a float as a number of `kind`; '' if it is none.

    To YAML 2e5 and 2.0e5 are text, 2.0e+5 is a float, and 200000 is an int.
    """
    if kind not in ("int", "float") or not isinstance(value, str | float):
        return ""
    try:
        number, exact = float(value), Decimal(value)  # 1e23 is no float
    except (ValueError, ArithmeticError):
        return ""
    if not math.isfinite(number):
        return ""
    if kind == "float":
        text = repr(number)
        return f"; write {text if '.' in text else text.replace('e', '.0e')}"
    return f"; write {int(exact)}" if exact == int(exact) else ""


def names(package: str) -> list[str]:
    """Return the names of the modules in the folder of `package` ('student.architectures', 'data.sets')."""
    found = _folder(package).glob("*.py")
    return sorted(path.stem for path in found if _NAME.fullmatch(path.stem))


def require_known(package: str, name: Any, key: str) -> None:
    """Raise `UserError`, naming `key`, unless `name` is a module of `package`."""
    known = names(package)
    if name not in known:
        raise UserError(
            f"{key}: {name!r} must be one of {', '.join(known)}, or a new module (docs/extend.md)"
        )


def load(package: str, name: Any, key: str) -> ModuleType:
    """Return the module `name` of `package`; `key` is what names it.

    Raises:
        UserError: there is no such module.
    """
    require_known(package, name, key)
    return importlib.import_module(f"get.{package}.{name}")


@cache
def constants(package: str, name: str) -> dict[str, Any]:
    """Return what a module of `package` assigns to names in capitals, where that is a literal or a name."""
    found: dict[str, Any] = {}
    for node in _source(package, name).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        key = node.targets[0].id
        if not key.isupper():
            continue
        if isinstance(node.value, ast.Name):
            found[key] = node.value.id
            continue
        with suppress(ValueError):  # computed: nothing that a config is checked against
            found[key] = ast.literal_eval(node.value)
    return found


@cache
def arguments(package: str, name: str, of: str) -> dict[str, Argument]:
    """Return the keyword arguments of the function or class `of` in a module of `package`."""
    for node in _source(package, name).body:
        if isinstance(node, ast.ClassDef) and node.name == of:
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
            return next((_keywords(method) for method in methods if method.name == "__init__"), {})
        if isinstance(node, ast.FunctionDef) and node.name == of:
            return _keywords(node)
    raise UserError(f"{_folder(package) / name}.py has no {of}; see docs/extend.md")


def check_arguments(
    given: Mapping[str, Any], wanted: Mapping[str, Argument], key: str, ranges: Mapping[str, Any] = {}
) -> None:
    """Raise `UserError`, naming the key below `key`, unless `given` is what `wanted` says.

    `ranges` holds the lowest and the highest number that some of them may be.
    """
    for name in given.keys() - wanted.keys():
        raise UserError(f"{key}.{name}: there is no such key; there are {_listed(wanted)}")
    for name, argument in wanted.items():
        if name not in given and argument.optional:
            continue
        if name not in given:
            raise UserError(f"{key}.{name} is missing; it needs {_listed(wanted)}")
        problem = argument.problem(given[name])
        if not problem and name in ranges and not ranges[name][0] <= given[name] <= ranges[name][1]:
            problem = "it must be from {:g} to {:g}".format(*ranges[name])
        if problem:
            raise UserError(f"{key}.{name} is {given[name]!r}; {problem}")


def _listed(wanted: Mapping[str, Argument]) -> str:
    return ", ".join(name + " (or not)" * argument.optional for name, argument in wanted.items()) or "none"


def _folder(package: str) -> Path:
    return ROOT.joinpath(*package.split("."))


@cache
def _source(package: str, name: str) -> ast.Module:
    path = _folder(package) / f"{name}.py"
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from None


def _keywords(function: ast.FunctionDef) -> dict[str, Argument]:
    found = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        value = None
        if default is not None:
            with suppress(ValueError):  # computed
                value = ast.literal_eval(default)
        found[argument.arg] = Argument(annotation, default is not None, value)
    return found
