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
