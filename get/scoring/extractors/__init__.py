"""Extractors of features, a module each.

A module has a function `load(weights, device)` that returns `Layers`: from uint8 images to the penultimate
activations and the logits.
"""

from collections.abc import Callable

from torch import Tensor

PACKAGE = "scoring.extractors"
Layers = Callable[[Tensor], tuple[Tensor, Tensor]]  # images uint8 (B, C, H, W) to a batch of `Features`
