"""Features of images: penultimate activations for FID, KID, precision and recall, logits for IS."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from get.runtime import plugins
from get.runtime.device import pick_device
from get.runtime.limits import within_memory
from get.runtime.log import Progress
from get.scoring.extractors import PACKAGE, Layers
from get.scoring.trained import load_trained
from get.storage.temporary import RowFile


class Features(NamedTuple):
    """penultimate (N, D) and logits (N, classes) or None, float32, mapped from temporary files."""

    penultimate: NDArray[np.float32]
    logits: NDArray[np.float32] | None


class Extractor:
    """A network that is ready to map uint8 images to `Features`.

    Args:
        name: module of `scoring.extractors`.
        weights: its file.
        device: see `device.pick_device`; batch: images per call.
    """

    def __init__(self, name: str, weights: str | Path, device: str, batch: int) -> None:
        self.device, self.batch = pick_device(device), batch
        module = plugins.load(PACKAGE, name, "features.extractor (--extractor)")
        if hasattr(module, "NETWORK"):
            self.layers: Layers = load_trained(name, module, weights, self.device)
        else:
            self.layers = module.load(weights, self.device)

    @torch.no_grad()
    def __call__(self, images: Any) -> Features:
        """Map images (N, C, H, W) uint8 by [rows], N >= 1, to features, batch by batch.

        Raises:
            UserError: there is no room for the temporary files, or no memory for one image.
        """
        progress = Progress("features", len(images))

        def layers(rows: slice) -> list[NDArray[np.float32]]:
            chunk = torch.from_numpy(images[rows]).to(self.device)
            return [layer.float().cpu().numpy() for layer in self.layers(chunk) if layer is not None]

        files = [RowFile() for _ in Features._fields]
        for parts in within_memory(layers, len(images), self.batch, "evaluation.batch (--batch)"):
            for file, part in zip(files, parts, strict=False):
                file.append(part)
            progress.advance(len(parts[0]))
        progress.close()
        penultimate, logits = files
        return Features(penultimate.mapped(), logits.mapped() if logits.width else None)
