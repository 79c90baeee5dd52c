"""What the studies of a config add to it: students that they train, and pairs for them."""

from typing import Any

from get import plugins
from get.experiment.checks import check
from get.experiment.config import Config, Pairs, Student


def derived_students(config: Config) -> dict[str, Student]:
    """Return the students that the studies of a config add, by name.

    Raises:
        ConfigError: the config has a student of such a name.
    """
    return _added(config, "students")


def derived_pairs(config: Config) -> dict[str, Pairs]:
    """Return the sets of pairs that the studies of a config add, by name; raises as `derived_students`."""
    return _added(config, "pairs")


def _added(config: Config, part: str) -> dict[str, Any]:
    if config.studies is None:
        return {}
    found: dict[str, Any] = {}
    for name in plugins.names("studies"):
        study = plugins.load("studies", name, "studies").STUDY
        found |= getattr(study, part)(config, config.studies)
    for name in found:
        check(
            name not in getattr(config, part),
            f"{part}.{name}: `studies` makes one of that name; choose another",
        )
    return found
