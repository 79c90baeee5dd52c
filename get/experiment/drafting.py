"""A first config for images of one's own: looked at, and sized to them and to the machine."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import yaml

from get.data.pictures.collection import Collection, Files, open_collection
from get.data.sets.folder import find_folder, fitted, reason, require_all, require_split
from get.runtime.gpus import visible_gpus
from get.storage.errors import UserError

TEMPLATE = Path(__file__).with_name("draft.yaml")
LOOKED_AT = 500  # images, for their standard deviation
INCEPTION = {  # torch-fidelity's, as in workflow/config/cifar10.yaml
    "url": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "sha256": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
}
LEAST_OF_A_CLASS = 50  # images, for a classifier of some use
LEAST_CLASSES = 10  # as digits have; of few, it keeps no more than what tells them apart
MB = 10**6
TEST_FRACTION = 0.2
FOLDERS = (  # that the results of config.yaml have
    "benchmarks", "data", "features", "figures", "inputs", "logs", "pairs", "rivals", "samples", "scaling",
    "scores", "settings", "statistics", "students", "studies", "teachers", "tuning",
)  # fmt: skip
KINDS = (
    "classifier",
    "teacher",
    "pairs",
    "student",
    "sample",
    "score",
    "costs",
)  # of jobs that may have a GPU


@dataclass(frozen=True)
class Machine:
    """What jobs may use: cores, GPUs, and memory in bytes."""

    cores: int
    gpus: int
    memory: int

    @classmethod
    def here(cls) -> "Machine":
        """Return what this process sees."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(len(os.sched_getaffinity(0)), visible_gpus(), memory)

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else ", no GPU"
        return f"{self.cores} core{'s' * (self.cores > 1)}, {self.memory / 1e9:.0f} GB{gpus}"


@dataclass(frozen=True)
class Look:
    """What is found of images: how many there are to train and to test, and their standard deviation.

    fewest: pictures of a class; left_out: what is no picture, in words.
    """

    shape: list[int]
    classes: list[str]
    fewest: int
    images: int | tuple[int, int]
    deviation: float
    left_out: str

    def __str__(self) -> str:
        channels, height, width = self.shape
        kind = f"{width}x{height} pixels, {'grey' if channels == 1 else 'in colour'}"
        images = self.images
        count = (
            f"{images:,} images"
            if isinstance(images, int)
            else "{:,} images to train, {:,} to test".format(*images)
        )
        if not self.classes:
            return f"{count}, {kind}, without classes"
        names = ", ".join(self.classes[:5]) + ", ..." * (len(self.classes) > 5)
        return f"{count}, {kind}, {len(self.classes)} classes ({names})"


def look(path: Path, labels: str | None, resize: int | None) -> Look:
    """Return what is found of the images at `path`.

    Raises:
        UserError: the data set `folder` does not take them, as far as some of them tell.
    """
    found = find_folder(archive=path, labels=labels, resize=resize)
    height, width = found.shape[1:]
    if height != width or height % 4:
        whose = f"--resize {resize}" if resize else f"the first picture has {width} x {height} pixels"
        raise UserError(
            f"{path}: {whose}; images are square, with sides of a multiple of 4: "
            f"add --resize {max(4, min(height, width) // 4 * 4)}, or another size"
        )
    collection = open_collection(path, labels)
    arranged = collection.arrangement
    if arranged.tests is None:
        require_split(arranged.labels, arranged.classes, TEST_FRACTION)
    fewest = int(np.bincount(arranged.labels).min())
    deviation = _deviation(path, collection, found.shape, resize)
    rest = collection.contents.left_out() if isinstance(collection, Files) else ""
    return Look(found.shape, arranged.classes, fewest, found.images, deviation, rest)


