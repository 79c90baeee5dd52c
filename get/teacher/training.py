"""Training the teacher with EDM's loss, and its weights as safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.data.store import Images, read_split, to_unit
from get.fitting import Optimisation, trained
from get.runtime import pick_device
from get.seeding import Visits, fold_in, generator
from get.teacher.network import Denoiser, build
from get.weights import load_weights, read_header, write_weights


@dataclass(frozen=True)
class NoiseLevels:
    """Training noise: ln sigma ~ N(mean, std^2) (Karras et al. 2022, Table 1: -1.2 and 1.2)."""

    mean: float
    std: float


def edm_loss(denoise: Any, image: Tensor, noise: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
    """Return the mean over samples and pixels of lambda(sigma) (D(y + n; sigma) - y)^2 (EDM, equation 8).

    Args:
        denoise: D(x, sigma, label) with attribute sigma_data.
        image, noise: (B, C, H, W); `noise` has unit variance.
        sigma: (B,); label: (B,) int64 or None.
    """
    data, s = denoise.sigma_data, sigma.view(-1, 1, 1, 1)
    weight = (s.square() + data**2) / (s * data).square()
    return (weight * (denoise(image + s * noise, sigma, label) - image).square()).mean()


def train_teacher(
    *,
    store: str | Path,
    network: dict[str, Any],
    noise_levels: dict[str, float],
    training: dict[str, Any],
    steps: int,
    conditional: bool,
    seed: int,
    device: str,
    output: str | Path,
    history: str | Path,
) -> None:
    """Train a teacher on the train split of `store`; write EMA weights and the history of the loss.

    Args:
        store: the image store.
        network: arguments of `network.build` but for the shape of the images.
        noise_levels, training: keyword arguments of `NoiseLevels` and `fitting.Optimisation`.
        steps: optimisation steps; conditional: whether the teacher sees labels.
        seed: names every draw; device: see `runtime.pick_device`.
        output: safetensors with the model's description in the header; history: JSON.
    """
    data, levels, options = read_split(store, "train"), NoiseLevels(**noise_levels), Optimisation(**training)
    description = describe(network, data, conditional)
    torch.manual_seed(fold_in(seed, "teacher", "weights"))
    on = pick_device(device)
    model = build(description).to(on)
    images, labels = to_unit(data.images), torch.from_numpy(data.labels)
    visits = Visits(len(images), options.batch, fold_in(seed, "teacher"))

    def loss(denoise: Any, step: int) -> Tensor:
        chosen, source = visits(step), generator(seed, "teacher", "noise", step)
        sigma = (torch.randn(len(chosen), generator=source) * levels.std + levels.mean).exp()
        noise = torch.randn((len(chosen), *images.shape[1:]), generator=source)
        label = labels[chosen].to(on) if conditional else None
        return edm_loss(denoise, images[chosen].to(on), noise.to(on), sigma.to(on), label)

    settings = {"model": description, "noise_levels": noise_levels, "training": training, "seed": seed}
    with trained(model, loss, options, settings=settings, stop=steps, output=output) as state:
        write_weights(output, "teacher", state.ema_weights(), {**settings, "steps": steps})
        state.write_history(history)


def describe(network: dict[str, Any], data: Images, conditional: bool) -> dict[str, Any]:
    """Return the full description of a teacher for images such as `data`."""
    channels, size = data.images.shape[1:3]
    return {**network, "channels": channels, "size": size, "classes": data.classes if conditional else 0}


def load(path: str | Path) -> Denoiser:
    """Return the teacher stored at `path`, in evaluation mode on the CPU.

    Raises:
        UserError: the file is missing, damaged or no teacher.
    """
    model = build(read_header(path, "teacher")["model"])
    load_weights(model, path)
    return model
