"""Features of images: penultimate activations for FID, KID, precision and recall, logits for IS."""

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
        name: module of `scoring.extractors`.
        weights: its file.
        device: see `device.pick_device`; batch: images per call.
    """

    def __init__(self, name: str, weights: str | Path, device: str, batch: int) -> None:
        self.device, self.batch = pick_device(device), batch
        extractor = plugins.load(PACKAGE, name, "features.extractor (--extractor)")
        self.layers: Layers = extractor.load(weights, self.device)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8], folder: str | Path) -> Features:
        """Map images (N, C, H, W) uint8, N >= 1, to features, batch by batch, in files in `folder`."""
        progress = Progress("features", len(images))

        def layers(rows: slice) -> tuple[slice, list[NDArray[np.float32]]]:
            chunk = torch.from_numpy(images[rows]).to(self.device)
            return rows, [layer.float().cpu().numpy() for layer in self.layers(chunk)]

        out: list[NDArray[np.float32]] = []
        for rows, parts in within_memory(layers, len(images), self.batch, "evaluation.batch (--batch)"):
            if not out:
                for number, part in enumerate(parts):
                    path, shape = Path(folder, f"{number}.npy"), (len(images), part.shape[1])
                    out.append(np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), shape))
            for array, part in zip(out, parts, strict=True):
                array[rows] = part
            progress.advance(len(parts[0]))
        progress.close()
        return Features(*out)