def _deviation(path: Path, collection: Collection, shape: list[int], resize: int | None) -> float:
    """Return the standard deviation of some images, in [-1, 1].

    Raises:
        UserError: some of them cannot be taken.
    """
    names = collection.arrangement.names
    chosen = sorted({len(names) * part // LOOKED_AT for part in range(LOOKED_AT)})
    sums, problems = np.zeros(3), {}
    for number, load in collection.images(chosen):
        try:
            image = fitted(load().picture, shape, resize)[0] / 127.5 - 1
        except Exception as error:  # a damaged picture or archive can raise any
            problems[names[number]] = reason(error)
        else:
            sums += image.size, image.sum(), (image**2).sum()
    require_all(path, problems, len(chosen))
    mean, square = sums[1:] / sums[0]
    return round(math.sqrt(square - mean**2), 3)


def draft(
    path: Path, labels: str | None, resize: int | None, found: Look, machine: Machine, results: str
) -> str:
    """Return the YAML of a config."""
    given = {"labels": labels, "resize": resize}
    options = "".join(f"  {key}: {_flow(value)}\n" for key, value in given.items() if value is not None)
    if isinstance(found.images, int):
        options += f"  test_fraction: {TEST_FRACTION}   # drawn, class by class\n"
    kind = "conditional" if found.classes else "unconditional"
    values = {
        "title": _line(f"The images of {path}: a teacher, its pairs, a GET and a ViT."),
        "results": results,
        "found": _line(str(found)),
        "source": _flow({"path": str(path)}),
        "options": options,
        "features": _features(found, machine),
        "kind": kind,
        "figure4": kind,
        "conditional": _flow(bool(found.classes)),
        "conditioning": "injection" if found.classes else "none",
        "deviation": found.deviation,
        "machine": str(machine),
        "jobs": _jobs(machine),
        **(_large if machine.gpus else _small)(found.shape[-1]),
    }
    values["shards"] = max(1, machine.gpus or machine.cores)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def results_of(config: Path) -> str:
    """Return a folder of results for the config of this name: one that is not there yet."""
    name = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in config.stem).strip("-")
    name = f"own-{name or 'images'}" if name in {"", *FOLDERS} else name
    names = [name, *(f"{name}-{number}" for number in range(2, 1000))]
    return next(found for found in (f"results/{each}" for each in names) if not Path(found).exists())


def _small(size: int) -> dict[str, object]:
    """Return sizes for two cores: less than an hour at 32x32."""
    mult = [1, 2, 2, 2][: 1 + _halvings(size, 8)]
    return {
        # teacher
        "channels": 32, "mult": mult, "blocks": 1, "attention": [size >> (len(mult) - 1)],
        "teacher_steps": 1500, "batch": 64, "teacher_lr": "2.0e-3", "teacher_warmup": 100,
        "teacher_ema": 0.999, "precision": "float32",
        # pairs, samples
        "pairs": 3000, "held_out": 300, "sampled": 250, "samples": 3000,
        # students
        "patch": _patch(size, 64), "width": 48, "heads": 3, "injection": 2, "equilibrium": 1, "depth": 3,
        "get_lr": "2.0e-3", "vit_lr": "8.0e-3", "student_ema": 0.999, "milestones": [1000, 3000],
        "rates": "[5.0e-4, 1.0e-3, 2.0e-3, 4.0e-3, 8.0e-3, 1.6e-2]", "trial": 1000,
    }  # fmt: skip


def _large(size: int) -> dict[str, object]:
    """Return sizes for a GPU: about a day; a network near EDM's for CIFAR-10, the paper's GET-Tiny."""
    mult = [2, 2, 2, 2][: 1 + _halvings(size, 8)]
    return {
        # teacher
        "channels": 128, "mult": mult, "blocks": 2, "attention": [min(16, size >> (len(mult) - 1))],
        "teacher_steps": 100_000, "batch": 256, "teacher_lr": "1.0e-3", "teacher_warmup": 5000,
        "teacher_ema": 0.9993, "precision": "bfloat16",
        # pairs, samples
        "pairs": 100_000, "held_out": 5000, "sampled": 500, "samples": 10_000,
        # students
        "patch": _patch(size, 256), "width": 256, "heads": 4, "injection": 6, "equilibrium": 3, "depth": 12,
        "get_lr": "1.0e-4", "vit_lr": "1.0e-4", "student_ema": 0.9999, "milestones": [50_000, 100_000],
        "rates": "[5.0e-5, 1.0e-4, 2.0e-4, 4.0e-4, 8.0e-4]", "trial": 10_000,
    }  # fmt: skip


def _halvings(size: int, least: int) -> int:
    """Return how often a size can be halved, at most three times, down to `least` or more."""
    halvings = 0
    while halvings < 3 and size % 2 == 0 and size // 2 >= least:
        size, halvings = size // 2, halvings + 1
    return halvings


def _patch(size: int, tokens: int) -> int:
    """Return the smallest patch that divides an image of this size into so many tokens or fewer."""
    return next(patch for patch in range(1, size + 1) if size % patch == 0 and (size // patch) ** 2 <= tokens)


def _features(found: Look, machine: Machine) -> str:
    """Return the lines of the extractor: Inception where it can be run, else a network of the images' own."""
    if machine.gpus and found.shape[-1] >= 32:
        source = "".join(f"    {key}: {value}\n" for key, value in INCEPTION.items())
        why = "in place of url there may be the path of a local copy"
        return f"  extractor: inception\n  source:   # {why}\n{source}"
    few = len(found.classes) < LEAST_CLASSES or found.fewest < LEAST_OF_A_CLASS
    name, why = ("autoencoder", "sees what fills many pixels") if few else ("classifier", "of the classes")
    return (
        f"  extractor: {name}   # {why}; trained on the images\n"
        f"  {name}:\n    model: {{width: 32, features: 64}}\n    steps: 1000\n"
        "    training: {batch: 128, lr: 2.0e-3, warmup: 50, ema: 0.99, ema_warmup: true}\n"
    )


def _jobs(machine: Machine) -> str:
    """Return the lines of `jobs`: with a GPU each, or else one for all cores, two, or one for each."""
    memory = min(int(machine.memory / MB * 0.9), 32_000 if machine.gpus else 4000)
    whole, half = min(8, machine.cores), min(8, max(1, machine.cores // 2))
    if machine.gpus:
        work, gpu = dict.fromkeys(KINDS, max(1, min(8, machine.cores // machine.gpus))), 1
    else:
        work, gpu = dict.fromkeys(KINDS, half) | {"teacher": whole, "pairs": 1, "sample": 1}, 0
    lines = ["  light: {threads: 1, mem_mb: 1500, gpu: 0}\n"]
    lines += [f"  {kind}: {{threads: {work[kind]}, mem_mb: {memory}, gpu: {gpu}}}\n" for kind in KINDS]
    return "".join(lines)


def _line(text: str) -> str:
    """Return the text of a comment; names of files and classes may have line breaks, which would end it."""
    return " ".join(text.split())


def _flow(value: object) -> str:
    """Return a value as YAML writes it within a line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).split("\n")[0]
