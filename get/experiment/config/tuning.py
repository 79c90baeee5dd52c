"""Key `tuning`: what `snakemake --cores all tuning` tries."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from get.experiment.config.errors import ConfigError, check
from get.experiment.config.keys import DISTINCT, Count, Keys, Positive, Seed
from get.experiment.config.training import Distillation

if TYPE_CHECKING:
    from get.experiment.config import Config


class Tuning(Keys):
    """What `snakemake --cores all tuning` tries: the same values of one key for several students."""

    students: Annotated[list[str], Field(min_length=1), DISTINCT]
    """Students whose training is tried with each of the values."""
    key: str = "lr"
    """A number of their training."""
    values: Annotated[list[Positive], Field(min_length=2), DISTINCT]
    """The values, increasing; by equal factors, they tell equally much everywhere."""
    milestones: Annotated[list[Count], Field(min_length=1), DISTINCT]
    """Steps at which trials are scored, increasing; the last decides. A later one trains on from there."""
    seeds: Annotated[list[Seed], Field(min_length=1), DISTINCT] = [100]
    """Seeds of the trials, none of the students': tables then show no noise that a value was chosen by."""


def check_tuning(tuning: Tuning, config: "Config") -> None:
    """Check that the students are there, and that they can be trained with the values."""
    for key in ("values", "milestones"):
        values = getattr(tuning, key)
        check(values == sorted(values), f"tuning.{key} must increase")
    for name in tuning.students:
        check(name in config.students, f"tuning.students: no student {name!r}")
        student = config.students[name]
        check(not student.source, f"tuning.students: {name} is imported; leave it out")
        number = student.training.decisive().get(tuning.key)
        check(
            isinstance(number, int | float) and not isinstance(number, bool),
            f"tuning.key: the training of {name} has no number {tuning.key!r}",
        )
        shared = set(tuning.seeds) & set(student.seeds)
        check(not shared, f"tuning.seeds: {name} has the seeds {sorted(shared)} too; take others")
        for value in tuning.values:
            changed(student.training, tuning.key, value)


def changed(training: Distillation, key: str, value: Any) -> Distillation:
    """Return a training with another value of a key; raises `ConfigError` if it takes no such value."""
    try:
        return Distillation.model_validate({**training.settings(), key: value})
    except ValidationError as error:
        raise ConfigError(f"tuning.values: {value} for {key}: {error.errors()[0]['msg']}") from None
