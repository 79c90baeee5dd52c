"""The error whose message is meant for people."""

from pathlib import Path


class UserError(Exception):
    """Something outside the program is wrong.

    Args:
        message: one line that says what is wrong, and where.
        files: those to be made again, missing or not, if that is what helps. The command that makes them is
            added where the message is shown (`get.runtime.remedies`).
    """

    exit_code = 2

    def __init__(self, message: str, *files: str | Path) -> None:
        super().__init__(message)
        self.files = [Path(file) for file in files]


class Stale(UserError):
    """A file of the results is whole, but something that it was made from has changed since.

    To make it again does not suffice: what was made from it goes too (`get forget`).
    """


def require_unicode(path: str | Path) -> None:
    """Raise `UserError` if `path` has bytes that are not UTF-8; not all libraries can open such a file."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{path} cannot be opened: its name or the locale is not UTF-8; rename it, or export PYTHONUTF8=1"
        ) from None
