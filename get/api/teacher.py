"""A teacher that draws, and its pairs: `get.load_teacher` and `get.open_pairs`."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.api.arguments import Label, Noise, Numbers, classes_for, noise_of, numbers_of, pictures, whole
from get.api.device import device_of
from get.networks import denoiser
from get.networks.denoiser import Denoiser
from get.pairs.dataset import Pairs, training_pairs
from get.pairs.manifest import read_manifest
from get.runtime.seeding import normal
from get.storage.errors import UserError
from get.storage.pretrained import names
from get.teacher.generation import solve
from get.teacher.samplers import DEFAULT, Sampler, defaults


class Teacher:
    """A diffusion model, ready to draw: what `load_teacher` returns.

    Attributes:
        network: the `Denoiser`, a `torch.nn.Module`; it maps noisy images (B, C, H, W), noise levels (B,) and
            labels (B,) to denoised images.
        device: where it computes.
        shape: (C, H, W) of its images; classes: 0 if it sees none.
    """

    def __init__(self, network: Denoiser, device: torch.device) -> None:
        self.network, self.device = network.to(device), device
        self.shape, self.classes = network.shape, network.classes

    def __repr__(self) -> str:
        classes = f"{self.classes} classes" if self.classes else "no classes"
        return f"<get.Teacher: images {'x'.join(map(str, self.shape))}, {classes}, on {self.device}>"

    def sample(
        self,
        samples: Numbers | None = None,
        *,
        label: Label = None,
        seed: int = 0,
        noise: Noise = None,
        raw: bool = False,
        sampler: str = DEFAULT,
        batch: int = 64,
        precision: str = "float32",
        **settings: Any,
    ) -> NDArray[np.uint8] | Tensor:
        """Return the teacher's images of the noise from which `Generator.sample` draws with these numbers.

        Args:
            samples, label, seed, noise, raw: see `Generator.sample`.
            sampler: 'heun' (EDM's), 'euler', 'dpm' or a module of one's own (docs/extend.md).
            batch: samples per call; precision: of the network.
            **settings: of the sampler: num_steps (18), sigma_min, sigma_max, rho.

        Raises:
            UserError: an argument cannot be, or does not suit this teacher.
        """
        numbers, seed = numbers_of(samples, noise, label), whole(seed, "seed")
        given = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in settings.items()
        }
        settings = {**defaults(sampler), **given}
        chosen = Sampler(name=sampler, batch=whole(batch, "batch"), precision=precision, **settings)
        own = noise_of(noise, len(numbers), self.shape)
        x = normal(numbers, self.shape, seed, "evaluation", "noise") if own is None else own
        labels = classes_for(label, numbers, self.classes)
        images = solve(self.network, x, labels, chosen, self.device)
        return images if raw else pictures(images)


def load_teacher(path: str | Path, device: str | torch.device = "auto") -> Teacher:
    """Return the teacher stored at `path` (.safetensors), ready to draw; device and errors as of `load`."""
    if Path(path).is_dir() or str(path) in names():
        raise UserError(f"{path} is no file of a teacher (.safetensors); none comes with the package")
    return Teacher(denoiser.load(path), device_of(device))


def open_pairs(path: str | Path) -> Pairs:
    """Open a teacher's training pairs: of `len(pairs)`, `pairs.batch(positions)` reads some.

    A batch has noise and image (B, C, H, W) float16 and label (B,) int64; positions are (B,) int64.

    Args:
        path: the folder of the shards, or its manifest.json.

    Raises:
        UserError: a file is missing, damaged, or not the one that the manifest lists.
    """
    path = Path(path)
    return training_pairs(read_manifest(path / "manifest.json" if path.is_dir() else path))
