"""Extractors of features, a module each (docs/extend.md).

A module has LABEL, what captions call its network, WANTS_CLASSES, whether images must have classes, COLOUR =
True, where it repeats grey images to colour, and LOGITS, where it has any and so an Inception Score: their
number, or True for one a class. DISTANCE is what the Fréchet distance in its features is called; left out,
FD. One that is trained here, on the train split, has

- NETWORK, a class whose constructor takes `channels`, `size` and `classes` of the images and what the config
  gives as `model`; its `layers` maps images in [-1, 1] to features and logits (see `Layers`), its `forward`
  to what `loss` takes;
- `loss(output, image, label)`, a mean; `quality(output, image, label)`, of each test image (B,), whose mean
  goes into the header of its weights under the name QUALITY.

Any other has `load(weights, device)`, which returns `Layers`, and reads its weights from `features.source`.
By WIDTH, the number of its features, and `untrained(path)`, which writes random weights, the plan knows what
it costs; left out, they are Inception's. `only_weights(path)`, if any, reads a pickle without running it.
"""

from collections.abc import Callable

from torch import Tensor

PACKAGE = "scoring.extractors"
# images uint8 (B, C, H, W) to features (B, D), and logits (B, classes), or None where there are none
Layers = Callable[[Tensor], tuple[Tensor, Tensor | None]]
