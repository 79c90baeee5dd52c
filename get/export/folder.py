"""A folder as model hubs show it: weights, config, a picture of samples and a card."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from get import __version__
from get.api import Generator
from get.export.card import Card, Said, Scores
from get.runtime.device import pick_device
from get.storage.atomic import new_folder, write_json, write_text
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.mosaic import ROWS, columns_of, write_grid
from get.storage.pretrained import WEIGHTS, find
from get.storage.reading import read_json, reading, require
from get.storage.weights import Header, write_weights
from get.student import checkpoint

CONFIG, PREVIEW = "config.json", "preview.png"


def export_folder(*, weights: str | Path, scores: Path | None, said: Said, output: Path) -> None:
    """Write a new folder that `get.load` reads: model.safetensors, config.json, preview.png, README.md.

    Args:
        weights: the student's checkpoint, or a folder written before, whose card knows the rest.
        scores: what `scoring.scores.score_samples` wrote of it, if anything.
        said: for the card.
        output: the folder.

    Raises:
        UserError: a file is damaged, or the scores are of another student.
    """
    student, header = checkpoint.load(weights)
    origin = sha256(find(weights))
    given = replace(said, scores=_scores(scores, origin)) if scores else said
    known = _before(find(weights), origin)
    said = replace(known, **{key: value for key, value in vars(given).items() if value is not None})
    kept = {key: value for key, value in header.items() if key not in ("place", "version")}
    with new_folder(output) as folder:
        write_weights(folder / WEIGHTS, "student", student.state_dict(), kept)
        ours = sha256(folder / WEIGHTS)
        write_json(folder / CONFIG, _config(kept, said, ours))
        _preview(folder / PREVIEW, Generator(student, header, pick_device("cpu")))
        hashes = {"weights (SHA-256)": ours, "exported from (SHA-256)": origin}
        write_text(folder / "README.md", Card(student, header, hashes, said).text())
        for record in folder.glob(".*.sha256"):  # nothing for others
            record.unlink()


def _before(weights: Path, origin: str) -> Said:
    """Return what the card beside exported weights of this SHA-256 says; of other weights, nothing."""
    path = weights.with_name(CONFIG)
    if weights.name != WEIGHTS or not path.exists():
        return Said()
    with reading(path, "config of an exported student"):
        card = read_json(path).get("card", {})
        if card.get("weights") != origin:
            return Said()
        scores = Scores(**card["scores"]) if card["scores"] else None
        return Said(scores, card["licence"], card["data"], card["repository"])


def _config(header: Header, said: Said, weights: str) -> Mapping[str, Any]:
    """Return what config.json says: the header of the weights, who reads it, and what the card says."""
    card = {"weights": weights, **asdict(said)}
    return {"library_name": "get-distillation", "library_version": __version__, **header, "card": card}


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
