"""One-step sampling: batches of samples, drawn one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from get.runtime.device import autocast
from get.runtime.limits import within_memory
from get.runtime.seeding import classes_of, normal
from get.storage.errors import UserError
from get.storage.variants import Rule
from get.student.initial import INITIAL, sample_state
from get.student.models import Student


@dataclass(frozen=True)
class Sampling:
    """How a student is sampled.

    Args:
        batch: samples per call.
        iterations: fixed-point iterations of a GET; None is the number trained with.
        rule: which state is decoded, a `Rule`.
        initial: z_0 is 'independent' per sample, one draw 'shared' by all samples, or 'zeros'.
        precision: see `device.autocast`.
    """

    batch: int = 64
    iterations: int | None = None
    rule: str = Rule.LOWEST_RESIDUAL
    initial: str = "independent"
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.rule not in list(Rule):
            raise UserError(f"rule is {self.rule!r}; it must be one of {', '.join(Rule)}")
        if self.initial not in INITIAL:
            raise UserError(f"initial is {self.initial!r}; it must be one of {', '.join(INITIAL)}")
        if self.batch < 1:
            raise UserError(f"batch is {self.batch}; it must be at least 1")
        if self.iterations is not None and self.iterations < 1:
            raise UserError(f"iterations is {self.iterations}; it must be at least 1")

    def require_state(self, *students: Student) -> None:
        """Raise `UserError` if an option asks for a state and none of the students has one."""
        if any(student.state_shape for student in students):
            return
        for name in ("iterations", "rule", "initial"):
            if getattr(self, name) != getattr(Sampling, name):
                raise UserError(f"{name} is of students with a state, as GET has; leave it out")


class Samples(NamedTuple):
    """A batch of samples, on the CPU.

    images (B, C, H, W) float32, or (K, B, C, H, W) of whole trajectories; residuals (K, B); rows: which of
    all samples these are.
    """

    images: Tensor
    residuals: Tensor
    rows: slice


def labels_of(numbers: Sequence[int], label: int | None, classes: int, key: str) -> Tensor:
    """Return the classes (N,) int64 of the samples with these numbers: `label` of all, or i mod classes.

    Args:
        classes: that the model sees, 0 for none.
        key: what the label is called where it is given.

    Raises:
        UserError: the label is no class.
    """
    if label is None:
        return classes_of(numbers, classes)
    if not 0 <= label < classes:
        known = f"the classes are 0 to {classes - 1}" if classes else "this model is unconditional"
        raise UserError(f"{key} {label}: {known}")
    return torch.full((len(numbers),), label)


def sample(
    student: Student,
    indices: Sequence[int],
    labels: Tensor,
    *,
    seed: int,
    options: Sampling,
    device: torch.device,
    trajectories: bool = False,
    noise: Tensor | None = None,
) -> Iterator[Samples]:
    """Yield the samples with the given indices, batch by batch (smaller ones where memory is short).

    Sample i is a function of (student, seed, i, label): its noise and z_0 are drawn under names of their
    own, which no training pair shares.

    Args:
        student: in evaluation mode, on `device`.
        indices: the numbers of the samples.
        labels: their classes (len(indices),) int64; an unconditional student does not read them.
        seed: names the noise.
        options: see `Sampling`.
        device: where to compute; images come back on the CPU.
        trajectories: yield the image of every iteration, not of the one that `options.rule` chooses.
        noise: unit-variance noise (len(indices), C, H, W), instead of that which is drawn.
    """

    def draw(rows: slice) -> Samples:
        numbers, label = indices[rows], labels[rows].to(device)
        x = normal(numbers, student.shape, seed, "evaluation", "noise") if noise is None else noise[rows]
        state = sample_state(student.state_shape, numbers, seed, options.initial, device)
        with torch.no_grad(), autocast(device, options.precision):
            if trajectories:
                drawn = student.trajectory(x.to(device), label, state, options.iterations)
            else:
                drawn = student.generate(x.to(device), label, state, options.iterations, options.rule)
        return Samples(drawn.images.float().cpu(), drawn.residuals.float().cpu(), rows)

    yield from within_memory(draw, len(indices), options.batch, "evaluation.batch (--batch)")


def interpolate(
    student: Student,
    ends: tuple[int, int],
    count: int,
    label: int,
    *,
    seed: int,
    options: Sampling,
    device: torch.device,
) -> Iterator[Samples]:
    """Yield `count` samples whose noise leads from that of sample `ends[0]` to that of `ends[1]`.

    The noise goes along the great circle, so that its norm is that of noise all the way.

    Args:
        student, seed, device: as in `sample`.
        ends: the numbers of the samples at either end.
        count: of the samples, the ends included.
        label: the class of all.
        options: 'independent' states z_0 differ from sample to sample, as their noise should not.
    """
    first, last = normal(ends, student.shape, seed, "evaluation", "noise")
    noise, labels = great_circle(first, last, count), torch.full((count,), label)
    return sample(student, range(count), labels, seed=seed, options=options, device=device, noise=noise)


def great_circle(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return `count` tensors (count, ...) at equal angles from `first` to `last`, both included."""
    cosine = (first * last).sum() / (first.norm() * last.norm()).clamp(min=1e-12)
    angle = torch.arccos(cosine)
    if not angle.isfinite() or angle < 1e-3:  # one and the same
        return first.expand(count, *first.shape)
    # spherical linear interpolation
    t = torch.linspace(0, 1, count).view(-1, *[1] * first.ndim)
    return (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * last) / torch.sin(angle)
