"""The error whose message is meant for people."""


class UserError(Exception):
    """Something outside the program is wrong; the message says what, where, and the remedy."""

    exit_code = 2
