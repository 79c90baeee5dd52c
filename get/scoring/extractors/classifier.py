"""A small classifier of the data set: features where Inception's mean nothing, as for digits."""

import torch.nn.functional as F
from torch import Tensor, nn

LABEL = "a small classifier"
WANTS_CLASSES = True
LOGITS = True
QUALITY = "accuracy"


class Classifier(nn.Module):
    """Three convolutions (the last two halve the resolution) and two linear layers.

    Args:
        channels, size, classes: of the images; `size` is a multiple of 4.
        width: channels of the first convolution; the others have twice as many.
        features: number of penultimate features.
    """

    def __init__(self, *, channels: int, size: int, classes: int, width: int, features: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, stride=2)
        self.hidden = nn.Linear(2 * width * (size // 4) ** 2, features)
        self.out = nn.Linear(features, classes)

    def layers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) in [-1, 1] to features (B, features) and logits (B, classes)."""
        for conv in (self.conv0, self.conv1, self.conv2):
            x = F.relu(conv(x))
        penultimate = F.relu(self.hidden(x.flatten(1)))
        return penultimate, self.out(penultimate)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [-1, 1] to logits (B, classes)."""
        return self.layers(x)[1]


def loss(logits: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Return the cross-entropy."""
    return F.cross_entropy(logits, label)


def quality(logits: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Return which classes are found, 1 or 0 (B,)."""
    return (logits.argmax(dim=1) == label).float()


NETWORK = Classifier
