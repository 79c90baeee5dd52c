"""Export of a student: weights with a model card, or a checkpoint as the paper's code reads it."""

import json
from pathlib import Path
from typing import Any

import torch

from get.storage.atomic import atomic, new_folder, write_text
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.reading import read_json, reading, require
from get.storage.weights import write_weights
from get.student import checkpoint
from get.student.checkpoint import to_published
from get.student.models import parameter_count

WEIGHTS = "model.safetensors"  # in an exported folder
PUBLISHED = ("get", "vit")  # families that the paper's code has
TITLES = {"get": "GET", "vit": "ViT"}
FEATURES = {  # in which the scores of a card are taken
    "inception": "FID, IS and KID are taken in the features of Inception, against both splits of the data.",
    "classifier": "FID, IS and KID are taken in the features of a small classifier of the same images, "
    "against both splits of the data: they compare with no number in the features of Inception.",
}
AVERAGE = " The weights are the moving average (EMA)."  # unless an imported file does not say so
CARD = """\
---
library_name: get-distillation
tags: [image-generation, one-step, distillation]{licence}
---

# {name}

A one-step image generator: it maps Gaussian noise{label} to an image of
{channels} x {size} x {size} in a single evaluation{iterations}.
It was distilled offline from pairs (noise, image) of a diffusion teacher, after *One-Step Diffusion
Distillation via Deep Equilibrium Models* (Geng, Pokle, Kolter; NeurIPS 2023,
[arXiv 2401.08639](https://arxiv.org/abs/2401.08639)).

## Use

```
get sample model.safetensors --seeds 0-63 --out grid.png
```

```python
import get

student = get.load("model.safetensors")
images = student.sample(16)  # uint8 (N, H, W, C)
```

## Model

| | |
|---|---|
{model}

## Training

| | |
|---|---|
{training}

## Scores

{scores}

## Limits

It knows nothing beyond the images that its teacher was trained on.{average}
"""


def export_card(*, weights: Path, scores: Path | None, licence: str | None, output: Path) -> None:
    """Write a new folder with the weights (model.safetensors) and a model card (README.md).

    Args:
        weights: the student's checkpoint.
        scores: what `scoring.scores.score_samples` wrote of it, if anything.
        licence: of the weights, as the card says it, if it does.
        output: the folder.

    Raises:
        UserError: a file is damaged, or the scores are of another student.
    """
    student, header = checkpoint.load(weights)
    score_table = _scores(scores, weights)
    header = {key: value for key, value in header.items() if key not in ("place", "version")}
    model = header["model"]
    solved = f" ({model['iterations']} fixed-point iterations)" if student.state_shape else ""
    rows: dict[str, Any] = {key: header.get(key) for key in ("step", "seed", "pairs", "teacher", "source")}
    rows = {"steps": rows.pop("step"), **header.get("training", {}), **rows, "exported from": sha256(weights)}
    card = CARD.format(
        licence=f"\nlicense: {licence}" if licence else "",
        name=f"{TITLES.get(model['family'], model['family'])}, {parameter_count(student):,} parameters",
        label=f" and a class label (0 to {model['classes'] - 1})" if student.conditional else "",
        iterations=solved,
        channels=model["channels"],
        size=model["size"],
        model=_rows({**model, "parameters": f"{parameter_count(student):,}"}),
        training=_rows(rows),
        scores=score_table,
        average="" if (header.get("source") or {}).get("averaged") is False else AVERAGE,
    )
    with new_folder(output) as folder:
        write_weights(folder / WEIGHTS, "student", student.state_dict(), header)
        write_text(folder / "README.md", card)


def _rows(values: dict[str, Any]) -> str:
    """Return rows of a Markdown table; what is not known is left out."""
    lines = []
    for key, value in values.items():
        if value is not None:
            lines.append(f"| {key} | {value if isinstance(value, str) else json.dumps(value)} |")
    return "\n".join(lines)


def _scores(path: Path | None, weights: Path) -> str:
    """Return the headline scores as a Markdown table, or the words that there are none."""
    if path is None:
        return "Not scored."
    with reading(path, "file of a student's scores"):
        content = read_json(path)
        require(content, {"headline": str, "scores": dict, "weights": str, "features": str})
        best = content["scores"].get(content["headline"])
        require(best, {"samples": int})
        if content["weights"] != sha256(weights):
            raise UserError(f"{path} has the scores of another student; name those of this one")
        features = FEATURES[content["features"]]
    rows = {}
    for key, value in best.items():
        if not key.endswith(("_sd", "_low", "_high")):
            rows[key] = f"{value:,.4g}" if value % 1 else f"{int(value):,}"
    head = f"Of {best['samples']:,} samples ({content['headline']}). {features}"
    head += "".join(f" {warning}." for warning in content.get("warnings", []))
    return f"{head}\n\n| | |\n|---|---|\n{_rows(rows)}"


def export_published(*, weights: Path, output: Path) -> None:
    """Write a student as a checkpoint (.pth) that the paper's code can evaluate.

    The weights stand for the model and for its average; there is no state of an optimiser to go on from.

    Raises:
        UserError: the file is damaged, or of a family that is not the paper's.
    """
    student, header = checkpoint.load(weights)
    family = header["model"]["family"]
    if family not in PUBLISHED:
        raise UserError(
            f"{weights}: the paper's code has no {family}; export a folder (--out without an ending)"
        )
    state = to_published(student)
    arguments = {"cond": student.conditional, "input_size": header["model"]["size"]}  # which nothing reads
    content = {"args": arguments, "model": state, "ema": state, "opt": {}}
    with atomic(output) as temporary:
        torch.save(content, temporary)
