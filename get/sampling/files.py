"""Sample files: uint8 images of one source, to be scored and drawn.

HDF5: a dataset (N, C, H, W) uint8 per variant (a student with a state has one per rule and number of
iterations, everything else just one), labels (N,) int64, and the attribute 'info', JSON that goes into the
scores. The source's headline variant comes first in info['variants'].
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from get.storage.atomic import atomic
from get.storage.hdf5 import dataset, new_hdf5, open_hdf5
from get.storage.places import place, require_place
from get.storage.reading import reading, require, require_unchanged

CHUNK = 1024  # images at a time
INFO = {"variants": list, "place": str | None}


class SampleFile(NamedTuple):
    """An open sample file.

    variants: name -> images uint8 (N, C, H, W), headline first; labels (N,); info as in the scores.
    """

    variants: dict[str, h5py.Dataset]
    labels: NDArray[np.int64]
    info: dict[str, Any]


@contextmanager
def new_samples(
    path: str | Path, variants: Sequence[str], labels: Tensor, shape: Sequence[int]
) -> Iterator[SampleFile]:
    """Yield a new sample file, for the block to fill its variants and its info; written atomically.

    Args:
        variants: their names, headline first.
        labels: (N,); shape: (C, H, W).
    """
    size = len(labels) * (len(variants) * math.prod(shape) + 8)
    with atomic(path) as temporary, new_hdf5(temporary, size) as file:
        sets = {name: file.create_dataset(f"images/{name}", (len(labels), *shape), "u1") for name in variants}
        content = SampleFile(sets, labels.numpy(), {})
        yield content
        file["labels"] = content.labels
        info = {**content.info, "variants": list(variants), "place": place(path)}
        file.attrs["info"] = json.dumps(info)


@contextmanager
def open_samples(path: str | Path) -> Iterator[SampleFile]:
    """Yield the sample file at `path`.

    Raises:
        UserError: missing, damaged, no sample file, or put in the place of another.
    """
    with ExitStack() as stack:
        with reading(path, "sample file"):
            require_unchanged(path)  # HDF5 itself may crash or hang over damaged bytes
            file = stack.enter_context(open_hdf5(path))
            info = json.loads(file.attrs["info"])
            require(info, INFO)
            variants = {name: dataset(file, f"images/{name}", np.uint8, 4) for name in info["variants"]}
            content = SampleFile(variants, dataset(file, "labels", np.int64, 1)[:], info)
            shapes = {images.shape for images in variants.values()}
            if len(shapes) != 1 or len(content.labels) != shapes.pop()[0]:
                raise ValueError("its variants and labels are not of one length")
            require_place(path, info["place"])
        yield content
