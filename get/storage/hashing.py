"""Short names for long contents, and the SHA-256 of files."""

import hashlib
import json
from pathlib import Path
from typing import Any

from get.storage.errors import UserError


def record_of(path: Path) -> Path:
    """Return the path of the hidden file that keeps the hash of the file at `path`."""
    return path.with_name(f".{path.name}.sha256")


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
        raise UserError(f"{path} cannot be read ({error.strerror}); correct its path") from None
    if wanted is not None and found != wanted.lower():
        raise UserError(
            f"{path} has SHA-256 {found}, not {wanted}: it is damaged or another file; name the one that has "
            "it, or correct the SHA-256 (sha256 in the config, --sha256)"
        )
    return found
