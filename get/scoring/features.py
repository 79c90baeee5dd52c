"""Features for FID, IS, KID, precision and recall.

Of an extractor, the penultimate activations serve FID, KID and precision/recall, the logits the Inception
Score.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from get import plugins
from get.runtime.device import pick_device
from get.runtime.limits import within_memory
from get.runtime.log import Progress
from get.scoring.extractors import PACKAGE, Layers


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
        extractor = plugins.load(PACKAGE, name, "features.extractor (--extractor)")
        self.layers: Layers = extractor.load(weights, self.device)

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
