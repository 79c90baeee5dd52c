"""Files that are whole or absent, and short names for long contents.

Every file of the project is written under a temporary name and renamed, so that a name that exists
stands for a complete file. `UserError` is the one exception whose message is meant for people: it
names the key or the file and says what to do.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Something outside the program is wrong; the message says what, where, and the remedy."""

    exit_code = 2


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.umask(umask := os.umask(0))
        temporary.chmod(0o666 & ~umask)  # some writers make files that others cannot read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 16 hexadecimal digits that name the JSON-like `value` (64 bits of its SHA-256)."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of the content of the file at `path`, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified_sha256(path: str | Path, wanted: str | None) -> str:
    """Return the SHA-256 of the file at `path`, which must be `wanted` (None: any).

    Raises:
        UserError: the file is missing, or it is another one.
    """
    try:
        found = sha256(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct its path in the config") from None
    if wanted is not None and found != wanted.lower():
        raise UserError(
            f"{path} has SHA-256 {found}, not {wanted}: it is damaged or another file; delete it and get it "
            "again, or correct its sha256 in the config"
        )
    return found


def require_keys(settings: Mapping[str, Any], keys: Iterable[str], name: str) -> None:
    """Raise `UserError`, with the `name` of the settings, unless their keys are exactly `keys`."""
    wanted = set(keys)
    for problem, found in (("missing", wanted - settings.keys()), ("unknown", settings.keys() - wanted)):
        if found:
            raise UserError(f"{name}: {problem} key {', '.join(sorted(found))}")


def from_settings(cls: type[T], settings: Mapping[str, Any], name: str) -> T:
    """Return the dataclass `cls` made from `settings`; raises `UserError` as `require_keys`."""
    require_keys(settings, (field.name for field in fields(cls)), name)  # type: ignore[arg-type]
    return cls(**settings)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises `UserError` where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; make it with: snakemake {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no JSON ({error}); delete it and run snakemake again") from None
