"""Distillation: training a student on the pairs of a manifest, one milestone per job."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.pairs.dataset import Batch, Pairs, training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.device import pick_device, pin
from get.runtime.log import log
from get.runtime.prefetch import Prefetcher
from get.runtime.processes import own_part, process_count, rank
from get.runtime.seeding import EpochSampler, fold_in, generator
from get.storage.errors import UserError
from get.storage.reading import read_json, reading, require
from get.storage.settings import from_settings, require_keys
from get.storage.weights import write_weights
from get.student.losses import distillation_loss, state_weights, supervised
from get.student.models import Student, build
from get.training.loop import trained
from get.training.optimisation import Optimisation
from get.training.state import State

PLATEAU = 0.85  # a loss above this share of the mean image's says that training has not left the plateau


@dataclass(frozen=True)
class Distillation(Optimisation):
    """How a student is trained: `Optimisation`, and keys of its own.

    Args:
        loss_decay: weight of state i of S is loss_decay^(S - i); at 0 the last one alone counts.
        checkpointing: O(1)-memory mode: compute each fixed-point iteration again in the backward pass.
        implicit: supervise the last state alone, with the gradient of a fixed point (`equilibrium.implicit`).
        pairs: learn from the first so many pairs; None is all of them.
    """

    loss_decay: float
    checkpointing: bool
    implicit: bool = False
    pairs: int | None = None

    @property
    def savers(self) -> str:
        """What saves memory, in words."""
        mode = "set training.checkpointing: true (O(1)-memory mode), "
        return super().savers if self.checkpointing or self.implicit else mode + super().savers


def train_student(
    *,
    settings: str | Path,
    manifest: str | Path,
    seed: int,
    stop: int,
    device: str,
    start: str | Path | None,
    output: str | Path,
    prefetch: int = 0,
) -> None:
    """Train one student from one milestone to the next.

    Of several processes (see `fitting`), each reads its own part of every batch, and the first writes.

    Writes beside each other: `output` (the full state, .pt), the EMA weights (.safetensors) and the
    history of the loss so far (.json).

    Args:
        settings: JSON with the keys 'model' (the description but for the shape of the images, see
            `models.build`), 'training' (keyword arguments of `Distillation`) and 'pairs' (the fingerprint
            that the manifest must have).
        manifest: of the pairs.
        seed: names every draw; stop: the milestone, in steps; device: see `runtime.pick_device`.
        start: state of the milestone before, None for the first.
        output: the state at the milestone.
        prefetch: batches that a thread prepares ahead; changes no number.

    Raises:
        UserError: settings, pairs or `start` are wrong. Stopped, Diverged: see `fitting.trained`.
    """
    with reading(settings, "settings file of a student"):
        wanted = read_json(settings)
        require_keys(wanted, ("model", "pairs", "training"), str(settings))
        options = from_settings(Distillation, wanted["training"], f"{settings}: training")
        require(wanted, {"model": dict, "pairs": str})
    pairs = training_pairs(read_manifest(manifest, wanted["pairs"]))
    count = len(pairs) if options.pairs is None else options.pairs
    if not 1 <= count <= len(pairs):
        raise UserError(f"{settings}: training.pairs is {count}, but {manifest} lists {len(pairs)} pairs")
    if options.implicit and (options.checkpointing or options.compile):
        raise UserError(
            f"{settings}: training.implicit goes without checkpointing and compile; leave them out"
        )
    on = pick_device(device)
    channels, size = pairs.shape[:2]
    description = {**wanted["model"], "channels": channels, "size": size, "classes": pairs.classes}
    torch.manual_seed(fold_in(seed, "student", "weights"))
    student = build(description).to(on)
    examples = EpochSampler(count, options.batch, fold_in(seed, "student"))

    def read(step: int) -> Batch:
        return Batch(*(pin(tensor, on) for tensor in pairs.batch(own_part(examples(step)))))

    batch = Prefetcher(read, prefetch)

    def loss(forward: Any, step: int) -> Tensor:
        noise, image, label = batch(step).on(on)
        state = initial_state(student.state_shape, options.batch, seed, step, on)
        states = supervised(forward, noise, label, state, options.checkpointing, options.implicit)
        return distillation_loss(states, image, options.loss_decay)

    run = {**wanted, "model": description, "teacher": pairs.teacher, "seed": seed}
    training = trained(
        student, loss, options, examples=examples, settings=run, stop=stop, output=output, start=start
    )
    with batch, training as state:
        if rank() > 0:
            return
        stuck = on_plateau(state, pairs, options, student, count)
        header = {**run, "step": stop, "plateau": stuck}
        header |= {"threads": torch.get_num_threads(), "processes": process_count()}
        write_weights(Path(output).with_suffix(".safetensors"), "student", state.ema_weights(), header)
        state.write_history(Path(output).with_suffix(".json"))
        state.save(Path(output))


def initial_state(
    shape: tuple[int, int] | None, batch: int, seed: int, step: int, device: torch.device
) -> Tensor | None:
    """Return z_0 ~ N(0, I) of training step `step`, drawn on `device` for the global `batch`.

    Returns this process's part of it (B / processes, N, D), or None for a student without a state.
    """
    if shape is None:
        return None
    source = generator(seed, "student", "state", step, device=device)
    return own_part(torch.randn((batch, *shape), generator=source, device=device))


def on_plateau(state: State, pairs: Pairs, options: Distillation, student: Student, count: int) -> bool:
    """Return True (and say so) if the loss is still near that of the mean image (per class).

    The loss is that of the last `state.RECORD_EVERY` steps; before there have been as many, False.
    """
    if not state.history:
        return False
    states = 1 if options.implicit else student.iterations
    loss = state.history[-1][1] / state_weights(states, options.loss_decay).sum().item()
    baseline = mean_image_error(pairs, student.conditional, min(count, 2048))
    stuck = loss > PLATEAU * baseline
    log.info("L1 error %.4f; answering with the mean image would give %.4f", loss, baseline)
    if stuck:
        where = "worse than the mean image" if loss > baseline else "still on the mean-image plateau"
        log.info("%s: lower training.lr or train longer", where)
    return stuck


def mean_image_error(pairs: Pairs, conditional: bool, count: int) -> float:
    """Return the L1 error of answering every noise with the mean image (of its class), on `count` pairs."""
    _, image, label = pairs.batch(torch.arange(min(count, len(pairs))))
    image = image.float()

    def groups() -> Iterator[Tensor]:
        yield from (image[label == c] for c in label.unique()) if conditional else [image]

    return sum((group - group.mean(dim=0)).abs().sum().item() for group in groups()) / image.numel()
