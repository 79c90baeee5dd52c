"""Squared error of every pixel."""

from torch import Tensor


class L2:
    """(found - wanted)^2."""

    def __call__(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the error of each pixel."""
        return (found - wanted).square()


LOSS = L2
LABEL = "L2"
