"""Key `studies`: what `snakemake --cores all studies` looks at."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from get.experiment.config.errors import check
from get.experiment.config.keys import DISTINCT, Count, Keys, Positive

if TYPE_CHECKING:
    from get.experiment.config import Config


class Studies(Keys):
    """What `snakemake --cores all studies` looks at: how GETs do when trained and sampled in other ways."""

    trained: str
    """The GET that is trained in other ways, to its headline milestone with its seeds: with the last state
    supervised alone, with implicit gradients, from other numbers of pairs."""
    lower_lr: Positive
    """A learning rate below its own, at which it is trained in all these ways too; with the last state
    supervised alone it may not learn at one that suits all states."""
    sampled: Annotated[list[str], Field(min_length=1), DISTINCT]
    """GETs that are sampled with other initial states and by another solver, each of their seeds."""
    evaluations: Annotated[list[Count], Field(min_length=1), DISTINCT]
    """Evaluations at which the plain iteration and Anderson acceleration are compared."""
    pairs: Annotated[list[Count], Field(min_length=2), DISTINCT]
    """Numbers of pairs to learn from; more than there are are made."""


def check_studies(studies: Studies, config: "Config") -> None:
    """Check that the GETs of the studies are there, and what is derived from them."""
    for key, names in (("trained", [studies.trained]), ("sampled", studies.sampled)):
        for name in names:
            check(name in config.students, f"studies.{key}: no student {name!r}")
            student = config.students[name]
            trained_here = not (student.source or student.disabled)
            check(
                student.model.family == "get" and trained_here,
                f"studies.{key}: {name} must be a GET that is trained here",
            )
    training = config.students[studies.trained].training
    check(
        training.loss_decay and training.implicit is None and training.pairs is None,
        f"studies.trained: {studies.trained} must have all states supervised, unrolled, from all pairs",
    )
    check(studies.lower_lr < training.lr, "studies.lower_lr must be below the student's own")
    check(studies.pairs == sorted(studies.pairs), "studies.pairs must increase")
