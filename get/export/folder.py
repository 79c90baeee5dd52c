"""A folder as model hubs show it: weights, config, a picture of samples and a card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from get import __version__
from get.api import Generator
from get.export.card import Card, Scores
from get.runtime.device import pick_device
from get.storage.atomic import new_folder, write_json, write_text
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.mosaic import ROWS, columns_of, write_grid
from get.storage.reading import read_json, reading, require
from get.storage.weights import Header, write_weights
from get.student import checkpoint
from get.student.checkpoint import WEIGHTS

PREVIEW = "preview.png"


def export_folder(
    *, weights: str | Path, scores: Path | None, licence: str | None, repository: str | None, output: Path
) -> None:
    """Write a new folder that `get.load` reads: model.safetensors, config.json, preview.png, README.md.

    Args:
        weights: the student's checkpoint.
        scores: what `scoring.scores.score_samples` wrote of it, if anything.
        licence: of the weights, as the card says it, if it does.
        repository: address of the code, for the card.
        output: the folder.

    Raises:
        UserError: a file is damaged, or the scores are of another student.
    """
    student, header = checkpoint.load(weights)
    origin = sha256(checkpoint.find(weights))
    found = None if scores is None else _scores(scores, origin)
    kept = {key: value for key, value in header.items() if key not in ("place", "version")}
    with new_folder(output) as folder:
        write_weights(folder / WEIGHTS, "student", student.state_dict(), kept)
        write_json(folder / "config.json", _config(kept))
        _preview(folder / PREVIEW, Generator(student, header, pick_device("cpu")))
        hashes = {"weights (SHA-256)": sha256(folder / WEIGHTS), "exported from (SHA-256)": origin}
        card = Card(student, header, hashes, found, licence, repository)
        write_text(folder / "README.md", card.text())
        for record in folder.glob(".*.sha256"):  # nothing for others
            record.unlink()


def _config(header: Header) -> Mapping[str, Any]:
    """Return what config.json says: the header of the weights, and who reads it."""
    return {"library_name": "get-distillation", "library_version": __version__, **header}


def _preview(path: Path, generator: Generator) -> None:
    """Write a grid of the first samples; with few classes, a column each."""
    columns = columns_of(generator.classes)
    images = generator.sample(ROWS * columns)
    write_grid(path, np.moveaxis(images, -1, 1), columns)


def _scores(path: Path, weights: str) -> Scores:
    """Return a student's headline scores, whose weights have this SHA-256."""
    with reading(path, "file of a student's scores"):
        content = read_json(path)
        require(content, {"headline": str, "scores": dict, "weights": str, "features": str})
        best = content["scores"].get(content["headline"])
        require(best, {"samples": int})
        if content["weights"] != weights:
            raise UserError(f"{path} has the scores of another student; name those of this one")
    return Scores(best, content["headline"], content["features"], content.get("warnings", []))
