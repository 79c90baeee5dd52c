"""Variants: ways in which samples were drawn, and their names in files ('lowest-residual-6', 'teacher')."""

import re
from dataclasses import dataclass
from enum import StrEnum

_NAME = re.compile(r"(.+)-(\d+)")


class Rule(StrEnum):
    """Which state of the fixed-point iteration is decoded."""

    LOWEST_RESIDUAL = "lowest-residual"  # the published rule
    LAST = "last"


@dataclass(frozen=True)
class Variant:
    """One way of drawing samples.

    Args:
        kind: a `Rule`; in studies a solver or an initial state; else what the source is ('teacher', 'real').
        iterations: evaluations of the equilibrium transformer; None where there is nothing to count.
    """

    kind: str
    iterations: int | None = None

    @classmethod
    def parse(cls, name: str) -> "Variant":
        """Return the variant of a name in a sample or score file."""
        found = _NAME.fullmatch(name)
        return cls(found[1], int(found[2])) if found else cls(name)

    def __str__(self) -> str:
        return self.kind if self.iterations is None else f"{self.kind}-{self.iterations}"
