"""Training a student on the pairs of a manifest, one milestone per job."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.pairs.dataset import Batch, Pairs, training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.device import pick_device, pin
from get.runtime.log import log
from get.runtime.prefetch import Prefetcher
from get.runtime.processes import own_part, process_count
from get.runtime.seeding import EpochSampler, fold_in
from get.storage.errors import UserError
from get.storage.reading import read_json, reading, require
from get.storage.settings import from_settings, require_keys
from get.storage.weights import write_weights
from get.student.initial import training_state
from get.student.models import Student, build
from get.student.objectives.pairs import Distillation, distillation_loss, state_weights
from get.training.loop import train
from get.training.state import State

PLATEAU = 0.85  # a loss above this share of the mean image's says that training has not left the plateau
BASELINE_PAIRS = 2048  # from which the mean image's loss is computed, at most


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

    Of several processes (see `training.loop`), each reads its own part of every batch, and the first writes.

    Writes beside each other: `output` (the full state, .pt), the EMA weights (.safetensors) and the
    history of the loss so far (.json).

    Args:
        settings: JSON with the keys 'model' (the description but for the shape of the images, see
            `models.build`), 'training' (keyword arguments of `Distillation`) and 'pairs' (the fingerprint
            that the manifest must have).
        manifest: of the pairs.
        seed: names every draw; stop: the milestone, in steps; device: see `device.pick_device`.
        start: state of the milestone before, None for the first.
        output: the state at the milestone.
        prefetch: batches that a thread prepares ahead; changes no number.

    Raises:
        UserError: settings, pairs or `start` are wrong. Stopped, Diverged: see `training.loop.train`.
    """
    wanted, options = _read_settings(settings)
    # Data
    pairs = training_pairs(read_manifest(manifest, wanted["pairs"]))
    count = len(pairs) if options.pairs is None else options.pairs
    if not 1 <= count <= len(pairs):
        raise UserError(f"{settings}: training.pairs is {count}, but {manifest} lists {len(pairs)} pairs")
    examples = EpochSampler(count, options.batch, fold_in(seed, "student"))
    # Model
    on = pick_device(device)
    channels, size = pairs.shape[:2]
    description = {**wanted["model"], "channels": channels, "size": size, "classes": pairs.classes}
    torch.manual_seed(fold_in(seed, "student", "weights"))
    student = build(description).to(on)
    run = {**wanted, "model": description, "teacher": pairs.teacher, "seed": seed}

    def read(step: int) -> Batch:
        return Batch(*(pin(tensor, on) for tensor in pairs.batch(own_part(examples(step)))))

    batches = Prefetcher(read, prefetch)

    def loss(forward: Any, step: int) -> Tensor:
        state = training_state(student.state_shape, options.batch, seed, step, on)
        return distillation_loss(forward, batches(step).on(on), state, options)

    def write(state: State) -> None:
        stuck = on_plateau(state, pairs, options, student, count)
        header = {**run, "step": stop, "plateau": stuck}
        header |= {"threads": torch.get_num_threads(), "processes": process_count()}
        write_weights(Path(output).with_suffix(".safetensors"), "student", state.ema_weights(), header)
        state.write_history(Path(output).with_suffix(".json"))
        state.save(Path(output))

    with batches:
        train(
            student, loss, options,
            examples=examples, settings=run, stop=stop, output=output, start=start, write=write,
        )  # fmt: skip


def _read_settings(path: str | Path) -> tuple[dict[str, Any], Distillation]:
    """Return the settings of a student, and their key 'training'; raises `UserError`."""
    with reading(path, "settings file of a student"):
        settings = read_json(path)
        require_keys(settings, ("model", "pairs", "training"), str(path))
        options = from_settings(Distillation, settings["training"], f"{path}: training")
        require(settings, {"model": dict, "pairs": str})
    if options.implicit and (options.checkpointing or options.compile):
        raise UserError(f"{path}: training.implicit goes without checkpointing and compile; leave them out")
    return settings, options


def on_plateau(state: State, pairs: Pairs, options: Distillation, student: Student, count: int) -> bool:
    """Return True (and say so) if the loss is still near that of the mean image (per class).

    The loss is that of the last `state.RECORD_EVERY` steps; before there have been as many, False.
    """
    if not state.history:
        return False
    # The loss of a single state
    states = 1 if options.implicit else student.iterations
    loss = state.history[-1][1] / state_weights(states, options.loss_decay).sum().item()
    baseline = mean_image_error(pairs, student.conditional, min(count, BASELINE_PAIRS))
    stuck = loss > PLATEAU * baseline
    log.info("L1 error %.4f; the mean image's would be %.4f", loss, baseline)
    if stuck:
        where = "worse than the mean image" if loss > baseline else "still on the mean-image plateau"
        log.info("%s: lower training.lr or train longer", where)
    return stuck


def mean_image_error(pairs: Pairs, conditional: bool, count: int) -> float:
    """Return the L1 error of the mean image (of its class) in place of every image, on `count` pairs."""
    _, image, label = pairs.batch(torch.arange(min(count, len(pairs))))
    image = image.float()
    groups = [image[label == c] for c in label.unique()] if conditional else [image]
    return sum((group - group.mean(dim=0)).abs().sum().item() for group in groups) / image.numel()
