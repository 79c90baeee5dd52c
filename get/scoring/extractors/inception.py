"""torch-fidelity's Inception, in whose features most published scores are taken."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from get.scoring.extractors import Layers
from get.storage.reading import reading, require_small

INCEPTION = "file of weights of torch-fidelity's Inception and nothing else"
LABEL = "Inception"
DISTANCE = "FID"
WANTS_CLASSES = False
COLOUR = True
LOGITS = 1008
WIDTH = 2048
REMEDY = "get the file that features.source.url in the config names"


def load(weights: str | Path, device: torch.device) -> Layers:
    """Return the layers of torch-fidelity's Inception that FID and the Inception Score read.

    Grey images are repeated to colour.

    Raises:
        UserError: the file at `weights` is missing, damaged, or of another network.
    """
    from torch_fidelity import FeatureExtractorInceptionV3 as Inception  # takes seconds

    only_weights(weights)
    wanted = [Inception.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")]
    with reading(weights, INCEPTION, REMEDY):
        network = Inception("inception-v3-compat", wanted, feature_extractor_weights_path=str(weights))
    network = network.to(device).eval()

    def layers(images: Tensor) -> tuple[Tensor, Tensor]:
        return network(images.expand(-1, 3, -1, -1))  # grey is repeated

    return layers


def only_weights(path: str | Path) -> Any:
    """Return the weights at `path`; torch-fidelity would unpickle the file code and all.

    Raises:
        UserError: the file is missing, damaged, or holds anything else.
    """
    with reading(path, INCEPTION, REMEDY):
        require_small(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def untrained(path: str | Path) -> None:
    """Write random weights, with which costs are measured."""
    from torch_fidelity import FeatureExtractorInceptionV3  # takes seconds

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> Any:
            """Leave the weights as they are."""

    torch.save({}, path)
    network = Untrained("inception", ["2048"], feature_extractor_weights_path=str(path))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # activations neither vanish nor explode
    torch.save(network.state_dict(), path)
