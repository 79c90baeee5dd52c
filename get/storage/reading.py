"""Reading files that may be damaged or of another kind: errors that name the file, and shared checks."""

import errno
import json
import math
import reprlib
import textwrap
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from get.storage.errors import Stale, UserError, require_unicode
from get.storage.hashing import record_of, sha256

NUMBER = int | float
NO_ACCESS = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT)
NO_LOCK = "unable to lock file"  # HDF5's words, with a number that differs from one file system to the next


class Damaged(UserError):
    """A file is not what it should be."""


@contextmanager
def reading(path: str | Path, what: str, remedy: str = "") -> Iterator[None]:
    """Turn what the block raises in reading `path`, which should be a `what`, into a `UserError`.

    Args:
        path: the file.
        what: its kind, for the message.
        remedy: what to do if it is damaged, where that is not to make it again.

    Raises:
        Damaged: its content is to blame, as far as one can tell.
        UserError: the file is missing, or the system cannot read it now.
    """
    try:
        yield
    except FileNotFoundError:
        raise missing(path) from None
    except Exception as error:  # libraries raise errors of every kind for damaged files
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            raise
        if isinstance(error, OSError) and error.errno in NO_ACCESS:  # the file may be whole
            raise no_access(path, error) from None
        if NO_LOCK in str(error):
            raise UserError(
                f"{path} cannot be locked ({error}); set HDF5_USE_FILE_LOCKING=FALSE in the environment"
            ) from None
        if isinstance(error, UserError) and str(path) in str(error):
            raise
        require_unicode(path)
        kind = "" if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: "
        line = (str(error).splitlines() or [""])[0]
        reason = textwrap.shorten(kind + "".join(filter(str.isprintable, line)), 200)
        if remedy:
            raise Damaged(f"{path} is no {what} or is damaged ({reason}); {remedy}") from None
        raise unfit(path, f"is no {what} ({reason})", f"is no {what} or is damaged ({reason})") from None


def no_access(path: str | Path, error: OSError) -> UserError:
    """Return the error that the system does not let the file or folder at `path` be read."""
    if isinstance(error, PermissionError):
        return UserError(f"{error.filename or path} may not be read by this user; see to its permissions")
    return UserError(f"{path} cannot be read now ({error}); run the same command again")


def unfit(path: str | Path, what: str, damaged: str = "") -> UserError:
    """Return the error that a file is of another kind: to be made again, unless it is as it was written.

    Args:
        path: the file.
        what: what it is not ('is no score file').
        damaged: the words for a file that may be damaged; left out, the same.
    """
    if (record := _record(path)) and record == [sha256(path), Path(path).name]:
        return UserError(f"{path} {what}; it is as it was written: name another file")
    return Damaged(f"{path} {damaged or what}", path)


def outdated(path: str | Path, what: str) -> UserError:
    """Return the error that a file belongs to another teacher or other settings than it should.

    It may be the wrong one, out of date, or put there by mistake.
    """
    return (Stale if as_written(path) else UserError)(f"{path} {what}", path)


def require(content: Any, kinds: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless `content`, from JSON, is an object with these keys and kinds of values."""
    if not isinstance(content, dict):
        raise ValueError(f"an object should be where there is {reprlib.repr(content)}")
    for key, kind in kinds.items():
        if key not in content:
            raise ValueError(f"no {key}")
        value = content[key]
        wrong = isinstance(value, bool) and kind in (int, NUMBER)  # Python takes truth for a number
        if wrong or not isinstance(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{key} is {reprlib.repr(value)}")


def as_written(path: str | Path) -> bool | None:
    """Return whether the hash of a file is the one that was kept beside it; None without both."""
    digest = recorded(path)
    return None if digest is None else digest == sha256(path)


def recorded(path: str | Path) -> str | None:
    """Return the hash that was kept beside a file when it was written; None without both."""
    record = _record(path)
    return record[0] if record else None


def _record(path: str | Path) -> list[str] | None:
    """Return the hash that was kept beside a file, and the name that it had then; None without both."""
    record = record_of(Path(path))
    if not record.exists() or not Path(path).is_file():
        return None
    line = record.read_text(encoding="utf-8", errors="surrogateescape")
    return line.rstrip("\n").split("  ", 1)


def require_unchanged(path: str | Path) -> None:
    """Raise `UserError` if the file is not the one whose hash is kept beside it (without one, it passes)."""
    if as_written(path) is False:
        raise UserError(f"{path} was changed since it was written", path)


def require_small(path: str | Path, limit: int | None = None, arrays: Collection[str] = ()) -> None:
    """Raise `ValueError` if a zip archive unfolds to more than `limit` bytes; left out, than its own size.

    Where `arrays` of an .npz are named, they alone count.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            named = {member.filename.removesuffix(".npy"): member.file_size for member in archive.infolist()}
            size = sum(named.get(name, 0) for name in arrays or named)
        if size > (limit or Path(path).stat().st_size):
            raise ValueError(f"it unfolds to {size} bytes")


def missing(path: str | Path) -> UserError:
    """Return the error that there is no file at `path`."""
    return UserError(f"{path} does not exist", path)


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises `UserError` where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except PermissionError as error:
        raise no_access(path, error) from None
    except (IsADirectoryError, ValueError, RecursionError) as error:  # no text, no JSON, nested without end
        raise UserError(f"{path} is no JSON ({error})", path) from None
