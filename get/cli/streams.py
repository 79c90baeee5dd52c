"""Standard output and error as they may be: closed, full, without a reader, without some signs."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from get.storage.errors import UserError

NO_READER = 141  # the exit code where nobody reads on (`| head -1`), as of a program that SIGPIPE ends


@contextmanager
def checked_streams() -> Iterator[None]:
    """In the block, signs that a terminal lacks are escaped, and lost output makes no traceback.

    Where standard output cannot be written the command ends, with one line, or with none where nobody reads
    on. What standard error cannot take is lost, and the work goes on.
    """
    _open_closed()
    before = sys.stdout, sys.stderr
    kinds = zip(before, (_Output, _Stream), strict=True)
    sys.stdout, sys.stderr = (_checked(stream, kind) for stream, kind in kinds)
    try:
        yield
    finally:
        checked = sys.stdout, sys.stderr
        try:
            for stream in checked:
                stream.flush()
        finally:
            sys.stdout, sys.stderr = before
            for stream in checked:
                if isinstance(stream, _Stream):
                    stream.detach()  # closed with it, standard output would be closed


def _open_closed() -> None:
    """Open to nothing what is closed (`2>&-`), or the next file that is opened would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


class _Stream(io.TextIOWrapper):
    """Standard error."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self.lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """Write to nothing from now on, also what is still in a buffer."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


class _Output(_Stream):
    """Standard output."""

    def lose(self, error: OSError) -> None:
        """End the command."""
        super().lose(error)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(NO_READER)
        print(f"get: standard output cannot be written ({error.strerror})", file=sys.stderr)
        raise SystemExit(UserError.exit_code)


def _checked(stream: TextIO, kind: type[_Stream]) -> TextIO:
    """Return a stream of this kind to where `stream` writes; a notebook's is left as it is."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return kind(stream.buffer, stream.encoding, "backslashreplace", line_buffering=stream.line_buffering)
