"""Import of the published students (`.pth` files of the paper's code), without running what they hold."""

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.imports.saved import FLOATS, REMEDY, kind, load_saved
from get.imports.state_dicts import StateDict, find_state_dict
from get.runtime.log import log
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256
from get.storage.reading import read_json, reading, require
from get.storage.settings import require_keys
from get.storage.weights import write_weights
from get.student.checkpoint import own_name
from get.student.models import Student, build

KIND = "published student"
CONSTANT = {"positions"}  # the table of sines and cosines, which some files leave out


def import_student(
    *,
    source: str | Path,
    sha256: str | None,
    settings: str | Path,
    seed: int,
    step: int,
    shape: list[int],
    classes: int,
    output: str | Path,
) -> str:
    """Write the weights of a checkpoint, the averaged ones if it has such, as a student of this project.

    Args:
        source: a file of `torch.save`, or of safetensors; `state_dicts` says where in it weights may be.
        sha256: what its SHA-256 must be, checked before anything else is read; None for any.
        settings: JSON of the student as `training.train_student` takes it; 'model' must describe the file.
        seed, step: under which the config lists it.
        shape, classes: [C, H, W] of the images, and the number of classes of the data.
        output: safetensors, with the header of a trained student (teacher: None, for it is not known) and
            the file's name and SHA-256.

    Returns:
        Which weights of the file these are: 'averaged weights (ema)'.

    Raises:
        UserError: a file is missing or damaged, or asks for code; or the weights are of another model than
            `settings` describes.
    """
    # the model that the settings describe
    with reading(settings, "settings of a student"):
        wanted = read_json(settings)
        require(wanted, {"model": dict, "pairs": str, "training": dict})
        require_keys(wanted, ("model", "pairs", "training"), str(settings))
    channels, size = shape[:2]
    known = 0 if wanted["model"].get("conditioning") == "none" else classes
    description = {**wanted["model"], "channels": channels, "size": size, "classes": known}
    student = build(description)
    # its weights
    digest = verified_sha256(source, sha256)
    found = _found(source, student, description["family"])
    taken = f"{'averaged ' * found.averaged}weights ({'.'.join(found.holders) or 'all of the file'})"
    _load(student, found.weights, f"{source}: its {taken}", settings)
    # a checkpoint as training writes it
    header = {**wanted, "model": description, "teacher": None, "seed": seed, "step": step}
    header |= {"threads": torch.get_num_threads(), "processes": 1, "plateau": False}
    origin = {"file": Path(source).name, "sha256": digest}
    header |= {"source": origin if found.averaged else {**origin, "averaged": False}}
    write_weights(output, "student", student.state_dict(), header)
    if not found.averaged:
        log.warning(
            "%s does not say that its %s are averaged (EMA), as those of all others are", source, taken
        )
    return taken


def _found(source: str | Path, student: Student, family: str) -> StateDict:
    """Return the weights in the file."""
    # the arguments of the training script are the one thing beside tensors and plain data
    content = load_saved(source, KIND, [argparse.Namespace])
    if not isinstance(content, dict):
        raise UserError(f"{source} is no {KIND} (it holds {kind(content)}, no dict of weights); {REMEDY}")
    found = find_state_dict(content, student.state_dict().keys(), partial(own_name, family=family))
    if not found.weights:
        raise UserError(f"{source} is no {KIND} (it holds no weights); {REMEDY}")
    return found


def _load(student: Student, weights: dict[str, Any], what: str, settings: str | Path) -> None:
    """Load the weights, as float32; raises `UserError`, with their names, if they are of another model."""
    wanted = student.state_dict()
    both = [name for name in wanted if name in weights]
    for name in both:
        if not _is_weight(weights[name]):
            raise UserError(
                f"{what} have {kind(weights[name])} as {name}; weights are float16, bfloat16, float32 or "
                "float64: import a checkpoint that is not quantised"
            )
    shapes = [(name, tuple(weights[name].shape), tuple(wanted[name].shape)) for name in both]
    problems = {
        "missing": wanted.keys() - weights.keys() - CONSTANT,
        "unexpected": weights.keys() - wanted.keys(),
        "of another shape": [f"{name} {found} for {ours}" for name, found, ours in shapes if found != ours],
    }
    if reasons := [f"{problem}: {_listed(names)}" for problem, names in problems.items() if names]:
        raise UserError(
            f"{what} are of another model than {settings} describes ({'; '.join(reasons)}); correct "
            "students.*.model (family, width, depths, expansion, patch, conditioning), or the data (--shape, "
            "--classes)"
        )
    student.load_state_dict(weights, strict=False)
    if broken := [name for name, values in student.state_dict().items() if not values.isfinite().all()]:
        raise UserError(f"{what} are not finite in float32 ({_listed(broken)}); import another checkpoint")


def _is_weight(value: Any) -> bool:
    usual = isinstance(value, Tensor) and (value.device.type, value.layout) == ("cpu", torch.strided)
    return usual and value.dtype in FLOATS


def _listed(names: Iterable[str], most: int = 4) -> str:
    """Return some of the names, and how many more there are."""
    names = sorted(ascii(name[:120])[1:-1] for name in names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
