"""Files that are whole or absent, and short names for long contents.

Every file of the project is written under a temporary name and renamed, so that a name that exists
stands for a complete file. Its SHA-256 is kept beside it, in the hidden file .NAME.sha256 (in the format of
sha256sum), for `get verify`. `UserError` is the one exception whose message is meant for people: it names the
key or the file and says what to do.
"""

import errno
import fcntl
import glob
import hashlib
import json
import math
import os
import re
import reprlib
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")

# what is made for one milestone, teacher or baseline has the same place in each folder of the results
_PLACE = re.compile(r"(?:^|/)(students/[^/]+/seed\d+/\d+|(?:teachers|baselines)/[^/]+)\.[a-z0-9]+$")
LITTLE_SPACE = 2**20  # bytes; a file system with less is full, whatever a library makes of it


class UserError(Exception):
    """Something outside the program is wrong; the message says what, where, and the remedy."""

    exit_code = 2


@contextmanager
def atomic(path: str | Path, recorded: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error.

    Args:
        path: the file to write; what a killed writer of it left is removed.
        recorded: keep the hash of the content beside it.

    Raises:
        UserError: there is no room, or another process writes the same file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                left.unlink(missing_ok=True)
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.umask(umask := os.umask(0))
            temporary.chmod(0o666 & ~umask)  # some writers make files that others cannot read
            digest = sha256(temporary) if recorded else None
            os.replace(temporary, path)
            if digest:
                _record(path, digest)
    except FileNotFoundError as error:
        if not Path(error.filename or "").name.startswith(f".{path.name}."):
            raise
        raise UserError(f"another process writes {path} too; run the same command again") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the block ends without error.

    What a killed writer of it left is removed.

    Raises:
        UserError: there is something at `path` already, no room, or another process writes the same folder.
    """
    path = Path(path).resolve()  # '.' has no name, and a link is no folder
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; name a new folder, or delete it first")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with room_for(path):
            for left in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 16}.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            _put(temporary, path)
    except FileNotFoundError:
        if temporary.exists():
            raise
        raise UserError(f"another process writes {path} too; run the same command again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    """Give the folder `temporary` the name `path`."""
    if path.is_dir() and path.samefile("."):  # a shell would stay in the old one, and see nothing
        for file in temporary.iterdir():
            file.rename(path / file.name)
        return
    os.replace(temporary, path)  # also where there is an empty folder


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn what libraries make of a full or locked file system, in writing `path`, into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path} cannot be written ({error.strerror}); see to its folder") from None
        if _is_full(error, path.parent):
            message = f"no room to write {path}; free some and run the same command again"
            raise UserError(message) from error
        raise


def _is_full(error: Exception, folder: Path) -> bool:
    """Return True if `error` came of a full file system; not all libraries pass on the code that says so."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if "No space left" in str(error):
        return True
    try:
        return isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < LITTLE_SPACE
    except OSError:
        return False


def _record(path: Path, digest: str) -> None:
    record = record_of(path)
    temporary = record.with_name(f"{record.name}.{secrets.token_hex(8)}.tmp")
    temporary.write_text(f"{digest}  {path.name}\n")
    os.replace(temporary, record)


def record_of(path: Path) -> Path:
    """Return the path of the hidden file that keeps the hash of the file at `path`."""
    return path.with_name(f".{path.name}.sha256")


class Lock:
    """A lock that ends with its process, however that ends, and that says who holds it.

    Args:
        path: a file that exists while the lock is held (or after its holder was killed).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = -1

    def acquire(self) -> bool:
        """Take the lock if no other process holds it; returns whether this one holds it now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(os.stat(self.path), os.fstat(file))  # or its holder has just removed it
        except (BlockingIOError, FileNotFoundError):
            held = False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            held = True  # a file system without locks; Snakemake's own must do
        if not held:
            os.close(file)
            return False
        self._file = file
        os.ftruncate(file, 0)
        os.write(file, this_process().encode())
        return True

    def held(self) -> bool:
        """Return True if some process holds the lock."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # it is taken; or there are no locks here, and who made the file is believed
            return True
        finally:
            os.close(file)
        return False

    def holder(self) -> str:
        """Return who holds the lock, in words."""
        try:
            return self.path.read_text() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def this_process() -> str:
    """Return the words that name this process, and how to end it."""
    job = os.environ.get("SLURM_JOB_ID")
    end = f"scancel {job}" if job else f"kill {os.getpid()}"
    return f"process {os.getpid()} on {socket.gethostname()} ({end} ends it)"


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
    known = {field.name: field.default is MISSING for field in fields(cls)}  # type: ignore[arg-type]
    require_keys(settings, (key for key, needed in known.items() if needed or key in settings), name)
    types = get_type_hints(cls)
    for key, value in settings.items():
        wanted = get_args(types[key]) or (types[key],)
        wanted += (int,) if float in wanted else ()
        if type(value) not in wanted or (type(value) is float and not math.isfinite(value)):
            raise UserError(f"{name}: {key} is {reprlib.repr(value)}")
    return cls(**settings)


def write_text(path: str | Path, text: str, recorded: bool = True) -> None:
    """Write `text`; see `atomic`."""
    with atomic(path, recorded) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any, recorded: bool = True) -> None:
    """Write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", recorded)


def place(path: str | Path) -> str | None:
    """Return what a file of a results folder is made for ('students/get-16/seed0/500'); None elsewhere."""
    found = _PLACE.search(Path(path).as_posix())
    return found[1] if found else None


def missing(path: str | Path) -> UserError:
    """Return the error that there is no file at `path`; the workflow makes those of a results folder."""
    made = place(path) is not None or ("results" in Path(path).parts and Path(path).suffix)
    remedy = f"make it with: snakemake {path}" if made else "correct its name, or make it first"
    return UserError(f"{path} does not exist; {remedy}")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises `UserError` where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise missing(path) from None
    except (IsADirectoryError, ValueError, RecursionError) as error:  # no text, no JSON, nested without end
        raise UserError(
            f"{path} is no JSON ({error}); name another, or delete it and run snakemake again"
        ) from None
