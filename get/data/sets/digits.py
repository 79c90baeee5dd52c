"""The digits that scikit-learn ships: 1797 grey images of 8x8 (UCI optical recognition, test part)."""

from pathlib import Path

import numpy as np

from get.data.store import write_store
from get.runtime.seeding import fold_in

SHAPE = (1, 8, 8)
CLASSES = 10
IMAGES = 1797
SOURCE = "scikit-learn load_digits: UCI optical recognition of handwritten digits, test part"


def write_digits(path: str | Path, *, test_fraction: float, seed: int) -> None:
    """Write the store at `path`; grey level v in 0..16 becomes round(255 v / 16); the split is stratified."""
    from sklearn.datasets import load_digits  # imported late: it takes seconds
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.rint(255 * images / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    state = fold_in(seed, "split") % 2**32
    _, test = train_test_split(
        np.arange(len(labels)), test_size=test_fraction, stratify=labels, random_state=state
    )
    split = np.zeros(len(labels), np.uint8)
    split[test] = 1
    write_store(path, images, labels, split, name="digits", classes=10, source=SOURCE)


WRITE = write_digits
