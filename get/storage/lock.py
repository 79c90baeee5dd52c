"""A lock that ends with its process and names its holder."""

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from get.storage.atomic import room_for


class Lock:
    """A lock that ends with its process, however that ends, and that says who holds it.

    Args:
        path: a file that exists while the lock is held (or after its holder was killed).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = -1

    def acquire(self) -> bool:
        """Take the lock if no other process holds it; returns whether this one holds it now.

        Raises:
            UserError: its file cannot be written.
        """
        with room_for(self.path):
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
            return self.path.read_text(encoding="utf-8") or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def this_process() -> str:
    """Return the words that name this process, and how to end it."""
    job, until = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_JOB_END_TIME", "")
    left_over = until.isdecimal() and int(until) < time.time()  # in a shell whose job has ended
    end = f"scancel {job}" if job and not left_over else f"kill {os.getpid()}"
    return f"process {os.getpid()} on {socket.gethostname()} ({end} ends it)"
