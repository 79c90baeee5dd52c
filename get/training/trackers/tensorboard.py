"""TensorBoard: `tensorboard --logdir results`; needs the package of that name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TensorBoard:
    """A run: loss, norm of the gradients, steps per second, samples, settings."""

    def __init__(self, folder: Path, name: str, step: int, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes seconds, and is not always there

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)
        self._writer.add_text("settings", f"`{json.dumps(settings, sort_keys=True)}`", step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""
        self._writer.add_image("samples", picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


TRACKER = TensorBoard
