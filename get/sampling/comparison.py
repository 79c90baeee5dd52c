"""Teacher and students on the same noise: where they agree, and how far they are apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from get.runtime.limits import within_memory
from get.runtime.log import log
from get.runtime.seeding import normal
from get.sampling.one_step import Sampling, sample
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.reading import place
from get.student import checkpoint
from get.student.models import Student
from get.teacher import generation, training
from get.teacher.samplers import Sampler


class Compared(NamedTuple):
    """What a student made of the noise.

    name: short, and of this student alone; images (N, C, H, W) in about [-1, 1]; l1: the mean absolute
    difference from the teacher's images, over samples and pixels.
    """

    name: str
    images: Tensor
    l1: float


class Comparison(NamedTuple):
    """noise and the teacher's images (N, C, H, W); labels (N,), None where no model has any; the students."""

    noise: Tensor
    teacher: Tensor
    labels: Tensor | None
    students: list[Compared]


def compare(
    teacher: Path,
    students: Sequence[Path],
    indices: Sequence[int],
    labels_for: Callable[[int], Tensor],
    *,
    seed: int,
    sampler: Sampler,
    options: Sampling,
    device: torch.device,
) -> Comparison:
    """Return what the teacher and each student make of the noise that `sampling.sample` draws.

    Args:
        teacher, students: their weights; all of images of one shape, and of one number of classes if any.
        indices, seed: name the noise, and the students' z_0.
        labels_for: gives the labels (N,) for a number of classes, 0 where no model has any.
        sampler: the teacher's; options: the students'; device: where to compute.

    Raises:
        UserError: a file is damaged, the models are not of the same images, or none has what `options` ask.
    """
    first = training.load(teacher).to(device)
    loaded = {path: checkpoint.load(path) for path in students}
    options.require_state(*(student for student, _ in loaded.values()))
    classes, learned_from = {teacher: first.classes}, sha256(teacher)
    for path, (student, header) in loaded.items():
        classes[path] = header["model"]["classes"] if student.conditional else 0
        if header["teacher"] not in (None, learned_from):
            log.warning("%s does not name %s as its teacher", path, teacher)
        if student.shape != first.shape:
            raise UserError(f"{path} draws images {student.shape}, but {teacher} {first.shape} (C, H, W)")
    if len(known := {count for count in classes.values() if count}) > 1:
        told = ", ".join(f"{path} {count}" for path, count in classes.items())
        raise UserError(f"these models are of different numbers of classes ({told}); compare alike ones")
    count = max(known, default=0)
    labels = labels_for(count)
    noise = normal(indices, first.shape, seed, "evaluation", "noise")

    def solve(rows: slice) -> Tensor:
        label = labels[rows].to(device) if first.classes else None
        return generation.sample(first, noise[rows].to(device), label, sampler, device).cpu()

    def draw(student: Student) -> Tensor:
        batches = sample(student.to(device), indices, labels, seed=seed, options=options, device=device)
        return torch.cat([batch.images for batch in batches])

    solved = torch.cat(list(within_memory(solve, len(indices), sampler.batch, "--batch")))
    drawn = [draw(student) for student, _ in loaded.values()]
    found = [
        Compared(name, images, float((images - solved).abs().mean()))
        for name, images in zip(short_names(list(loaded)), drawn, strict=True)
    ]
    return Comparison(noise, solved, labels if count else None, found)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each path: what it was made for, or its file's; all of it where names repeat."""
    short = [(place(path) or path.stem).removeprefix("students/") for path in paths]
    return short if len(set(short)) == len(short) else list(map(str, paths))
