"""Samples for studies of sampling itself: a GET from other initial states, and by another solver.

Both functions write sample files, to be scored like any other, whose info says more about what they compare.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from get.data.store import to_bytes
from get.runtime.device import pick_device
from get.runtime.log import Progress
from get.runtime.seeding import classes_of
from get.sampling.files import CHUNK, new_samples
from get.sampling.one_step import INITIAL, Samples, Sampling, sample
from get.sampling.students import open_checkpoint
from get.storage.errors import UserError
from get.student.architectures.get import GET
from get.student.equilibrium import SOLVERS, choose


def sample_initial_states(
    *,
    weights: str | Path,
    samples: int,
    batch: int,
    precision: str,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a GET from each kind of initial state z_0, with the same noise.

    The info has `apart`: by kind, the root mean square of the difference to the images from independent
    states, over pixels in grey levels (0 to 255).

    Args:
        weights: the student's checkpoint.
        samples, batch, precision, seed, device: as for `samples.sample_student`.
        output: the sample file, with a variant for each of `sampling.INITIAL`.

    Raises:
        UserError: the checkpoint is damaged, or of no GET.
    """
    student, about, labels = _opened(weights, samples, device)
    with new_samples(output, INITIAL, labels, student.shape) as file:
        apart = {}
        for initial in INITIAL:
            options = Sampling(batch, initial=initial, precision=precision)
            for rows, drawn in _drawn(student, labels, seed, options, trajectories=False):
                file.variants[initial][rows] = to_bytes(drawn.images).numpy()
            apart[initial] = _difference(file.variants[initial], file.variants[INITIAL[0]])
        file.info.update(about, apart=apart)


def sample_solvers(
    *,
    weights: str | Path,
    samples: int,
    batch: int,
    precision: str,
    evaluations: Sequence[int],
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a GET by every one of `equilibrium.SOLVERS`, at equal evaluations.

    Of each, the evaluation with the smallest residual is decoded, which is the published rule. The info has
    `residuals`: by solver, the mean over samples of ||f(z_k) - z_k|| for k = 0, 1, ...

    Args:
        weights: the student's checkpoint.
        samples, batch, precision, seed, device: as for `samples.sample_student`.
        evaluations: numbers of evaluations of the equilibrium transformer f.
        output: the sample file, with a variant 'SOLVER-EVALUATIONS' for each of `equilibrium.SOLVERS`.

    Raises:
        UserError: the checkpoint is damaged, or of no GET.
    """
    student, about, labels = _opened(weights, samples, device)
    options = Sampling(batch, max(evaluations), precision=precision)
    names = [f"{solver}-{count}" for solver in SOLVERS for count in evaluations]
    with new_samples(output, names, labels, student.shape) as file:
        residuals = {}
        for name, student.solver in SOLVERS.items():
            total = torch.zeros(max(evaluations), dtype=torch.float64)
            for rows, drawn in _drawn(student, labels, seed, options, trajectories=True):
                for count in evaluations:
                    chosen = choose(drawn.images[:count], drawn.residuals[:count], "lowest-residual")
                    file.variants[f"{name}-{count}"][rows] = to_bytes(chosen).numpy()
                total += drawn.residuals.double().sum(dim=1)
            residuals[name] = (total / samples).tolist()
        file.info.update(about, residuals=residuals)


def _opened(weights: str | Path, samples: int, device: str) -> tuple[GET, dict[str, Any], Tensor]:
    """Return the GET at `weights`, what the info says of it, and the classes (samples,): i mod classes."""
    student, header = open_checkpoint(weights)
    if not isinstance(student, GET):
        raise UserError(f"{weights} is of no GET; studies.sampled in the config may name GETs alone")
    about = {"nfe": 1, "conditional": student.conditional, "step": header["step"], "seed": header["seed"]}
    labels = classes_of(range(samples), student.classes if student.conditional else 0)
    return student.to(pick_device(device)), about, labels


def _drawn(
    student: GET, labels: Tensor, seed: int, options: Sampling, *, trajectories: bool
) -> Iterator[tuple[slice, Samples]]:
    """Yield the samples, batch by batch, and where each batch belongs among all; see `sampling.sample`."""
    device, progress = next(student.parameters()).device, Progress("samples", len(labels))
    batches = sample(
        student,
        range(len(labels)),
        labels,
        seed=seed,
        options=options,
        device=device,
        trajectories=trajectories,
    )
    done = 0
    for batch in batches:
        count = batch.images.shape[1 if trajectories else 0]
        yield slice(done, done + count), batch
        done += count
        progress.advance(count)
    progress.close()


def _difference(images: h5py.Dataset, others: h5py.Dataset) -> float:
    """Return the root mean square of the difference of two sets of images (N, C, H, W) uint8."""
    total = 0.0
    for first in range(0, len(images), CHUNK):
        one, other = (part[first : first + CHUNK].astype("f4") for part in (images, others))
        total += float(((one - other) ** 2).sum(dtype="f8"))
    return (total / images.size) ** 0.5
