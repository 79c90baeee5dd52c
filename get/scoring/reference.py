"""References: features and moments of the real images of a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import read_split
from get.runtime.device import pick_device
from get.scoring.features import Extractor
from get.scoring.metrics import (
    Moments,
    moments,
    read_moments,
    read_source,
    square_root,
    write_moments,
)
from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hashing import canonical_json, sha256
from get.storage.reading import reading


class Source(NamedTuple):
    """What a reference is made of: an image store, one of its splits, and the weights of the extractor."""

    store: str | Path
    split: str
    weights: str | Path

    def text(self) -> str:
        """Return the content of the files in short."""
        hashes = {"store": sha256(self.store), "weights": sha256(self.weights)}
        return canonical_json({**hashes, "split": self.split})


@dataclass(frozen=True)
class Reference:
    """The real images of one split: features (N, D), their moments, and the square root of the covariance."""

    features: NDArray[np.float32]
    moments: Moments
    root: Tensor


def write_reference(
    *,
    store: str | Path,
    split: str,
    extractor: str,
    weights: str | Path,
    batch: int,
    device: str,
    statistics: str | Path,
    features: str | Path,
) -> None:
    """Write the moments of one split (`statistics`, .npz) and its `features` (.npy); see `Extractor`."""
    images = read_split(store, split).images
    rows = Extractor(extractor, weights, device, batch)(images).penultimate
    source = Source(store, split, weights).text()
    write_moments(statistics, moments(rows, pick_device(device)), source)
    with atomic(features) as temporary, open(temporary, "wb") as file:
        np.save(file, rows)


def read_reference(
    statistics: str | Path, features: str | Path, source: Source, device: torch.device
) -> Reference:
    """Read what `write_reference` wrote of `source`.

    Raises:
        UserError: a file is missing, damaged, or of other images or another extractor.
    """
    real = read_moments(statistics, device)
    if read_source(statistics) != source.text():
        raise UserError(
            f"{statistics} was not made of the {source.split} images of {source.store} by {source.weights}: "
            "one of them was put there later",
            statistics,
        )
    with reading(features, "file of features"):
        rows = np.load(features, mmap_mode="c")
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype != np.float32 or len(rows) < 2:
            raise ValueError("it has no rows of numbers")
        mean = rows.mean(axis=0, dtype=np.float64)
        if mean.shape != real.mu.shape or not np.allclose(mean, real.mu.cpu(), rtol=1e-6, atol=1e-6):
            raise UserError(f"{features} {rows.shape} does not belong to {statistics}", features)
    return Reference(rows, real, square_root(real.sigma))
