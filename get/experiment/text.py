"""The config as text: what reading YAML would hide is refused, by key and line.

Of a key that is there twice YAML keeps the last value; 010 is 8 to it, 1:30 is 90, and the name no is false.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from get.experiment.config.errors import ConfigError, check
from get.experiment.loading import key_of

Place = tuple[str | int, ...]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C six times as fast, but not everywhere
TAG = "tag:yaml.org,2002:"
OCTAL = re.compile("[-+]?0[0-7_]+")


def check_files(paths: Iterable[str | Path]) -> None:
    """Check the files of a config.

    Args:
        paths: of YAML or JSON in UTF-8, which Snakemake has read.

    Raises:
        ConfigError: a file holds no keys; in one mapping a key is there twice, a key is no text, or a number
            is in base 8 or 60.
    """
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not in UTF-8; save it in that encoding") from None
        found = check_text(text, str(path))
        check(found and isinstance(found[0][1], MappingNode), f"{path} holds no keys, as a config does")


def check_options(entries: Iterable[str]) -> None:
    """Check what was given by Snakemake's option --config, as NAME=VALUE.

    Raises:
        ConfigError: a name is there twice, or something below a key is no text: Snakemake makes it text.
    """
    given = [entry.partition("=") for entry in entries]
    for name, count in Counter(name for name, _, _ in given).items():
        check(count == 1, f"--config {name}: it is there {count} times; keep one")
    for name, _, value in given:
        if not value.startswith(("{", "[")):
            continue
        for place, node in check_text(value, f"--config {name}"):
            check(
                not isinstance(node, ScalarNode) or node.tag == f"{TAG}str",
                f"{key_of((name, *place))}: --config makes {node.value} text; write it into a file, and name"
                " that after the others: --configfile config.yaml FILE",
            )


def check_text(text: str, source: str) -> list[tuple[Place, Node]]:
    """Return the nodes of a text with their places; raises as `check_files` does, and names the source."""
    try:
        root = yaml.compose(text.replace("\t", " "), Loader=LOADER)  # JSON may be indented with tabs
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {' '.join(str(error).split())}") from None
    found = list(nodes(root, (), set())) if root else []
    for place, node in found:
        if isinstance(node, MappingNode):
            check_keys(node, place, source)
        elif isinstance(node, ScalarNode) and node.tag in (f"{TAG}int", f"{TAG}float"):
            check_number(node, place, source)
    return found


def nodes(node: Node, place: Place, seen: set[int]) -> Iterator[tuple[Place, Node]]:
    """Yield a node and all below it with their places; what aliases share comes once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield place, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from nodes(value, (*place, key.value), seen)
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            yield from nodes(value, (*place, position), seen)


def check_keys(mapping: MappingNode, place: Place, source: str) -> None:
    """Check that each key of a mapping is there once, and is text (or <<)."""
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        line, name, kind = line_of(key), key.value, key.tag.removeprefix(TAG)
        where = f"{source}, line {line}: {key_of((*place, name))}"
        check(kind in ("str", "merge"), f'{where}: YAML reads {name} as {kind}, no name; write "{name}"')
        check(name not in lines, f"{where} is there twice, first in line {lines.get(name)}; keep one")
        lines[name] = line


def check_number(number: ScalarNode, place: Place, source: str) -> None:
    """Check that a number is not in base 8 (010) or 60 (1:30), which is hardly meant."""
    text = number.value
    octal = OCTAL.fullmatch(text)
    if not octal and ":" not in text:
        return
    meant = [str(yaml.load(text, Loader=LOADER)), *([str(int(text))] if octal else [])]
    raise ConfigError(
        f"{source}, line {line_of(number)}: {key_of(place)}: YAML reads {text} as {meant[0]};"
        f' write {" or ".join(dict.fromkeys(meant))}, or "{text}" if it is text'
    )


def line_of(node: Node) -> int:
    """Return the line that a node is in, from 1."""
    return int(node.start_mark.line) + 1
