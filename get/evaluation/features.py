"""Features for FID, IS, KID and precision/recall: Inception's, or those of a small classifier.

Inception is torch-fidelity's, which is imported only where it is asked for: with torchvision it takes as long
as torch itself. The classifier is trained on the data set. Of either, the penultimate activations serve FID,
KID and precision/recall, the logits the Inception Score.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from get.data.store import Images, read_split, to_unit
from get.files import UserError, atomic, from_settings, sha256, verified_sha256
from get.fitting import Optimisation, trained
from get.log import Progress, log
from get.reading import reading, require_small
from get.runtime import pick_device, send, within_memory
from get.seeding import Visits, fold_in, generator
from get.weights import load_model, write_weights

INCEPTION = "file of weights of torch-fidelity's Inception and nothing else"
REMEDY = "get the file that features.source.url in the config names"


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
        training: keyword arguments of `state.Optimisation`.
        noise: standard deviation of the noise added to the images, as augmentation.
        steps: optimisation steps; seed: names every draw; device: see `runtime.pick_device`.
        output: safetensors with the model's description in the header.
    """
    train, test, options = (
        read_split(store, "train"),
        read_split(store, "test"),
        from_settings(Optimisation, training, "training"),
    )
    channels, size = train.images.shape[1:3]
    description = {**model, "channels": channels, "size": size, "classes": train.classes}
    torch.manual_seed(fold_in(seed, "classifier", "weights"))
    on = pick_device(device)
    classifier = Classifier(**description).to(on)
    images, labels = to_unit(train.images).to(on), torch.from_numpy(train.labels).to(on)
    visits = Visits(len(images), options.batch, fold_in(seed, "classifier"))

    def loss(forward: Any, step: int) -> Tensor:
        chosen, source = send(visits(step), on), generator(seed, "classifier", "noise", step, device=on)
        x = images[chosen] + noise * torch.randn(
            (len(chosen), *images.shape[1:]), generator=source, device=on
        )
        return F.cross_entropy(forward(x), labels[chosen])

    settings = {"model": description, "training": training, "noise": noise, "seed": seed}
    settings |= {"data": sha256(store)}
    with trained(
        classifier, loss, options, examples=visits, settings=settings, stop=steps, output=output
    ) as state:
        classifier.load_state_dict(state.ema_weights())
        accuracy = _accuracy(classifier, test, on)
        log.info("test accuracy %.4f", accuracy)
        header = {**settings, "steps": steps, "accuracy": accuracy}
        write_weights(output, "classifier", classifier.state_dict(), header)


@torch.no_grad()
def _accuracy(classifier: Classifier, data: Images, device: torch.device) -> float:
    guess = classifier.eval()(to_unit(data.images).to(device)).argmax(dim=1).cpu()
    return (guess == torch.from_numpy(data.labels)).float().mean().item()


Layers = Callable[[Tensor], tuple[Tensor, Tensor]]  # images uint8 (B, C, H, W) to a batch of `Features`


class Features(NamedTuple):
    """penultimate (N, D) and logits (N, classes), float32; in memory, or mapped from files."""

    penultimate: NDArray[np.float32]
    logits: NDArray[np.float32]


class Extractor:
    """A network that is ready to map uint8 images to `Features`.

    Args:
        name: 'inception' or 'classifier'.
        weights: its file.
        device: see `runtime.pick_device`; batch: images per call.
    """

    def __init__(self, name: str, weights: str | Path, device: str, batch: int) -> None:
        self.device, self.batch = pick_device(device), batch
        self.layers = {"inception": _inception, "classifier": _classifier}[name](weights, self.device)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8], folder: str | Path) -> Features:
        """Map images (N, C, H, W) uint8, N >= 1, to features, batch by batch, in files in `folder`."""
        progress = Progress("features", len(images))

        def layers(rows: slice) -> list[NDArray[np.float32]]:
            chunk = torch.from_numpy(images[rows]).to(self.device)
            return [layer.float().cpu().numpy() for layer in self.layers(chunk)]

        out: list[NDArray[np.float32]] = []
        done = 0
        for parts in within_memory(layers, len(images), self.batch, "evaluation.batch (--batch)"):
            if not out:
                shapes = [(len(images), part.shape[1]) for part in parts]
                out = [_new_array(Path(folder, f"{n}.npy"), shape) for n, shape in enumerate(shapes)]
            for array, part in zip(out, parts, strict=True):
                array[done : done + len(part)] = part
            done += len(parts[0])
            progress.advance(len(parts[0]))
        progress.close()
        return Features(*out)


def _new_array(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), shape)


def _classifier(weights: str | Path, device: torch.device) -> Layers:
    """Return the layers of the classifier at `weights`; raises `UserError`."""
    classifier, header = load_model(lambda model: Classifier(**model), weights, "classifier")
    classifier.to(device)
    wanted = (header["model"]["channels"], *[header["model"]["size"]] * 2)

    def layers(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1:] != wanted:
            found = tuple(images.shape[1:])
            raise UserError(f"{weights} is a classifier of images {wanted} (C, H, W), but these are {found}")
        return classifier.layers(images.float() / 127.5 - 1)

    return layers


def _inception(weights: str | Path, device: torch.device) -> Layers:
    """Return the layers of torch-fidelity's Inception that FID and the Inception Score read.

    Raises:
        UserError: the file at `weights` is missing, damaged, or of another network.
    """
    from torch_fidelity import FeatureExtractorInceptionV3 as Inception  # takes seconds

    _only_weights(weights)
    wanted = [Inception.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")]
    with reading(weights, INCEPTION, REMEDY):
        network = Inception("inception-v3-compat", wanted, feature_extractor_weights_path=str(weights))
    network = network.to(device).eval()

    def layers(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1] != 3:
            raise UserError(
                f"Inception reads images of 3 channels, but these have {images.shape[1]}; score them "
                "with --extractor classifier"
            )
        return network(images)

    return layers


def _only_weights(path: str | Path) -> Any:
    """Return the weights at `path`; torch-fidelity would unpickle the file code and all.

    Raises:
        UserError: the file is missing, damaged, or holds anything else.
    """
    with reading(path, INCEPTION, REMEDY):
        require_small(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def import_inception(*, source: str | Path, sha256: str | None, output: str | Path) -> None:
    """Write torch-fidelity's Inception weights at `source` to `output`, after checking them.

    Raises:
        UserError: the checksum differs, the file holds more than weights, or weights of another network.
    """
    verified_sha256(source, sha256)
    weights = _only_weights(source)
    with atomic(output) as temporary:
        torch.save(weights, temporary)
        try:
            Extractor("inception", temporary, "cpu", 1)
        except UserError as error:
            raise UserError(str(error).replace(str(temporary), str(source))) from None
