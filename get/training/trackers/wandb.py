"""Weights & Biases; needs the package wandb, and an account unless `mode` is offline."""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PATIENCE = 20  # seconds for the server to answer


class WandB:
    """A run, which the milestones of a student and restarts share.

    Args:
        project: in which it is shown; entity: user or team; mode: offline keeps it for `wandb sync`. What is
            left out is as WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE say, or wandb's default.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        step: int,
        settings: Mapping[str, Any],
        *,
        project: str = "",
        entity: str = "",
        mode: Literal["online", "offline", "disabled", "as-environment"] = "as-environment",
    ) -> None:
        import wandb

        self._picture = wandb.Image
        own = wandb.Settings(console="off", silent=True, init_timeout=PATIENCE, login_timeout=PATIENCE)
        training, identity = _training(folder, name, step)
        self._run = wandb.init(
            project=project or None, entity=entity or None, mode=None if mode == "as-environment" else mode,
            dir=folder, name=training, id=identity, resume="allow", config=dict(settings), settings=own,
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


def _training(folder: Path, name: str, step: int) -> tuple[str, str]:
    """Return the name of a training without its milestone, and an identity, new where it starts at step 0."""
    training = re.sub(r"/\d+$", "", name)
    kept = (folder if training == name else folder.parents[1]) / ".wandb"
    if step == 0 or not kept.exists():
        kept.write_text(secrets.token_hex(8), encoding="utf-8")
    return training, kept.read_text(encoding="utf-8")


TRACKER = WandB
