"""Training a student, one milestone per job."""

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import to_bytes
from get.networks.denoiser import Denoiser
from get.networks.denoiser import load as load_teacher
from get.pairs.dataset import training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.device import pick_device
from get.runtime.log import log
from get.runtime.processes import process_count
from get.runtime.seeding import classes_of, fold_in, normal
from get.storage.errors import UserError
from get.storage.hashing import sha256, verified_sha256
from get.storage.mosaic import ROWS, columns_of
from get.storage.reading import outdated, read_json, reading, require
from get.storage.settings import require_keys
from get.storage.weights import write_weights
from get.student import architectures, losses, objectives
from get.student.examples import Examples, Source, from_images, from_pairs
from get.student.initial import sample_state
from get.student.models import Student, build
from get.student.objective import Distillation, Loss, Objective, Task
from get.student.objectives.pairs import PairRegression, state_weights
from get.training.loop import train
from get.training.state import State
from get.training.trackers import NONE, Entries

PLATEAU = 0.85  # a loss above this share of the mean image's says that training has not left the plateau
BASELINE_PAIRS = 2048  # from which the mean image's loss is computed, at most
BASELINE_PART = 256  # of which at a time: a loss may need much memory
NARROW = 32  # channels of a token; with fewer, a CPU takes longer in bfloat16 than in float32


class Inputs(NamedTuple):
    """The files that a training reads; which ones its objective (`objectives.needs`) and its loss say."""

    manifest: str | Path | None = None
    images: str | Path | None = None
    teacher: str | Path | None = None
    loss: str | Path | None = None


def train_student(
    *,
    settings: str | Path,
    inputs: Inputs,
    seed: int,
    stop: int,
    device: str,
    start: str | Path | None,
    output: str | Path,
    prefetch: int = 0,
    accumulate: int = 1,
    trackers: Entries = NONE,
) -> None:
    """Train one student from one milestone to the next.

    Of several processes (see `training.loop`), each reads its own part of every batch, and the first writes.

    Writes beside each other: `output` (the full state, .pt), the EMA weights (.safetensors) and the
    history of the loss so far (.json).

    Args:
        settings: JSON with the keys 'model' (the description but for the shape of the images, see
            `models.build`), 'training' (see `Distillation.read`), and for each input that is needed the
            fingerprint of its settings, of which that of 'pairs' the manifest must have.
        inputs: the manifest of the pairs, the image store, the teacher's weights, those of the loss's
            network, as far as they are needed.
        seed: names every draw; stop: the milestone, in steps; device: see `device.pick_device`.
        start: state of the milestone before, None for the first.
        output: the state at the milestone.
        prefetch, accumulate: batches that a thread prepares ahead, and parts that each is computed in; they
            change no number but by rounding, and the masks of dropout.
        trackers: where it is watched, see `training.trackers`.

    Raises:
        UserError: settings, inputs or `start` are wrong. Stopped, Diverged: see `training.loop.train`.
    """
    wanted, options = _read_settings(settings, accumulate)
    on = pick_device(device)
    # Data
    source, facts = _open_source(wanted, options, inputs, settings)
    # Model
    description = describe(wanted["model"], options.objective, source)
    torch.manual_seed(fold_in(seed, "student", "weights"))
    student = build(description).to(on)
    if options.precision == "bfloat16" and on.type == "cpu" and getattr(student, "width", NARROW) < NARROW:
        log.warning("training.precision: bfloat16 is slower than float32 for tokens this narrow, on a CPU")
    # Teacher, to start from or to ask
    asked = None
    if "teacher" in wanted:
        path = _given(inputs.teacher, "teacher", settings)
        teacher, digest = load_teacher(path).to(on), sha256(path)
        if facts.setdefault("teacher", digest) != digest:
            raise outdated(path, f"is not the teacher of the pairs in {inputs.manifest}")
        if options.init:
            start_from(student, teacher, path)
        asked = teacher if objectives.asks_teacher(wanted["training"]) else None
    # Loss and objective
    loss_of_images, weights = _open_loss(options, source, inputs, settings)
    task = Task(student, loss_of_images, options.batch, seed, on, asked)
    objective = options.build(task)
    examples = Examples(source, options, seed, on, prefetch)
    run = {"pairs": None, "teacher": None, **wanted, "model": description, **facts, **weights, "seed": seed}

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        return objective(forward, examples.batch(step, rows, task), step, rows)

    def write(state: State) -> None:
        header = {**run, "step": stop, "plateau": on_plateau(state, source, objective)}
        header |= {"threads": torch.get_num_threads(), "processes": process_count()}
        header["ledger"] = ledger(objective, stop, source if "pairs" in wanted else None)
        write_weights(Path(output).with_suffix(".safetensors"), "student", state.ema_weights(), header)
        state.write_history(Path(output).with_suffix(".json"))
        state.save(Path(output))

    with examples:
        train(
            student, loss, options,
            examples=examples.order, settings=run, stop=stop, output=output, start=start, write=write,
            frozen=objective.frozen, prepare=objective.prepare, rate=objective.rate,
            relieve=objective.relieve, trackers=trackers, show=partial(_samples, student),
        )  # fmt: skip


def _samples(student: Student, state: State) -> tuple[NDArray[np.uint8], int]:
    """Draw the first samples (N, C, H, W) with the averaged weights; returns how many stand in a row, too."""
    averaged = copy.deepcopy(student).eval()
    averaged.load_state_dict(state.ema_weights())
    classes, on = student.classes * student.conditional, state.window.device
    numbers = range(ROWS * columns_of(classes))
    noise = normal(numbers, student.shape, 0, "evaluation", "noise").to(on)
    start = sample_state(student.state_shape, numbers, 0, "independent", on)
    with torch.no_grad():
        images = averaged.generate(noise, classes_of(numbers, classes).to(on), start).images
    return to_bytes(images.float().cpu()).numpy(), columns_of(classes)


