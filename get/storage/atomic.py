"""Files and folders that are whole or absent, each with its SHA-256 beside it."""

import errno
import glob
import json
import os
import resource
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from get.storage.errors import UserError
from get.storage.hashing import record_of, sha256

UNWRITABLE = (  # a place that takes no file, or none of that name
    errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
LITTLE_SPACE = 2**20  # bytes; a file system with less is full, whatever error a library raises


@contextmanager
def atomic(path: str | Path, recorded: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error.

    Args:
        path: the file to write; leftovers of its killed writers are removed.
        recorded: keep the hash of the content beside it.

    Raises:
        UserError: there is no room, or another process writes the same file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with room_for(path):
            # remove leftovers
            path.parent.mkdir(parents=True, exist_ok=True)
            for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                leftover.unlink(missing_ok=True)
            yield temporary
            # flush to disk; readable by all whom the umask allows, which not all writers see to
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.umask(umask := os.umask(0))
            temporary.chmod(0o666 & ~umask)
            # give the file its name, and record its hash
            digest = sha256(temporary) if recorded else None
            os.replace(temporary, path)
            if digest:
                _record(path, digest)
    except FileNotFoundError as error:
        if not Path(error.filename or "").name.startswith(f".{path.name}."):
            raise
        raise UserError(f"another process writes {path} too; run the same command again") from None
    finally:
        with suppress(OSError):  # no folder, no such name: then there is no such file either
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the block ends without error.

    Leftovers of its killed writers are removed.

    Raises:
        UserError: there is something at `path` already, no room, or another process writes the same folder.
    """
    path = Path(path).resolve()  # '.' has no name, and a link is no folder
    if os.path.exists(path) and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; name a new folder, or delete it first")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with room_for(path):
            for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 16}.tmp"):
                shutil.rmtree(leftover, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            _rename(temporary, path)
    except FileNotFoundError:
        if temporary.exists():
            raise
        raise UserError(f"another process writes {path} too; run the same command again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, path: Path) -> None:
    """Give the folder `temporary` the name `path`."""
    if path.is_dir() and path.samefile("."):  # a shell would stay in the old one, and see nothing
        for file in temporary.iterdir():
            file.rename(path / file.name)
        return
    os.replace(temporary, path)  # also where there is an empty folder


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn the errors of a file system that is full, locked, or takes no such file into `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise UserError(f"{path} cannot be written ({error.strerror}); see to its folder") from None
        if _is_full(error, path.parent):
            message = f"no room to write {path}; free some and run the same command again"
            raise UserError(message) from error
        if _is_too_large(error, path.parent):
            message = (
                f"{path} is larger than a file may be here; raise the limit (ulimit -f) or name another disk"
            )
            raise UserError(message) from error
        raise


def _is_full(error: Exception, folder: Path) -> bool:
    """Return True if a full file system caused `error`; not all libraries pass on the code that says so."""
    if _is_due_to(error, "No space left", errno.ENOSPC, errno.EDQUOT):
        return True
    try:
        return isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < LITTLE_SPACE
    except OSError:
        return False


def _is_too_large(error: Exception, folder: Path) -> bool:
    """Return True if the limit of the size of files caused `error`; torch passes on no code."""
    if _is_due_to(error, "File too large", errno.EFBIG):
        return True
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not isinstance(error, RuntimeError) or limit == resource.RLIM_INFINITY:
        return False
    return any(file.stat().st_size >= limit for file in folder.glob(".*.tmp"))


def _is_due_to(error: BaseException | None, text: str, *codes: int) -> bool:
    """Return True if an error, or one that led to it, has one of the codes or the text."""
    while error:
        if (isinstance(error, OSError) and error.errno in codes) or text in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _record(path: Path, digest: str) -> None:
    record = record_of(path)
    temporary = record.with_name(f"{record.name}.{secrets.token_hex(8)}.tmp")
    temporary.write_bytes(f"{digest}  ".encode() + os.fsencode(path.name) + b"\n")
    os.replace(temporary, record)


def write_text(path: str | Path, text: str, recorded: bool = True) -> None:
    """Write `text`; see `atomic`. A byte of a file's name that is not UTF-8 written \\udcXX, as in JSON."""
    with atomic(path, recorded) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, value: Any, recorded: bool = True) -> None:
    """Write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", recorded)
