"""What is said beside an FID of too few images: means and covariances that they cannot give."""

from pathlib import Path

import torch
from torch import Tensor

LEAST = 50  # images that are few for any features
NO_VARIANCE = 1e-10  # of the largest, below which a direction of the features has none


def few_images(images: int, features: int, what: str = "images") -> list[str]:
    """Return a line that `images` are few for FID in so many features, or none if they are not.

    The covariance of N images has at most the rank N - 1: while N is not above the number of features it is
    singular, and FID says more about N than about the images.
    """
    least = max(features, LEAST)
    if images > least:
        return []
    return [f"{images} {what} are few for FID in {features} features: take many more than {least}"]


def few_images_of(path: str | Path, sigma: Tensor) -> list[str]:
    """Return the same of a covariance (D, D) from the file at `path`, which shows by its rank if N <= D.

    Features that never vary do not count: those of healthy sets have them.
    """
    spread = sigma.diagonal().clamp(min=0).sqrt()
    varies = spread > 0
    correlation = sigma[varies][:, varies] / spread[varies, None] / spread[varies]
    rank = int(torch.linalg.matrix_rank(correlation, rtol=NO_VARIANCE, hermitian=True))
    if rank == len(correlation):
        return []
    return few_images(rank + 1, len(sigma), f"images (by the rank of sigma in {path})")
