"""Sample files of teachers, real images and pure noise, to be scored beside the students'."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from get.data.store import read_split, to_bytes
from get.networks.denoiser import load
from get.pairs.dataset import training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.device import pick_device
from get.runtime.log import Progress
from get.runtime.seeding import classes_of, normal
from get.sampling.files import CHUNK, new_samples
from get.storage.errors import UserError
from get.teacher.generation import generate
from get.teacher.samplers import Sampler


def teacher_samples(*, manifest: str | Path, samples: int, nfe: int, output: str | Path) -> None:
    """Write the teacher's samples: the images of its first `samples` training pairs, `nfe` evaluations each.

    Raises:
        UserError: there are fewer pairs than samples.
    """
    pairs = training_pairs(read_manifest(manifest))
    if len(pairs) < samples:
        raise UserError(f"{manifest} has {len(pairs)} pairs, fewer than evaluation.samples ({samples})")
    labels = classes_of(range(samples), pairs.classes)
    with new_samples(output, ["teacher"], labels, pairs.shape) as file:
        file.info.update(nfe=nfe, conditional=bool(pairs.classes))
        for first in range(0, samples, CHUNK):
            images = pairs.batch(torch.arange(first, min(first + CHUNK, samples))).image.float()
            file.variants["teacher"][first : first + CHUNK] = to_bytes(images).numpy()


def few_evaluations(
    *,
    teacher: str | Path,
    sampler: Mapping[str, Any],
    samples: int,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Write samples of the teacher from the noise of its first training pairs, by another sampler.

    Args:
        teacher: its checkpoint.
        sampler: arguments of `Sampler`; samples: how many; seed: of the pairs.
        device: see `device.pick_device`; output: the sample file.
    """
    on, drawn = pick_device(device), Sampler(**sampler)
    model = load(teacher).to(on)
    progress = Progress("samples", samples)
    with new_samples(output, ["teacher"], classes_of(range(samples), model.classes), model.shape) as file:
        file.info.update(nfe=drawn.evaluations, conditional=bool(model.classes), sampler=drawn.name)
        for first in range(0, samples, drawn.batch):
            rows = slice(first, min(first + drawn.batch, samples))
            _, images, _ = generate(model, first, drawn, seed, on)
            file.variants["teacher"][rows] = to_bytes(images[: rows.stop - first].float()).numpy()
            progress.advance(rows.stop - first)
    progress.close()


def baseline_samples(*, store: str | Path, kind: str, samples: int, seed: int, output: str | Path) -> None:
    """Write an end of the scale of scores: kind 'real' (all test images) or 'noise' (pure noise)."""
    data = read_split(store, "test")
    real, shape = kind == "real", data.images.shape[1:]
    labels = torch.from_numpy(data.labels) if real else classes_of(range(samples), data.classes)
    with new_samples(output, [kind], labels, shape) as file:
        file.info.update(nfe=None, conditional=None, split="test" if real else None)
        for first in range(0, len(labels), CHUNK):
            rows = slice(first, min(first + CHUNK, len(labels)))
            if real:
                file.variants[kind][rows] = data.images[rows]
            else:
                noise = normal(range(rows.start, rows.stop), shape, seed, "evaluation", "noise")
                file.variants[kind][rows] = to_bytes(noise).numpy()
