"""Where programs and notebooks compute."""

import torch

from get.runtime.device import pick_device


def device_of(device: str | torch.device) -> torch.device:
    """Return the device called so; 'auto' and 'cuda' are the current GPU.

    Unlike a job of the workflow, a notebook claims no GPU for itself: it is open for long.
    """
    name = str(device)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        name = f"cuda:{torch.cuda.current_device()}"
    return pick_device(name)
