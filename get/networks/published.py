"""The networks of the nine files that EDM publishes (Karras et al. 2022, Table 7), by the files' names."""

import re
from typing import Any

NAME = re.compile(r"edm-(cifar10-32x32|ffhq-64x64|afhqv2-64x64|imagenet-64x64)-(?:un)?cond-(vp|ve|adm)\.pkl")
SONG = {
    "sigma_data": 0.5,
    "model_channels": 128,
    "channel_mult": [1, 2, 2, 2],
    "blocks": 4,
    "attention_resolutions": [16],
    "dropout": 0.13,
    "augment_dim": 9,
}
CIFAR10 = SONG | {"channel_mult": [2, 2, 2]}
ADM = {
    "architecture": "adm",
    "sigma_data": 0.5,
    "model_channels": 192,
    "channel_mult": [1, 2, 3, 4],
    "blocks": 3,
    "attention_resolutions": [32, 16, 8],
    "dropout": 0.1,
    "augment_dim": 0,
}


def network_in(file: str) -> dict[str, Any]:
    """Return the network of one of EDM's files, but for what the images say; another's is CIFAR-10's.

    What dropout is set to, which is of training alone, is CIFAR-10's throughout.
    """
    found = NAME.fullmatch(file)
    if not found:
        return CIFAR10
    data, kind = found.groups()
    if kind == "adm":
        return ADM
    network = CIFAR10 if data.startswith("cifar10") else SONG
    return network | ({"architecture": "ncsn++"} if kind == "ve" else {})
