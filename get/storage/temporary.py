"""Temporary files and folders: what a killed process leaves goes at once, or with the next process."""

import errno
import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from get.storage.errors import UserError

PREFIX = f"get-distillation-{socket.gethostname()}-{os.getuid()}-"
SETTLED = 60.0  # seconds after which a folder that is in use has long been locked


class RowFile:
    """Rows (N, D) float32 in a temporary file, which has no name: a killed process leaves none behind.

    They are written, and mapped when they are complete: to write into a map where the disk is full would kill
    the process without a word (SIGBUS).

    Attributes:
        width: numbers in a row; 0 before the first.
    """

    def __init__(self) -> None:
        with temporary_room():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (until it is mapped)
        self.width = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """Append rows (n, D), n >= 1; raises `UserError` where there is no room."""
        self.width = rows.shape[1]
        with temporary_room():
            self._file.write(np.ascontiguousarray(rows).data)

    def mapped(self) -> NDArray[np.float32]:
        """Return all rows (N, D), mapped from the file, to which nothing can be appended any more."""
        with temporary_room():
            self._file.flush()
        rows = np.memmap(self._file, np.float32, "c").reshape(-1, self.width)
        self._file.close()
        return rows


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed in the end; after a kill, by the next process that wants one.

    Raises:
        UserError: there is no room.
    """
    _remove_abandoned()
    with temporary_room():
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(path, os.O_RDONLY)
        with suppress(OSError):  # on a file system without locks, others remove nothing either
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _remove_abandoned() -> None:
    """Remove the folders of processes that are gone, which no longer hold the lock."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}????????"):
        with suppress(OSError):  # it is in use, has just been removed, or is somebody else's
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(lock).st_mtime > SETTLED:
                    shutil.rmtree(path)
            finally:
                os.close(lock)


@contextmanager
def temporary_room() -> Iterator[None]:
    """Turn the errors that a full temporary folder causes into `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        folder = tempfile.gettempdir()
        message = f"no room in {folder} for temporary files; free some, or name another folder in TMPDIR"
        raise UserError(message) from None
