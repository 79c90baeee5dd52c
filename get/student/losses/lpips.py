"""LPIPS: how different two images look, in the features of VGG-16 (Zhang et al. 2018, arXiv 1801.03924).

The weights of the features come with the package `lpips`, VGG's own are those of torchvision.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from get.storage.errors import UserError
from get.storage.reading import reading, require_small

SMALLEST = 1e-10  # length of a feature vector that is divided by; the package adds as much
VGG = "file of torchvision's weights of VGG-16"
REMEDY = "name vgg16-397923af.pth of torchvision in training.loss.source"


class Lpips:
    """sum_l mean_hw sum_c w_lc (f_lc(found) - f_lc(wanted))^2, f_l at each place of length 1 (equation 1).

    The layers l are the last ReLU before each pooling of VGG-16. Images are in [-1, 1].

    Args:
        source: torchvision's weights of VGG-16; None is random ones, with which costs are measured.

    Attributes:
        network: the package's; frozen, in evaluation mode, on the device of the last images.
    """

    def __init__(self, *, source: str | Path | None) -> None:
        self.network = read_network(source)

    def __call__(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the error of each image.

        Not the package's own call, which would look at the wanted images again for every state.
        """
        if self.network.scaling_layer.shift.device != found.device:
            self.network.to(found.device)
        layers = zip(self.network.lins, self.features(found), self.features(wanted), strict=True)
        squares = [layer.model[-1].weight * (ours - theirs).square() for layer, ours, theirs in layers]
        return torch.stack([each.sum(-3, True).mean((-2, -1), True) for each in squares]).sum(dim=0)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features (..., B, C_l, H_l, W_l) float32 of images (..., B, 3, H, W), of length 1."""
        layers = self.network.net(self.network.scaling_layer(images.flatten(0, -4)))
        unit = (F.normalize(layer.float(), dim=1, eps=SMALLEST) for layer in layers)
        return [layer.unflatten(0, images.shape[:-3]) for layer in unit]


def read_network(source: str | Path | None) -> Any:
    """Return the package's network, with the weights of VGG-16 at `source`, or random ones.

    Raises:
        UserError: the package is not installed; or the file is missing, damaged, or of another network.
    """
    try:
        import lpips  # takes seconds, and is not always there
    except ModuleNotFoundError as error:
        raise UserError(
            f"training.loss.name: lpips needs a package ({error}): pip install -e '.[lpips]' -c"
            " envs/constraints.txt"
        ) from None
    with warnings.catch_warnings(), torch.device("meta"):  # of torchvision, about how the package calls it
        warnings.simplefilter("ignore", UserWarning)
        network: Any = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
    # The package's own weights
    own = Path(lpips.__file__).with_name("weights") / "v0.1" / "vgg.pth"
    network.load_state_dict(torch.load(own, map_location="cpu", weights_only=True), strict=False, assign=True)
    # VGG
    if source is None:
        randomise(network.net.to_empty(device="cpu"))
    else:
        with reading(source, VGG, REMEDY):
            require_small(source)
            given = torch.load(source, map_location="cpu", weights_only=True)
            # slice1.0.weight here is features.0.weight in torchvision
            weights = {name: given[f"features.{name.partition('.')[2]}"] for name in network.net.state_dict()}
            network.net.load_state_dict(weights, assign=True)
    return network.float().eval().requires_grad_(False)


def randomise(network: nn.Module) -> None:
    """Give convolutions random weights with which activations neither vanish nor explode."""
    source = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        size = math.prod(weight.shape[1:])
        nn.init.normal_(weight, std=math.sqrt(2 / size) if weight.dim() > 1 else 0.0, generator=source)


LOSS = Lpips
LABEL = "LPIPS"
COLOUR = True
LEAST_SIZE = 16
VELOCITIES = False
