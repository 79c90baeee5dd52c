"""Training the teacher with EDM's loss, and its weights as safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.data.store import read_split, to_unit
from get.networks.denoiser import build
from get.runtime.device import pick_device, send
from get.runtime.seeding import EpochSampler, fold_in, generator
from get.storage.hashing import sha256
from get.storage.settings import from_settings, require_keys
from get.storage.weights import write_weights
from get.training.loop import train
from get.training.optimisation import Optimisation
from get.training.state import State
from get.training.trackers import NONE, Entries


@dataclass(frozen=True)
class NoiseLevels:
    """Training noise: ln sigma ~ N(mean, std^2) (Karras et al. 2022, Table 1: -1.2 and 1.2)."""

    mean: float
    std: float

    def draw(self, count: int, source: torch.Generator) -> Tensor:
        """Return `count` values of sigma (count,) on the generator's device."""
        return (torch.randn(count, generator=source, device=source.device) * self.std + self.mean).exp()


def edm_loss(
    denoise: Any,
    image: Tensor,
    noise: Tensor,
    sigma: Tensor,
    label: Tensor | None,
    sigma_data: float,
) -> Tensor:
    """Return the mean over samples and pixels of lambda(sigma) (D(y + n; sigma) - y)^2.

    Karras et al. 2022, equations 2 and 8, with lambda(sigma) of Table 1.

    Args:
        denoise: D(x, sigma, label).
        image, noise: (B, C, H, W); `noise` has unit variance.
        sigma: (B,); label: (B,) int64 or None.
        sigma_data: standard deviation of the data.
    """
    s = sigma.view(-1, 1, 1, 1)
    weight = (s.square() + sigma_data**2) / (s * sigma_data).square()
    return (weight * (denoise(image + s * noise, sigma, label) - image).square()).mean()


def train_teacher(
    *,
    store: str | Path,
    settings: dict[str, Any],
    seed: int,
    device: str,
    output: str | Path,
    history: str | Path,
    trackers: Entries = NONE,
) -> None:
    """Train a teacher on the train split of `store`; write EMA weights and the history of the loss.

    Of several processes (see `training.loop`), each computes its own part of every batch; the first writes.

    Args:
        store: the image store.
        settings: 'network' (arguments of `denoiser.build` but for the shape of the images), 'noise_levels'
            (see `NoiseLevels`), 'training' (see `Optimisation`), 'steps', and 'conditional': whether the
            teacher sees labels.
        seed: names every draw; device: see `device.pick_device`.
        output: safetensors with the model's description in the header; history: JSON.
        trackers: where it is watched, see `training.trackers`.

    Raises:
        UserError: settings or store are wrong. Stopped, Diverged: see `training.loop.train`.
    """
    keys = ("conditional", "network", "noise_levels", "steps", "training")
    require_keys(settings, keys, "settings of the teacher")
    conditional, steps = settings["conditional"], settings["steps"]
    levels = from_settings(NoiseLevels, settings["noise_levels"], "noise_levels")
    options = from_settings(Optimisation, settings["training"], "training")
    # Model
    data = read_split(store, "train")
    channels, size = data.images.shape[1:3]
    classes = data.classes if conditional else 0
    description = {**settings["network"], "channels": channels, "size": size, "classes": classes}
    torch.manual_seed(fold_in(seed, "teacher", "weights"))
    on = pick_device(device)
    model = build(description).to(on)
    # Data
    images, labels = data.images, torch.from_numpy(data.labels)
    examples = EpochSampler(len(images), options.batch, fold_in(seed, "teacher"))

    def loss(denoise: Any, step: int, rows: slice) -> Tensor:
        chosen = examples(step)[rows]
        source = generator(seed, "teacher", "noise", step, device=on)
        sigma = levels.draw(options.batch, source)[rows]
        noise = torch.randn((options.batch, *images.shape[1:]), generator=source, device=on)[rows]
        image, label = send(to_unit(images[chosen]), on), send(labels[chosen], on)
        return edm_loss(denoise, image, noise, sigma, label if conditional else None, model.sigma_data)

    def write(state: State) -> None:
        write_weights(output, "teacher", state.ema_weights(), {**run, "steps": steps})
        state.write_history(history)

    # without the number of steps: a longer run goes on from a shorter one that was cut off
    run = {"noise_levels": settings["noise_levels"], "training": settings["training"]}
    run |= {"model": description, "seed": seed, "data": sha256(store)}
    train(
        model, loss, options,
        examples=examples, settings=run, stop=steps, output=output, write=write, trackers=trackers,
    )  # fmt: skip
