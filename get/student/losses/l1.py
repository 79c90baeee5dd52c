"""Absolute error of every pixel, the paper's loss."""

from torch import Tensor


class L1:
    """|found - wanted|."""

    def __call__(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the error of each pixel."""
        return (found - wanted).abs()


LOSS = L1
LABEL = "L1"
