"""The card of a student: what it is, how to use it, how it was made, what it scores."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

import yaml

from get.runtime import plugins
from get.scoring import extractors
from get.storage.errors import UserError
from get.storage.weights import Header
from get.student.models import Student, parameter_count

TEMPLATE = Template("""\
---
$head---

# $name

![$samples](preview.png)

A one-step image generator: it maps Gaussian noise$label to an image of $shape in a single
evaluation$iterations. It was distilled offline from pairs (noise, image) of a diffusion teacher,
after *One-Step Diffusion Distillation via Deep Equilibrium Models* (Geng, Pokle, Kolter;
NeurIPS 2023, [arXiv 2401.08639](https://arxiv.org/abs/2401.08639)).

## Use

In a clone of $repository, with this folder (`hf download USER/NAME --local-dir FOLDER`):

```
pip install -e . -c envs/constraints.txt
get sample FOLDER --seeds 0-63 --out grid.png
```

```python
import get

student = get.load("FOLDER")  # this one
images = student.sample(16)  # uint8 (N, H, W, C)
```

## Model

$model

## Training

$training

## Scores

$scores

## Limits

It knows nothing beyond the images that its teacher was trained on$data.$average$plateau
""")
TITLES = {"get": "GET", "vit": "ViT", "unet": "U-Net"}
SPLITS = {"train": "train split", "test": "test split"}
COLUMNS = ("score", "value", "standard deviation", "95% interval")
WORDS = {
    "is": "Inception Score",
    "precision": "precision",
    "recall": "recall",
    "nearest_train": "distance to the nearest training image (grey levels)",
    "l1_held_out": "mean absolute error on held-out pairs",
}
PLATEAU = " Its training never left the plateau of the mean image: it draws that image, or little else."
SUFFIXES = ("_sd", "_low", "_high")


@dataclass(frozen=True)
class Scores:
    """What the samples of a student scored.

    Args:
        values: by name, as in scores/*.json: 'fid_train', 'fid_train_sd', ..., 'samples'.
        variant: which state of the student was sampled; features: the extractor's module.
        warnings: what to know of them, a sentence each.
    """

    values: Mapping[str, float]
    variant: str
    features: str
    warnings: list[str]

    def title(self, key: str) -> str:
        """Return what a score is called."""
        kind, _, split = key.partition("_")
        if kind not in ("fid", "kid") or split not in SPLITS:
            return WORDS.get(key, key)
        distance = plugins.constants(extractors.PACKAGE, self.features).get("DISTANCE", "FD")
        return f"{distance if kind == 'fid' else 'KID'}, {SPLITS[split]}"

    def names(self) -> list[str]:
        """Return the keys of scores that have a row."""
        return [key for key in self.values if key != "samples" and not key.endswith(SUFFIXES)]

    def table(self) -> str:
        """Return a row for each score, under the words that say of what it is."""
        label = plugins.constants(extractors.PACKAGE, self.features)["LABEL"]
        head = f"Of {self.values['samples']:,} samples ({self.variant}), in the features of {label}. "
        if label != "Inception":
            head += "They compare with no number in the features of Inception. "
        head += "Standard deviations are over resamples of the samples (KID: over subsets)." + "".join(
            f" {x}." for x in self.warnings
        )
        rows = [(self.title(key), _number(self.values[key]), *self._spread(key)) for key in self.names()]
        return f"{head}\n\n{_table(COLUMNS, rows)}"

    def _spread(self, key: str) -> tuple[str, str]:
        """Return the standard deviation and the interval of a score, where there are any."""
        sd, low, high = (self.values.get(key + suffix) for suffix in SUFFIXES)
        interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
        return "" if sd is None else _number(sd), interval

    def results(self, data: str | None) -> list[dict[str, Any]]:
        """Return the scores as the head of a card holds them (`model-index`); `data`: see `Said`."""
        metrics = []
        for key in self.names():
            spread = {
                suffix[1:]: self.values[key + suffix] for suffix in SUFFIXES if key + suffix in self.values
            }
            args = {"args": {"features": self.features, "samples": self.values["samples"], **spread}}
            metrics.append({"type": key, "name": self.title(key), "value": self.values[key], **args})
        task = {"type": "unconditional-image-generation", "name": "one-step image generation"}
        images = {"type": "images", "name": data or "images of the teacher's data set"}
        return [{"task": task, "dataset": images, "metrics": metrics}]


@dataclass(frozen=True)
class Said:
    """What a card says that the weights do not know; each may be left out.

    Args:
        scores: of the student.
        licence: of the weights, as hubs write it: 'mit'.
        data: what the images are of; repository: address of the code.
    """

    scores: Scores | None = None
    licence: str | None = None
    data: str | None = None
    repository: str | None = None

    def __post_init__(self) -> None:
        if self.licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", self.licence):
            raise UserError(
                f"the licence is {self.licence!r}; write it as hubs do: mit, apache-2.0, cc-by-4.0, other"
            )


@dataclass(frozen=True)
class Card:
    """A card.

    Args:
        student, header: as `checkpoint.load` returns them.
        hashes: SHA-256 of files, by what they are.
        said: see `Said`.
    """

    student: Student
    header: Header
    hashes: Mapping[str, str]
    said: Said

    def text(self) -> str:
        """Return the card in Markdown, under the YAML head that model hubs read."""
        model, student = self.header["model"], self.student
        averaged = (self.header.get("source") or {}).get("averaged") is not False
        return TEMPLATE.substitute(
            head=yaml.safe_dump(self._head(), sort_keys=False, allow_unicode=True, width=110),
            name=self._name(),
            samples="Samples, uncurated" + ", a column for each class" * student.conditional,
            label=f" and a class label (0 to {student.classes - 1})" if student.conditional else "",
            iterations=f" ({model['iterations']} fixed-point iterations)" if student.state_shape else "",
            shape="x".join(map(str, student.shape)),
            repository=self.said.repository or "the repository of get-distillation",
            model=_table(("", ""), {**model, "parameters": f"{parameter_count(student):,}"}.items()),
            training=_table(("", ""), self._training().items()),
            scores=self.said.scores.table() if self.said.scores else "Not scored.",
            data=f": {self.said.data}" if self.said.data else "",
            plateau=PLATEAU if self.header.get("plateau") else "",
            average=" The weights are the moving average (EMA)." if averaged else "",
        )

    def _name(self) -> str:
        family = self.header["model"]["family"]
        return f"{TITLES.get(family, family)}, {parameter_count(self.student):,} parameters"

    def _head(self) -> dict[str, Any]:
        """Return what stands in the YAML head."""
        licence = {"license": self.said.licence} if self.said.licence else {}
        tags = ["image-generation", "one-step", "distillation", self.header["model"]["family"]]
        head = {
            "library_name": "get-distillation",
            "pipeline_tag": "unconditional-image-generation",
            "tags": tags,
        }
        results = self.said.scores.results(self.said.data) if self.said.scores else []
        return (
            licence
            | head
            | ({"model-index": [{"name": self._name(), "results": results}]} if results else {})
        )

    def _training(self) -> dict[str, Any]:
        """Return how it was made; what is not known is left out."""
        of = self.header
        rows: dict[str, Any] = {"steps": of.get("step"), **of.get("training", {})}
        rows |= {key: of.get(key) for key in ("seed", "pairs", "teacher", "source")}
        place = of.get("place")
        rows |= {"result of the workflow": place, **self.hashes}
        return {key: value for key, value in rows.items() if value is not None}


def _table(columns: tuple[str, ...], rows: Any) -> str:
    """Return rows of a Markdown table."""
    lines = [columns, tuple("---" for _ in columns)]
    lines += [tuple(cell if isinstance(cell, str) else json.dumps(cell) for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.4g}" if value % 1 else f"{int(value):,}"
