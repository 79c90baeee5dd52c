"""The teacher writes pairs: noise in, image out, in fixed batches of indices."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from get.networks.denoiser import Denoiser, load
from get.pairs.shards import write_shard
from get.runtime.device import autocast, pick_device
from get.runtime.limits import within_memory
from get.runtime.log import Progress
from get.runtime.seeding import classes_of, normal
from get.storage.hashing import sha256
from get.teacher.samplers import Sampler


def sample(
    teacher: Denoiser, noise: Tensor, label: Tensor | None, sampler: Sampler, device: torch.device
) -> Tensor:
    """Return images (B, C, H, W) float32 for unit-variance noise (B, C, H, W) and labels (B,)."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        with autocast(device, sampler.precision):
            return teacher(x, sigma, label)

    with torch.no_grad():
        return sampler(denoise, noise).float()


def solve(teacher: Denoiser, noise: Tensor, labels: Tensor, sampler: Sampler, device: torch.device) -> Tensor:
    """Return images (N, C, H, W) float32 on the CPU for noise (N, C, H, W), batch by batch.

    Args:
        teacher: on `device`.
        labels: (N,) int64, which a teacher without classes does not read.
        sampler: says how many a batch has: fewer where memory is short.
    """

    def compute(rows: slice) -> Tensor:
        label = labels[rows].to(device) if teacher.classes else None
        return sample(teacher, noise[rows].float().to(device), label, sampler, device).cpu()

    return torch.cat(list(within_memory(compute, len(noise), sampler.batch, "sampler.batch")))


def write_pairs(
    *,
    teacher: str | Path,
    indices: range,
    sampler: Sampler,
    seed: int,
    identity: str,
    device: str,
    output: str | Path,
) -> None:
    """Generate the pairs with the given indices and write them as one shard.

    Args:
        teacher: checkpoint of the teacher.
        indices: consecutive, starting at a multiple of `sampler.batch` (from `shards.HELD_OUT` on for
            held-out pairs); pair i has class i mod classes.
        seed: names the noise; identity: fingerprint of all settings, kept in the shard.
        device: see `device.pick_device`; output: the shard.
    """
    on = pick_device(device)
    model = load(teacher).to(on)
    progress = Progress("pairs", len(indices))
    noises, images, labels = [], [], []
    for start in range(indices.start, indices.stop, sampler.batch):
        # always a whole batch, cut afterwards: pair i must not depend on where the range ends
        noise, image, label = generate(model, start, sampler, seed, on)
        kept = min(sampler.batch, indices.stop - start)
        noises.append(noise[:kept].numpy())
        images.append(image[:kept].numpy())
        labels.append(label[:kept].numpy())
        progress.advance(kept)
    progress.close()
    attributes = {"identity": identity, "teacher": sha256(teacher), "seed": seed, "classes": model.classes}
    write_shard(
        output,
        indices.start,
        np.concatenate(noises),
        np.concatenate(images),
        np.concatenate(labels),
        attributes | sampler.attributes(),
    )


def generate(
    model: Denoiser, start: int, sampler: Sampler, seed: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs from the index `start` on, a whole batch: noise and images float16, labels int64."""
    noise, label = draw(range(start, start + sampler.batch), model.shape, seed, model.classes)
    return noise, solve(model, noise, label, sampler, device).half(), label


def draw(indices: range, shape: tuple[int, ...], seed: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return the noise (B, *shape) float16 and the labels (B,) int64 (0 if `classes` is 0) of pairs."""
    return normal(indices, shape, seed, "pairs").half(), classes_of(indices, classes)
