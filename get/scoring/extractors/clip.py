"""CLIP's networks of images (Radford et al. 2021, arXiv 2103.00020), as torch-fidelity runs them."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from get.scoring.extractors import Layers
from get.storage.reading import reading, require_small

LABEL = "CLIP"
WANTS_CLASSES = False
COLOUR = True
WIDTH = 512
WEIGHTS = "TorchScript file of CLIP, as OpenAI published it"
REMEDY = "name ViT-B-32.pt in features.source"


def load(weights: str | Path, device: torch.device) -> Layers:
    """Return the embedding of each image; there are no logits. Grey images are repeated to colour.

    Raises:
        UserError: the file at `weights` is missing, damaged, or of another network.
    """
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP  # takes seconds

    with reading(weights, WEIGHTS, REMEDY), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch: TorchScript is on its way out
        require_small(weights, 2 * Path(weights).stat().st_size)  # its code is compressed
        # which of CLIP's networks it is, the weights say, not the name
        network = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(weights))
    network = network.to(device).eval()

    def layers(images: Tensor) -> tuple[Tensor, None]:
        (features,) = network(images.expand(-1, 3, -1, -1))
        return features, None

    return layers
