"""A small classifier of the data set: features where Inception's mean nothing, as for digits."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from get.data.store import Images, read_split, to_unit
from get.runtime.device import pick_device, send
from get.runtime.log import log
from get.runtime.seeding import EpochSampler, fold_in, generator
from get.scoring.extractors import Layers
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.settings import from_settings
from get.storage.weights import load_model, write_weights
from get.training.loop import train
from get.training.optimisation import Optimisation
from get.training.state import State

CHUNK = 1000  # images at a time, where accuracy is measured


class Classifier(nn.Module):
    """Three convolutions (the last two halve the resolution) and two linear layers.

    Args:
        channels, size, classes: of the images; `size` is a multiple of 4.
        width: channels of the first convolution; the others have twice as many.
        features: number of penultimate features.
    """

    def __init__(self, *, channels: int, size: int, classes: int, width: int, features: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, stride=2)
        self.hidden = nn.Linear(2 * width * (size // 4) ** 2, features)
        self.out = nn.Linear(features, classes)

    def layers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) in [-1, 1] to features (B, features) and logits (B, classes)."""
        for conv in (self.conv0, self.conv1, self.conv2):
            x = F.relu(conv(x))
        penultimate = F.relu(self.hidden(x.flatten(1)))
        return penultimate, self.out(penultimate)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [-1, 1] to logits (B, classes)."""
        return self.layers(x)[1]


def train_classifier(
    *,
    store: str | Path,
    model: dict[str, Any],
    training: dict[str, Any],
    noise: float,
    steps: int,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Train the classifier on the train split; its accuracy on the test split goes into the header.

    Args:
        store: the image store.
        model: arguments of `Classifier` but for the shape of the images.
        training: keyword arguments of `Optimisation`.
        noise: standard deviation of the noise added to the images, as augmentation.
        steps: optimisation steps; seed: names every draw; device: see `device.pick_device`.
        output: safetensors with the model's description in the header.
    """
    train_split, test_split = (read_split(store, split) for split in ("train", "test"))
    options = from_settings(Optimisation, training, "training")
    # Model
    channels, size = train_split.images.shape[1:3]
    description = {**model, "channels": channels, "size": size, "classes": train_split.classes}
    torch.manual_seed(fold_in(seed, "classifier", "weights"))
    on = pick_device(device)
    classifier = Classifier(**description).to(on)
    # Data
    images, labels = train_split.images, torch.from_numpy(train_split.labels)
    examples = EpochSampler(len(images), options.batch, fold_in(seed, "classifier"))

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        chosen = examples(step)[rows]
        image, label = send(to_unit(images[chosen]), on), send(labels[chosen], on)
        source = generator(seed, "classifier", "noise", step, device=on)
        added = torch.randn(image.shape, generator=source, device=on)
        return F.cross_entropy(forward(image + noise * added), label)

    def write(state: State) -> None:
        classifier.load_state_dict(state.ema_weights())
        accuracy = _accuracy(classifier, test_split, on)
        log.info("test accuracy %.4f", accuracy)
        header = {**run, "steps": steps, "accuracy": accuracy}
        write_weights(output, "classifier", classifier.state_dict(), header)

    run = {"model": description, "training": training, "noise": noise, "seed": seed, "data": sha256(store)}
    train(classifier, loss, options, examples=examples, settings=run, stop=steps, output=output, write=write)


@torch.no_grad()
def _accuracy(classifier: Classifier, data: Images, device: torch.device) -> float:
    """Return the share of the images whose class is found."""
    classifier.eval()
    parts = (data.images[first : first + CHUNK] for first in range(0, len(data.labels), CHUNK))
    found = torch.cat([classifier(to_unit(part).to(device)).argmax(dim=1).cpu() for part in parts])
    return (found == torch.from_numpy(data.labels)).float().mean().item()


def load(weights: str | Path, device: torch.device) -> Layers:
    """Return the layers of the classifier at `weights`; raises `UserError`."""
    classifier, header = load_model(lambda model: Classifier(**model), weights, "classifier")
    classifier.to(device)
    size = header["model"]["size"]
    wanted = (header["model"]["channels"], size, size)

    def layers(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1:] != wanted:
            found = tuple(images.shape[1:])
            raise UserError(f"{weights} is a classifier of images {wanted} (C, H, W), but these are {found}")
        return classifier.layers(images.float() / 127.5 - 1)

    return layers
