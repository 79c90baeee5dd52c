"""Weights & Biases; needs the package wandb, and an account unless `mode` is offline."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from get.storage.hashing import fingerprint


class WandB:
    """A run, which the milestones of a student and restarts share.

    Args:
        project: in which it is shown; mode: online, offline (`wandb sync` sends it later), or disabled.
        entity: user or team; left out, that of the account.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        step: int,
        settings: Mapping[str, Any],
        *,
        project: str = "get",
        mode: Literal["online", "offline", "disabled"] = "online",
        entity: str | None = None,
    ) -> None:
        import wandb

        self._picture = wandb.Image
        training = re.sub(r"/\d+$", "", name)  # without the milestone
        identity = fingerprint({"name": training, "settings": dict(settings)})[:16]
        own = wandb.Settings(console="off", silent=True)
        self._run = wandb.init(
            project=project, entity=entity, mode=mode, dir=folder, name=training, id=identity,
            resume="allow", config=dict(settings), settings=own,
        )  # fmt: skip

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""
        self._run.log({"samples": self._picture(picture)}, step=step)

    def close(self) -> None:
        """Send or write what is left."""
        self._run.finish()


TRACKER = WandB
