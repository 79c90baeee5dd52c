"""Teacher and students on the same noise: their images, and how far they are apart."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import to_bytes
from get.networks.denoiser import Denoiser
from get.networks.denoiser import load as load_teacher
from get.runtime.device import autocast, pick_device
from get.runtime.log import log
from get.runtime.seeding import normal
from get.sampling.one_step import Sampling, sample
from get.sampling.students import open_student
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.places import place
from get.storage.weights import Header
from get.student import checkpoint
from get.student.initial import held_out_state
from get.student.models import Student
from get.teacher.generation import solve
from get.teacher.samplers import Sampler

Bytes = NDArray[np.uint8]


class StudentImages(NamedTuple):
    """A student's images of the noise.

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
    students: list[StudentImages]

    def arrays(
        self,
    ) -> tuple[NDArray[np.float32], Bytes, list[tuple[str, Bytes]], NDArray[np.int64] | None]:
        """Return noise, the teacher's images, name and images of each student, and labels, as arrays."""
        students = [(each.name, to_bytes(each.images).numpy()) for each in self.students]
        labels = None if self.labels is None else self.labels.numpy()
        return self.noise.numpy(), to_bytes(self.teacher).numpy(), students, labels


@torch.no_grad()
def compare_held_out(
    *,
    students: Sequence[tuple[str, str | Path]],
    held_out: str | Path,
    count: int,
    precision: str,
    device: str,
) -> Comparison:
    """Return teacher's and students' images of the first `count` held-out noises (or of all, if fewer).

    Students are sampled as for scores: one evaluation of the EMA weights, by the published rule.

    Args:
        students: name and weights of each, at least one.
        held_out: the shard of held-out pairs, with the teacher's images.
        precision: of the students; device: see `device.pick_device`.

    Raises:
        UserError: see `open_student`.
    """
    on = pick_device(device)
    found = []
    for name, weights in students:
        student, _, pairs = open_student(weights, held_out)
        student.to(on)
        positions = torch.arange(min(count, len(pairs)))
        noise, teacher, label = pairs.batch(positions).on(on)
        state = held_out_state(student.state_shape, positions.tolist(), on)
        with autocast(on, precision):
            images = student.generate(noise, label, state).images.float()
        found.append(StudentImages(name, images.cpu(), float((images - teacher).abs().mean())))
    return Comparison(noise.cpu(), teacher.cpu(), label.cpu() if pairs.classes else None, found)


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
    """Return the images of the teacher and of each student, from the noise that `one_step.sample` draws.

    Args:
        teacher, students: their weights; all of images of one shape, and of one number of classes if any.
        indices, seed: name the noise, and the students' z_0.
        labels_for: gives the labels (N,) for a number of classes, 0 where no model has any.
        sampler: the teacher's; options: the students'; device: where to compute.

    Raises:
        UserError: a file is damaged, the models are not of the same images, or none has what `options` ask.
    """
    network = load_teacher(teacher).to(device)
    loaded = {path: checkpoint.load(path) for path in students}
    options.require_state(*(student for student, _ in loaded.values()))
    classes = _common_classes(teacher, network, loaded)
    labels = labels_for(classes)
    # Teacher
    noise = normal(indices, network.shape, seed, "evaluation", "noise")
    solved = solve(network, noise, labels, sampler, device)
    # Students
    found = []
    for name, (student, _) in zip(short_names(list(loaded)), loaded.values(), strict=True):
        batches = sample(student.to(device), indices, labels, seed=seed, options=options, device=device)
        images = torch.cat([batch.images for batch in batches])
        found.append(StudentImages(name, images, float((images - solved).abs().mean())))
    return Comparison(noise, solved, labels if classes else None, found)


def _common_classes(teacher: Path, network: Denoiser, students: Mapping[Path, tuple[Student, Header]]) -> int:
    """Return the number of classes of those models that have any, 0 if none has.

    Raises:
        UserError: the models are of other images, or differ in their number of classes.
    """
    counts, teacher_hash = {teacher: network.classes}, sha256(teacher)
    for path, (student, header) in students.items():
        counts[path] = header["model"]["classes"] if student.conditional else 0
        if header["teacher"] not in (None, teacher_hash):
            log.warning("%s does not name %s as its teacher", path, teacher)
        if student.shape != network.shape:
            raise UserError(f"{path} draws images {student.shape}, but {teacher} {network.shape} (C, H, W)")
    distinct = {count for count in counts.values() if count}
    if len(distinct) > 1:
        listed = ", ".join(f"{path} {count}" for path, count in counts.items())
        raise UserError(f"these models are of different numbers of classes ({listed}); compare alike ones")
    return max(distinct, default=0)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each path: what it was made for, or its file's; all of it where names repeat."""
    short = [(place(path) or path.stem).removeprefix("students/") for path in paths]
    return short if len(set(short)) == len(short) else list(map(str, paths))
