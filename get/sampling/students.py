"""Sample files of students, with their errors on held-out pairs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from get.data.store import to_bytes
from get.pairs.dataset import Pairs, held_out_pairs
from get.runtime.device import autocast, pick_device
from get.runtime.limits import within_memory
from get.runtime.log import Progress
from get.runtime.seeding import classes_of
from get.sampling.files import SampleFile, new_samples
from get.sampling.one_step import Sampling, sample
from get.storage.hashing import sha256
from get.storage.places import require_place
from get.storage.reading import outdated, reading, require
from get.storage.variants import Rule, Variant
from get.storage.weights import Header
from get.student import checkpoint
from get.student.equilibrium import choose
from get.student.initial import held_out_state
from get.student.models import Student, parameter_count

HEADER = {"pairs": str | None, "teacher": str | None, "step": int, "seed": int, "plateau": bool}


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
    images: str | Path | None = None,
) -> None:
    """Sample a student's EMA weights in one step, and measure its error on the held-out pairs.

    One solve serves all variants. The info has means over samples, per iteration: `residuals` of the state,
    and `changes` of the decoded image (root mean square over pixels in [-1, 1]) between iterations.

    Args:
        weights: the student's checkpoint.
        held_out: the shard of held-out pairs.
        samples, batch: number of samples, and of those per call; sample i has class i mod classes.
        iterations: other numbers of fixed-point iterations to sample a GET with.
        precision, seed, device: see `Sampling`, `one_step.sample`, `device.pick_device`.
        output: the sample file.
        images: the image store that the student learned from, if it did from one.

    Raises:
        UserError: a file is damaged, the held-out pairs are of another teacher than the student's, or the
            student was trained on other images.
    """
    on = pick_device(device)
    student, header, pairs = open_student(weights, held_out)
    if images and header.get("images") != sha256(images):
        raise outdated(weights, f"was trained on other images than those in {images}")
    student.to(on)
    labels = classes_of(range(samples), header["model"]["classes"] if student.conditional else 0)
    variants = _variants(student, iterations)
    options = Sampling(batch, max(each.iterations or 1 for each in variants), precision=precision)
    with new_samples(output, list(map(str, variants)), labels, student.shape) as file:
        file.info.update({key: header[key] for key in ("model", "step", "seed", "plateau")})
        file.info.update(nfe=1, conditional=student.conditional, parameters=parameter_count(student))
        file.info["weights"] = sha256(weights)
        if "ledger" in header:
            file.info["ledger"] = header["ledger"]
        file.info.update(_fill(file, student, variants, seed, options, on))
        file.info["l1_held_out"] = held_out_l1(student, pairs, variants, options, on)


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
        raise outdated(weights, f"was trained on pairs of another teacher than those in {held_out}")
    return student, header, pairs


def _fill(
    file: SampleFile,
    student: Student,
    variants: Sequence[Variant],
    seed: int,
    options: Sampling,
    device: torch.device,
) -> dict[str, list[float]]:
    """Draw the samples of all variants into `file`; returns the mean residuals and changes by iteration."""
    samples, labels = len(file.labels), torch.from_numpy(file.labels)
    batches = sample(
        student, range(samples), labels, seed=seed, options=options, device=device, trajectories=True
    )
    sums: dict[str, Any] = {"residuals": 0.0, "changes": 0.0}
    progress = Progress("samples", samples)
    for images, residuals, rows in batches:
        # The state of each variant
        for variant in variants:
            count = variant.iterations
            chosen = choose(images[:count], residuals[:count], variant.kind)
            file.variants[str(variant)][rows] = to_bytes(chosen).numpy()
        # Convergence: residuals of the states, root mean square changes of the images
        sums["residuals"] += residuals.double().sum(dim=1)
        sums["changes"] += (images[1:] - images[:-1]).square().mean(dim=(2, 3, 4)).sqrt().double().sum(dim=1)
        progress.advance(images.shape[1])
    progress.close()
    return {name: (total / samples).tolist() for name, total in sums.items()}


def _variants(student: Student, iterations: Sequence[int]) -> list[Variant]:
    """Return the variants to sample, headline first."""
    if student.state_shape is None:
        return [Variant("one-step")]
    trained = student.iterations
    others = [count for count in iterations if count != trained]
    headline, last = Variant(Rule.LOWEST_RESIDUAL, trained), Variant(Rule.LAST, trained)
    return [headline, last, *(Variant(Rule.LOWEST_RESIDUAL, count) for count in others)]


@torch.no_grad()
def held_out_l1(
    student: Student,
    pairs: Pairs,
    variants: Sequence[Variant],
    options: Sampling,
    device: torch.device,
) -> dict[str, float]:
    """Return the mean absolute error (images in [-1, 1]) on all held-out pairs, of each variant."""

    def errors(rows: slice) -> list[float]:
        positions = torch.arange(rows.start, rows.stop)
        noise, image, label = pairs.batch(positions).on(device)
        state = held_out_state(student.state_shape, positions.tolist(), device)
        with autocast(device, options.precision):
            images, residuals = student.trajectory(noise, label, state, options.iterations)
        found = []
        for variant in variants:
            count = variant.iterations
            chosen = choose(images[:count], residuals[:count], variant.kind)
            found.append((chosen.float() - image).abs().sum().item())
        return found

    totals = [0.0] * len(variants)
    for part in within_memory(errors, len(pairs), options.batch, "evaluation.batch (--batch)"):
        totals = [total + error for total, error in zip(totals, part, strict=True)]
    numbers = len(pairs) * math.prod(pairs.shape)
    return {str(variant): total / numbers for variant, total in zip(variants, totals, strict=True)}
