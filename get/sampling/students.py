"""Samples of students, and their errors on held-out pairs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import to_bytes
from get.pairs.dataset import Pairs, held_out_pairs
from get.runtime.device import autocast, pick_device
from get.runtime.limits import within_memory
from get.runtime.log import Progress
from get.runtime.seeding import classes_of, normal
from get.sampling.files import SampleFile, new_samples
from get.sampling.one_step import Sampling, sample
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.places import require_place
from get.storage.reading import reading, require
from get.storage.weights import Header
from get.student import checkpoint
from get.student.equilibrium import choose
from get.student.models import Student, parameter_count

HEADER = {"pairs": str, "teacher": str | None, "step": int, "seed": int, "plateau": bool}


def sample_student(
    *,
    weights: str | Path,
    held_out: str | Path,
    samples: int,
    batch: int,
    iterations: list[int],
    precision: str,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a student's EMA weights in one step, and measure its error on the held-out pairs.

    One solve serves all variants. The info has means over samples, per iteration: `residuals` of the state,
    and `changes` of the decoded image (root mean square over pixels in [-1, 1]) between iterations.

    Args:
        weights: the student's checkpoint.
        held_out: the shard of held-out pairs.
        samples, batch: number of samples, and of those per call; sample i has class i mod classes.
        iterations: other numbers of fixed-point iterations to sample a GET with.
        precision, seed, device: see `Sampling`, `sampling.sample`, `runtime.pick_device`.
        output: the sample file.

    Raises:
        UserError: a file is damaged, or the held-out pairs are of another teacher than the student's.
    """
    on = pick_device(device)
    student, header, pairs = open_student(weights, held_out)
    student.to(on)
    labels = classes_of(range(samples), header["model"]["classes"] if student.conditional else 0)
    variants = _variants(student, iterations)
    options = Sampling(batch, max(count for count, _ in variants.values()), precision=precision)
    with new_samples(output, list(variants), labels, student.shape) as file:
        file.info.update({key: header[key] for key in ("model", "step", "seed", "plateau")})
        file.info.update(nfe=1, conditional=student.conditional, parameters=parameter_count(student))
        file.info["weights"] = sha256(weights)
        file.info.update(_fill(file, student, variants, seed, options, on))
        file.info["l1_held_out"] = held_out_errors(student, pairs, variants, options, on)


def open_checkpoint(weights: str | Path) -> tuple[Student, Header]:
    """Return a student and the header of its checkpoint; raises `UserError` if it is damaged or another's."""
    student, header = checkpoint.load(weights)
    with reading(weights, "student of this project"):
        require(header, HEADER)
        require_place(weights, header.get("place"))
    return student, header


def open_student(weights: str | Path, held_out: str | Path) -> tuple[Student, Header, Pairs]:
    """Return a student, the header of its checkpoint, and the pairs that its teacher kept from training.

    Raises:
        UserError: a file is damaged, or the held-out pairs are of another teacher than the student's.
    """
    student, header = open_checkpoint(weights)
    pairs = held_out_pairs(held_out, header["pairs"])
    if header["teacher"] not in (None, pairs.teacher):  # a published student does not name its teacher
        raise UserError(
            f"{weights} was trained on pairs of another teacher than those in {held_out}", weights
        )
    return student, header, pairs


def _fill(
    file: SampleFile,
    student: Student,
    variants: dict[str, tuple[int, str]],
    seed: int,
    options: Sampling,
    device: torch.device,
) -> dict[str, list[float]]:
    """Draw the samples of all variants into `file`; returns the mean residuals and changes by iteration."""
    count, done = len(file.labels), 0
    sums: dict[str, Any] = {"residuals": 0.0, "changes": 0.0}
    progress = Progress("samples", count)
    labels = torch.from_numpy(file.labels)
    for images, residuals in sample(
        student, range(count), labels, seed=seed, options=options, device=device, trajectories=True
    ):
        rows = slice(done, done := done + images.shape[1])
        for name, (number, rule) in variants.items():
            file.variants[name][rows] = to_bytes(choose(images[:number], residuals[:number], rule)).numpy()
        sums["residuals"] += residuals.double().sum(dim=1)
        sums["changes"] += (images[1:] - images[:-1]).square().mean(dim=(2, 3, 4)).sqrt().double().sum(dim=1)
        progress.advance(images.shape[1])
    progress.close()
    return {name: (total / count).tolist() for name, total in sums.items()}


def _variants(student: Student, iterations: list[int]) -> dict[str, tuple[int, str]]:
    """Return the variants to sample, headline first: name -> (iterations, rule)."""
    if student.state_shape is None:
        return {"one-step": (1, "last")}
    trained = student.iterations
    choices = [(trained, "lowest-residual"), (trained, "last")]
    choices += [(count, "lowest-residual") for count in iterations if count != trained]
    return {f"{rule}-{count}": (count, rule) for count, rule in choices}


@torch.no_grad()
def held_out_errors(
    student: Student,
    pairs: Pairs,
    variants: dict[str, tuple[int, str]],
    options: Sampling,
    device: torch.device,
) -> dict[str, float]:
    """Return the mean absolute error (images in [-1, 1]) on all held-out pairs, of each variant."""

    def errors(rows: slice) -> list[float]:
        positions = torch.arange(rows.start, rows.stop)
        noise, image, label = pairs.batch(positions).on(device)
        state = _held_out_state(student, positions, device)
        with autocast(device, options.precision):
            guesses, steps = student.trajectory(noise, label, state, options.iterations)
        chosen = (choose(guesses[:count], steps[:count], rule) for count, rule in variants.values())
        return [(guess.float() - image).abs().sum().item() for guess in chosen]

    parts = within_memory(errors, len(pairs), options.batch, "evaluation.batch (--batch)")
    totals = dict(zip(variants, map(sum, zip(*parts, strict=True)), strict=True))
    return {name: total / (len(pairs) * int(np.prod(pairs.shape))) for name, total in totals.items()}


def _held_out_state(student: Student, positions: Tensor, device: torch.device) -> Tensor | None:
    """Return z_0 for the held-out pairs at `positions`; None for a student without a state."""
    if student.state_shape is None:
        return None
    return normal(positions.tolist(), student.state_shape, 0, "held-out", "state", device=device)


class Answer(NamedTuple):
    """What teacher and student make of the same noise.

    noise (N, C, H, W) float32; teacher and student (N, C, H, W) uint8; labels (N,), None without classes.
    """

    noise: NDArray[np.float32]
    teacher: NDArray[np.uint8]
    student: NDArray[np.uint8]
    labels: NDArray[np.int64] | None


@torch.no_grad()
def answer(*, weights: str | Path, held_out: str | Path, count: int, precision: str, device: str) -> Answer:
    """Return teacher's and student's images of the first `count` held-out noises (or of all, if fewer).

    The student answers as in samples: one evaluation of its EMA weights, by the published rule.

    Raises:
        UserError: see `open_student`.
    """
    on = pick_device(device)
    student, _, pairs = open_student(weights, held_out)
    student.to(on)
    positions = torch.arange(min(count, len(pairs)))
    noise, image, label = pairs.batch(positions).on(on)
    with autocast(on, precision):
        drawn = student.generate(noise, label, _held_out_state(student, positions, on))
    made, labels = to_bytes(drawn.images.float().cpu()).numpy(), label.cpu().numpy()
    return Answer(noise.cpu().numpy(), to_bytes(image.cpu()).numpy(), made, labels if pairs.classes else None)
