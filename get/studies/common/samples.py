"""Samples of a GET for the studies that draw their own."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from torch import Tensor

from get.runtime.device import pick_device
from get.runtime.log import Progress
from get.runtime.seeding import classes_of
from get.sampling.files import CHUNK
from get.sampling.one_step import Samples, Sampling, sample
from get.sampling.students import open_checkpoint
from get.storage.errors import UserError
from get.student.architectures.get import GET


def open_get(weights: str | Path, samples: int, device: str) -> tuple[GET, dict[str, Any], Tensor]:
    """Return the GET at `weights`, what the info says of it, and the classes (samples,): i mod classes.

    Raises:
        UserError: the checkpoint is damaged, or of no GET.
    """
    student, header = open_checkpoint(weights)
    if not isinstance(student, GET):
        raise UserError(f"{weights} is of no GET; studies.sampled in the config may name GETs alone")
    about = {"nfe": 1, "conditional": student.conditional, "step": header["step"], "seed": header["seed"]}
    labels = classes_of(range(samples), student.classes if student.conditional else 0)
    return student.to(pick_device(device)), about, labels


def sample_batches(
    student: GET, labels: Tensor, seed: int, options: Sampling, *, trajectories: bool
) -> Iterator[Samples]:
    """Yield the samples with these classes, batch by batch; see `one_step.sample`."""
    draw = partial(sample, seed=seed, options=options, device=next(student.parameters()).device)
    progress = Progress("samples", len(labels))
    for batch in draw(student, range(len(labels)), labels, trajectories=trajectories):
        yield batch
        progress.advance(batch.rows.stop - batch.rows.start)
    progress.close()


def difference(images: h5py.Dataset, others: h5py.Dataset) -> float:
    """Return the root mean square of the difference of two sets of images (N, C, H, W) uint8."""
    total = 0.0
    for first in range(0, len(images), CHUNK):
        one, other = (part[first : first + CHUNK].astype("f4") for part in (images, others))
        total += float(((one - other) ** 2).sum(dtype="f8"))
    return (total / images.size) ** 0.5