def _read_settings(path: str | Path, accumulate: int) -> tuple[dict[str, Any], Distillation]:
    """Return the settings of a student, and their key 'training'; raises `UserError`."""
    with reading(path, "settings file of a student"):
        settings = read_json(path)
        always = ("model", "training")
        require_keys({key: settings[key] for key in always if key in settings}, always, str(path))
        require(settings, dict.fromkeys(always, dict))
        training = {**settings["training"], "accumulate": accumulate}
        options = Distillation.read(training, f"{path}: training")
        needed = sorted(objectives.needs(settings["training"]))
        require_keys(settings, ("model", "training", *needed), str(path))
        require(settings, dict.fromkeys(needed, str))
    if options.keys.get("implicit") and (options.keys.get("checkpointing") or options.compile):
        raise UserError(f"{path}: training.implicit goes without checkpointing and compile; leave them out")
    return settings, options


def _given(path: str | Path | None, name: str, settings: str | Path) -> str | Path:
    if path is None:
        raise UserError(f"{settings}: its training needs the file --{name}")
    return path


def _open_source(
    wanted: Mapping[str, Any], options: Distillation, inputs: Inputs, settings: str | Path
) -> tuple[Source, dict[str, Any]]:
    """Return the examples, and what their files say of them: the teacher of pairs, the hash of images."""
    if "pairs" not in wanted:
        store = _given(inputs.images, "images", settings)
        conditional = wanted["model"]["conditioning"] != "none"
        return from_images(store, conditional), {"images": sha256(store)}
    manifest = _given(inputs.manifest, "manifest", settings)
    pairs = training_pairs(read_manifest(manifest, wanted["pairs"]))
    count = len(pairs) if options.pairs is None else options.pairs
    if not 1 <= count <= len(pairs):
        raise UserError(f"{settings}: training.pairs is {count}, but {manifest} lists {len(pairs)} pairs")
    return from_pairs(pairs, count), {"teacher": pairs.teacher}


def _open_loss(
    options: Distillation, source: Source, inputs: Inputs, settings: str | Path
) -> tuple[Loss, dict[str, str]]:
    """Return the loss and, of one that looks through a network, the hash of its weights."""
    losses.check_fit(options.loss_name, source.shape, options.objective, "training.loss")
    if not losses.has_source(options.loss_name):
        return options.build_loss(), {}
    path = _given(inputs.loss, "loss", settings)
    known = (options.loss or {}).get("source") or {}
    digest = verified_sha256(path, known.get("sha256"))
    return options.build_loss(path), {"loss": digest}


def describe(model: Mapping[str, Any], objective: str, source: Source) -> dict[str, Any]:
    """Return the whole description of a student: with the shape of its images, and the form of its U-Net."""
    channels, size = source.shape[:2]
    images = {"channels": channels, "size": size, "classes": source.classes}
    form = objectives.about(objective)["FORM"]
    return {**model, **images} | ({"form": form} if architectures.has_form(model) else {})


def start_from(student: Student, teacher: Denoiser, path: str | Path) -> None:
    """Give a student the weights of a teacher; raises `UserError` unless their networks are the same."""
    ours, theirs = student.state_dict(), teacher.state_dict()
    shapes = [{name: weight.shape for name, weight in weights.items()} for weights in (ours, theirs)]
    if shapes[0] != shapes[1] or getattr(student, "sigma_data", None) != teacher.sigma_data:
        raise UserError(f"training.init: {path} has another network than the student (model.network)")
    student.load_state_dict(theirs)


def ledger(objective: Objective, steps: int, pairs: Source | None) -> dict[str, int | None]:
    """Return what a student was given: images, evaluations of a teacher, networks in memory, pairs."""
    images = steps * objective.task.batch
    return {
        "images": images,
        "teacher_evaluations": images * objective.teacher_evaluations,  # while it was trained
        "networks": objective.networks,
        "pairs": pairs.size if pairs else None,  # to choose from, which were made before
    }


def on_plateau(state: State, source: Source, objective: Objective) -> bool:
    """Return True (and say so) if the loss is still near that of the mean image (per class).

    The loss is that of the last `state.RECORD_EVERY` steps; before there have been as many, False. Of
    objectives that do not compare images with those of pairs, False.
    """
    if not state.history or not isinstance(objective, PairRegression):
        return False
    # The loss of a single state
    weights = state_weights(objective.states, objective.loss_decay)
    loss = state.history[-1][1] / weights.sum().item()
    task = objective.task
    baseline = mean_image_error(source, task.student.conditional, task.loss, task.device)
    stuck = loss > PLATEAU * baseline
    log.info("loss %.4g; the mean image's would be %.4g", loss, baseline)
    if stuck:
        where = "worse than the mean image" if loss > baseline else "still on the mean-image plateau"
        log.info("%s: lower training.lr or train longer", where)
    return stuck


def mean_image_error(
    source: Source, conditional: bool, loss: Loss, device: str | torch.device = "cpu"
) -> float:
    """Return the loss of the mean image (of its class) in place of every image, on some of the pairs."""
    _, image, label = source.read(torch.arange(min(source.size, BASELINE_PAIRS)))
    image = image.float()
    groups = [image[label == c] for c in label.unique()] if conditional else [image]
    total = 0.0
    for group in groups:
        mean = group.mean(dim=0).to(device)
        for part in group.split(BASELINE_PART):
            images = part.to(device)
            total += len(part) * loss(mean.expand_as(images), images).mean().item()
    return total / len(image)
