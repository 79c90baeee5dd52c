"""Import of the published students (`.pth` files of the paper's code), without running what they hold."""

import argparse
import textwrap
from pathlib import Path

import torch
from torch import Tensor

from get.imports.saved import load_saved
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256
from get.storage.reading import read_json, reading, require
from get.storage.settings import require_keys
from get.storage.weights import write_weights
from get.student.checkpoint import from_published
from get.student.models import build

KIND = "published student"
DAMAGED = f"is damaged or no {KIND}"


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
) -> None:
    """Write the EMA weights of a published checkpoint as a student of this project.

    Args:
        source: a file of `torch.save` with the keys model, ema, opt and args.
        sha256: what its SHA-256 must be, checked before anything else is read; None for any.
        settings: JSON of the student as `training.train_student` takes it; 'model' must describe the file.
        seed, step: under which the config lists it.
        shape, classes: [C, H, W] of the images, and the number of classes of the data.
        output: safetensors, with the header of a trained student (teacher: None, for it is not known) and
            the file's name and SHA-256.

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
    state = from_published(_averaged(source), description["family"])
    try:
        student.load_state_dict(state)
    except Exception as error:  # weights may be of any kind of tensor
        raise UserError(
            f"{source} is of another model than {settings} describes; correct students.*.model (family, "
            "width, depths, expansion, patch, conditioning), or the data (--shape, --classes) "
            f"({textwrap.shorten(str(error), 600)})"
        ) from None
    weights = student.state_dict()
    if broken := [name for name, values in weights.items() if not values.isfinite().all()]:
        raise UserError(f"{source}: weights are not finite ({', '.join(broken[:5])}); download it again")
    # a checkpoint as training writes it
    header = {**wanted, "model": description, "teacher": None, "seed": seed, "step": step}
    header |= {"threads": torch.get_num_threads(), "processes": 1, "plateau": False}
    header |= {"source": {"file": Path(source).name, "sha256": digest}}
    write_weights(output, "student", weights, header)


def _averaged(source: str | Path) -> dict[str, Tensor]:
    """Return the state dict 'ema' of the file, under its own names."""
    # the arguments of the training script are the one thing beside tensors and plain data
    content = load_saved(source, KIND, [argparse.Namespace])
    if not isinstance(content, dict):
        raise UserError(f"{source} {DAMAGED} (it holds no dict); download it again")
    state = content.get("ema")
    if not isinstance(state, dict) or not state:
        raise UserError(f"{source} {DAMAGED} (no weights 'ema'); download it again")
    if not all(isinstance(name, str) and isinstance(values, Tensor) for name, values in state.items()):
        raise UserError(f"{source} {DAMAGED} ('ema' holds more than weights); download it again")
    return {name.removeprefix("module."): values for name, values in state.items()}
