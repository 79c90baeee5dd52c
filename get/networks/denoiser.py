"""A U-Net under EDM preconditioning (Karras et al. 2022)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from get.networks.preconditioning import denoiser
from get.networks.unet import UNet
from get.storage.errors import UserError
from get.storage.places import require_place
from get.storage.weights import load_model


class Denoiser(nn.Module):
    """D(x; sigma): the U-Net under EDM preconditioning (Karras et al. 2022, equation 7 and Table 1).

    Args:
        sigma_data: standard deviation of the data.
        **network: arguments of `UNet`.
    """

    def __init__(self, *, sigma_data: float, **network: Any) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.model = UNet(**network)
        self.shape = (network["channels"], network["size"], network["size"])
        self.classes: int = network["classes"]

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        """Map noisy images (B, C, H, W) at noise levels sigma (B,) to denoised images (B, C, H, W)."""
        return denoiser(sigma, self.sigma_data)(self.model, x, label)


def build(description: Mapping[str, Any]) -> Denoiser:
    """Return the denoiser that `description` names (arguments of `Denoiser` and `UNet`).

    Raises:
        UserError: a key is missing or unknown, or the image size cannot be halved often enough.
    """
    levels = len(description.get("channel_mult", ()))
    if levels and description.get("size", 0) % 2 ** (levels - 1):
        raise UserError(
            f"network.channel_mult has {levels} levels, but the image size {description['size']} cannot be "
            f"halved {levels - 1} times"
        )
    try:
        return Denoiser(**description)
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"teacher network: {error}") from None


def load(path: str | Path) -> Denoiser:
    """Return the teacher stored at `path`, in evaluation mode on the CPU.

    Raises:
        UserError: the file is missing, damaged, no teacher or put in the place of another.
    """
    model, header = load_model(build, path, "teacher")
    require_place(path, header.get("place"))
    return model
