"""Pseudo-Huber distance of images: squared for small errors, the root mean square for large ones."""

from torch import Tensor


class PseudoHuber:
    """sqrt(m + c^2) - c, where m is the mean square over the d pixels of an image.

    It is that of Song and Dhariwal 2023 (arXiv 2310.14189, equation 8) divided by sqrt(d), so that neither
    its size nor that of c depends on the size of images.

    Args:
        c: where it turns from squares to roots; in that paper 0.00054.
    """

    def __init__(self, *, c: float = 0.00054) -> None:
        self.c = c

    def __call__(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the error of each image."""
        mean_square = (found - wanted).square().mean(dim=(-3, -2, -1), keepdim=True)
        return (mean_square + self.c**2).sqrt() - self.c


LOSS = PseudoHuber
LABEL = "pseudo-Huber"
RANGES = {"c": (1e-8, 100.0)}
