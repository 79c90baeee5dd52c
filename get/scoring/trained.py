"""Extractors of features that are trained here, on the images themselves."""

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from get.data.store import Images, read_split, to_unit
from get.runtime import plugins
from get.runtime.device import pick_device, send
from get.runtime.log import log
from get.runtime.seeding import EpochSampler, fold_in, generator
from get.scoring.extractors import PACKAGE, Layers
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.settings import from_settings
from get.storage.weights import load_model, write_weights
from get.training.loop import train
from get.training.optimisation import Optimisation
from get.training.state import State

CHUNK, PIXELS = 1000, 2**22  # images, and values in them, at a time where the quality is measured


def train_extractor(
    *,
    name: str,
    store: str | Path,
    model: dict[str, Any],
    training: dict[str, Any],
    noise: float,
    steps: int,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Train an extractor on the train split; how good it is on the test split goes into the header.

    Args:
        name: module of `scoring.extractors`.
        store: the image store.
        model: arguments of its network but for the shape of the images.
        training: keyword arguments of `Optimisation`.
        noise: standard deviation of the noise added to the images, as augmentation.
        steps: optimisation steps; seed: names every draw; device: see `device.pick_device`.
        output: safetensors with the model's description in the header.
    """
    module = plugins.load(PACKAGE, name, "features.extractor")
    train_split, test_split = (read_split(store, split) for split in ("train", "test"))
    options = from_settings(Optimisation, training, "training")
    # Model
    channels, size = train_split.images.shape[1:3]
    description = {**model, "channels": channels, "size": size, "classes": train_split.classes}
    torch.manual_seed(fold_in(seed, name, "weights"))
    on = pick_device(device)
    network = module.NETWORK(**description).to(on)
    # Data
    images, labels = train_split.images, torch.from_numpy(train_split.labels)
    examples = EpochSampler(len(images), options.batch, fold_in(seed, name))

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        chosen = examples(step)[rows]
        image, label = send(to_unit(images[chosen]), on), send(labels[chosen], on)
        source = generator(seed, name, "noise", step, device=on)
        added = torch.randn(image.shape, generator=source, device=on)
        found: Tensor = module.loss(forward(image + noise * added), image, label)
        return found

    def write(state: State) -> None:
        network.load_state_dict(state.ema_weights())
        quality = _quality(module, network, test_split, on)
        log.info("%s on the test split: %.4f", module.QUALITY, quality)
        header = {**run, "steps": steps, module.QUALITY: quality}
        write_weights(output, name, network.state_dict(), header)

    run = {"model": description, "training": training, "noise": noise, "seed": seed, "data": sha256(store)}
    train(network, loss, options, examples=examples, settings=run, stop=steps, output=output, write=write)


@torch.no_grad()
def _quality(module: ModuleType, network: torch.nn.Module, data: Images, device: torch.device) -> float:
    """Return the mean quality over all images."""
    network.eval()
    found = []
    chunk = max(1, min(CHUNK, PIXELS // math.prod(data.images.shape[1:])))
    for first in range(0, len(data.labels), chunk):
        rows = slice(first, first + chunk)
        image, label = to_unit(data.images[rows]), torch.from_numpy(data.labels[rows])
        image, label = image.to(device), label.to(device)
        found.append(module.quality(network(image), image, label).cpu())
    return float(torch.cat(found).mean())


def load_trained(name: str, module: ModuleType, weights: str | Path, device: torch.device) -> Layers:
    """Return the layers of an extractor that was trained here; raises `UserError`."""
    network, header = load_model(lambda model: module.NETWORK(**model), weights, name)
    network.to(device)
    size = header["model"]["size"]
    wanted = (header["model"]["channels"], size, size)

    def layers(images: Tensor) -> tuple[Tensor, Tensor | None]:
        if images.shape[1:] != wanted:
            found = tuple(images.shape[1:])
            raise UserError(f"{weights} is of images {wanted} (C, H, W), but these are {found}")
        made: tuple[Tensor, Tensor | None] = network.layers(images.float() / 127.5 - 1)
        return made

    return layers
