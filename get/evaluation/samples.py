"""Sample files: uint8 images of one source, ready to be scored and shown.

HDF5: a dataset (N, C, H, W) uint8 per variant (a GET has one per state rule and number of iterations,
everything else just one), labels (N,) int64, and the attribute 'info', JSON that goes into the scores.
The source's headline variant comes first in info['variants'].
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.data.store import read_split, to_bytes
from get.files import UserError, atomic
from get.pairs.dataset import Pairs, held_out_pairs, training_pairs
from get.pairs.shards import read_manifest
from get.runtime import autocast, pick_device
from get.seeding import classes_of, normal
from get.student import checkpoint
from get.student.equilibrium import choose
from get.student.models import GET, Student, parameter_count
from get.student.sampling import Sampling, sample


class SampleFile(NamedTuple):
    """variants: name -> images uint8 (N, C, H, W), headline first; labels (N,); info as in the scores."""

    variants: dict[str, NDArray[np.uint8]]
    labels: NDArray[np.int64]
    info: dict[str, Any]


def write_samples(path: str | Path, content: SampleFile) -> None:
    """Write a sample file, atomically."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        for name, images in content.variants.items():
            file.create_dataset(f"images/{name}", data=images)
        file["labels"] = content.labels
        file.attrs["info"] = json.dumps({**content.info, "variants": list(content.variants)})


def read_samples(path: str | Path) -> SampleFile:
    """Read a sample file.

    Raises:
        UserError: missing, damaged, or no sample file.
    """
    try:
        with h5py.File(path, "r") as file:
            info = json.loads(file.attrs["info"])
            variants = {name: file[f"images/{name}"][:] for name in info["variants"]}
            return SampleFile(variants, file["labels"][:], info)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no sample file or is damaged ({error}); delete it") from None


def sample_student(
    *,
    weights: str | Path,
    held_out: str | Path,
    samples: int,
    batch: int,
    iterations: list[int],
    precision: str,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a student's EMA weights in one step, and measure its error on the held-out pairs.

    One solve serves all variants. The info has means over samples, per iteration: `residuals` of the state,
    and `changes` of the decoded image (root mean square over pixels in [-1, 1]) between iterations.

    Args:
        weights: the student's checkpoint.
        held_out: the shard of held-out pairs.
        samples, batch: number of samples, and of those per call; sample i has class i mod classes.
        iterations: other numbers of fixed-point iterations to sample a GET with.
        precision, seed, device: see `Sampling`, `sampling.sample`, `runtime.pick_device`.
        output: the sample file.

    Raises:
        UserError: a file is damaged, or the held-out pairs are of another teacher than the student's.
    """
    student, header = checkpoint.load(weights)
    pairs, on = held_out_pairs(held_out, header["pairs"]), pick_device(device)
    if pairs.teacher != header["teacher"]:
        raise UserError(
            f"{weights} was trained on pairs of another teacher than those in {held_out}; "
            "train the students again with: snakemake --forcerun train_student"
        )
    student.to(on)
    labels = classes_of(range(samples), header["model"]["classes"] if student.conditional else 0)
    variants = _variants(student, iterations)
    options = Sampling(batch, max(count for count, _ in variants.values()), precision=precision)
    drawn: dict[str, list[Tensor]] = {name: [] for name in variants}
    residuals, changes = [], []
    for images, steps in sample(
        student, range(samples), labels, seed=seed, options=options, device=on, trajectories=True
    ):
        for name, (count, rule) in variants.items():
            drawn[name].append(to_bytes(choose(images[:count], steps[:count], rule)))
        residuals.append(steps)
        changes.append((images[1:] - images[:-1]).square().mean(dim=(2, 3, 4)).sqrt())
    info = {key: header[key] for key in ("model", "step", "seed", "plateau")}
    info |= {"nfe": 1, "conditional": student.conditional, "parameters": parameter_count(student)}
    info["l1_held_out"] = held_out_errors(student, pairs, variants, options, on)
    for name, values in (("residuals", residuals), ("changes", changes)):
        info[name] = torch.cat(values, dim=1).mean(dim=1).tolist()
    finished = {name: torch.cat(images).numpy() for name, images in drawn.items()}
    write_samples(output, SampleFile(finished, labels.numpy(), info))


def _variants(student: Student, iterations: list[int]) -> dict[str, tuple[int, str]]:
    """Return the variants to sample, headline first: name -> (iterations, rule)."""
    if not isinstance(student, GET):
        return {"one-step": (1, "last")}
    trained = student.iterations
    choices = [(trained, "lowest-residual"), (trained, "last")]
    choices += [(count, "lowest-residual") for count in iterations if count != trained]
    return {f"{rule}-{count}": (count, rule) for count, rule in choices}


@torch.no_grad()
def held_out_errors(
    student: Student,
    pairs: Pairs,
    variants: dict[str, tuple[int, str]],
    options: Sampling,
    device: torch.device,
) -> dict[str, float]:
    """Return the mean absolute error (images in [-1, 1]) on all held-out pairs, of each variant."""
    totals = dict.fromkeys(variants, 0.0)
    for positions in torch.arange(len(pairs)).split(options.batch):
        noise, image, label = (t.to(device) for t in pairs.batch(positions))
        state = student.state_shape and normal(
            positions.tolist(), student.state_shape, 0, "held-out", "state", device=device
        )
        with autocast(device, options.precision):
            guesses, steps = student.trajectory(noise, label, state, options.iterations)
        for name, (count, rule) in variants.items():
            guess = choose(guesses[:count], steps[:count], rule)
            totals[name] += (guess.float() - image).abs().sum().item()
    return {name: total / (len(pairs) * int(np.prod(pairs.shape))) for name, total in totals.items()}


def teacher_samples(*, manifest: str | Path, samples: int, nfe: int, output: str | Path) -> None:
    """Write the teacher's samples: the images of its first `samples` training pairs, `nfe` evaluations each.

    Raises:
        UserError: there are fewer pairs than samples.
    """
    pairs = training_pairs(read_manifest(manifest))
    if len(pairs) < samples:
        raise UserError(f"{manifest} has {len(pairs)} pairs, fewer than evaluation.samples ({samples})")
    _, image, label = pairs.batch(torch.arange(samples))
    info = {"nfe": nfe, "conditional": bool(pairs.classes)}
    write_samples(output, SampleFile({"teacher": to_bytes(image).numpy()}, label.numpy(), info))


def baseline_samples(*, store: str | Path, kind: str, samples: int, seed: int, output: str | Path) -> None:
    """Write what marks the ends of the scale: kind 'real' (all test images) or 'noise' (pure noise)."""
    data = read_split(store, "test")
    if kind == "real":
        images, labels = data.images, data.labels
    else:
        noise: Tensor = normal(range(samples), data.images.shape[1:], seed, "evaluation", "noise")
        images, labels = to_bytes(noise).numpy(), classes_of(range(samples), data.classes).numpy()
    info = {"nfe": None, "conditional": None}
    write_samples(output, SampleFile({kind: images}, labels, info))
