"""Sample files of teachers, real images and pure noise, to be scored beside the students'."""

from pathlib import Path

import torch

from get.data.store import read_split, to_bytes
from get.pairs.dataset import training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.seeding import classes_of, normal
from get.sampling.files import CHUNK, new_samples
from get.storage.errors import UserError


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
