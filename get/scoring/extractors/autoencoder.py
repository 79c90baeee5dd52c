"""A small autoencoder of the data set: features of images without classes where Inception's mean little.

It learns to restore images from noise through few numbers, the features. They are not normalised.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

LABEL = "a small autoencoder"
WANTS_CLASSES = False
QUALITY = "error"


class Autoencoder(nn.Module):
    """Two convolutions that halve the resolution and a linear layer to the features; the same way back.

    Args:
        channels, size: of the images; `size` is a multiple of 4.
        width: channels of the first convolution; the second has twice as many.
        features: number of features.
        **others: of the images, which it does not read.
    """

    def __init__(self, *, channels: int, size: int, width: int, features: int, **others: Any) -> None:
        super().__init__()
        self.side = size // 4
        self.down0 = nn.Conv2d(channels, width, 4, padding=1, stride=2)
        self.down1 = nn.Conv2d(width, 2 * width, 4, padding=1, stride=2)
        self.encode = nn.Linear(2 * width * self.side**2, features)
        self.decode = nn.Linear(features, 2 * width * self.side**2)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 4, padding=1, stride=2)
        self.up0 = nn.ConvTranspose2d(width, channels, 4, padding=1, stride=2)

    def layers(self, x: Tensor) -> tuple[Tensor, None]:
        """Map images (B, C, H, W) in [-1, 1] to features (B, features); there are no logits."""
        hidden = F.relu(self.down1(F.relu(self.down0(x))))
        return self.encode(hidden.flatten(1)), None

    def forward(self, x: Tensor) -> Tensor:
        """Map noisy images (B, C, H, W) in [-1, 1] to images."""
        features, _ = self.layers(x)
        hidden = F.relu(self.decode(F.relu(features))).unflatten(1, (-1, self.side, self.side))
        return self.up0(F.relu(self.up1(hidden)))


def loss(restored: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Return the mean squared error."""
    return F.mse_loss(restored, image)


def quality(restored: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Return the root mean square error of each image (B,), in [-1, 1]."""
    return (restored - image).square().flatten(1).mean(dim=1).sqrt()


NETWORK = Autoencoder
