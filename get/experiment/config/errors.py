"""What a wrong config raises: an error whose message names the key."""

from collections.abc import Iterator
from contextlib import contextmanager

from get.storage.errors import UserError


class ConfigError(UserError):
    """A key of the config is wrong; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Error in the config: {message}")


def check(condition: object, message: str) -> None:
    """Raise `ConfigError` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn errors of the package, which name the key, into errors of the config."""
    try:
        yield
    except UserError as error:
        raise ConfigError(str(error)) from None
