"""Key `rivals`: what `snakemake --cores all rivals` compares."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from get.experiment.config.errors import check
from get.experiment.config.keys import DISTINCT, Count, Keys, Label, Name, Positive, Seed
from get.experiment.config.students import Model
from get.experiment.config.training import Distillation

if TYPE_CHECKING:
    from get.experiment.config import Config


class Method(Keys):
    """A one-step method: a network, and how it is trained."""

    label: Label
    """What tables and figures call it."""
    model: Model
    """The architecture; where the teacher sees no class, conditioning counts as none."""
    training: Distillation
    """How it is trained; lr is the learning rate about which others are tried."""
    steps: Count
    """Steps that take as many operations as the reference's training; the table says what they took."""
    scaled: Annotated[list[str], DISTINCT] = []
    """Keys of training that count the steps of a schedule, for a whole reference budget. At another budget
    they are multiplied by it, and the method is trained for that budget alone."""
    pairs: Annotated[list[str], Field(min_length=1), DISTINCT] | None = None
    """Sets of pairs (tasks) that it is tried on; left out, all of rivals.pairs."""
    budgets: Annotated[list[Positive], Field(min_length=1), DISTINCT] | None = None
    """Budgets of its own, increasing, in place of rivals.budgets: a method without pairs may train for what
    the pairs take as well."""
    rates: Annotated[list[Positive], Field(min_length=1), DISTINCT] | None = None
    """Factors of its own, equally many and increasing, in place of rivals.rates."""


class Rivals(Keys):
    """What `snakemake --cores all rivals` compares: one-step methods at equal budgets, tuned alike."""

    reference: str
    """The method that the others are compared with; its training to `steps` is the budget 1."""
    pairs: Annotated[list[str], Field(min_length=1), DISTINCT]
    """Sets of pairs: each is a task, with its teacher; methods without pairs have the teacher alone."""
    budgets: Annotated[list[Positive], Field(min_length=1), DISTINCT]
    """Shares of the reference budget at which methods are scored, increasing."""
    seeds: Annotated[list[Seed], Field(min_length=2), DISTINCT]
    """Seeds of every method."""
    rates: Annotated[list[Positive], Field(min_length=1), DISTINCT]
    """Factors of each method's learning rate that are tried."""
    trial: Positive
    """Share of the reference budget of a trial."""
    trial_seed: Seed
    """Seed of the trials, none of `seeds`."""
    methods: Annotated[dict[Name, Method], Field(min_length=2)]
    """The methods, by name."""


def check_rivals(rivals: Rivals, config: "Config") -> None:
    """Check that the methods and tasks of the rivals are there, and what they must agree on."""
    check(rivals.reference in rivals.methods, f"rivals.reference: no method {rivals.reference!r}")
    for key in ("budgets", "rates"):
        values = getattr(rivals, key)
        check(values == sorted(values), f"rivals.{key} must increase")
    check(rivals.trial_seed not in rivals.seeds, "rivals.trial_seed is one of rivals.seeds; take another")
    for pairs in rivals.pairs:
        check(pairs in config.pairs, f"rivals.pairs: no pairs {pairs!r}")
        taken = pairs in ("claims", "budgets", "costs", "plan", "scores")
        taken |= pairs.endswith(("-rates", "-samples"))
        check(not taken, f"rivals.pairs: files of results/rivals are called {pairs!r}; rename these pairs")
    for name, method in rivals.methods.items():
        key = f"rivals.methods.{name}"
        for own in ("budgets", "rates"):
            values = getattr(method, own) or []
            check(values == sorted(values), f"{key}.{own} must increase")
        tried = len(rivals.rates)
        check(len(method.rates or rivals.rates) == tried, f"{key}.rates must be {tried}, as rivals.rates are")
        for pairs in method.pairs or ():
            check(pairs in rivals.pairs, f"{key}.pairs: {pairs} is none of rivals.pairs")
        counts = method.training.settings()
        for scaled in method.scaled:
            number = counts.get(scaled)
            check(isinstance(number, int), f"{key}.scaled: training has no number of steps {scaled!r}")
    reference, key = rivals.methods[rivals.reference], f"rivals.methods.{rivals.reference}"
    check(reference.pairs is None, f"{key}.pairs: the reference is compared on all of rivals.pairs")
    check(reference.budgets is None, f"{key}.budgets: the reference has those of rivals.budgets")
