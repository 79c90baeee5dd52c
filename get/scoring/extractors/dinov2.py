"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193): its distances follow what people see (arXiv 2306.04675).

ViT-L/14, as published scores take it, or another of its sizes: the file of weights says which. Images are
resized to 224 pixels; the features are the class token after the last normalisation. The networks are timm's.
"""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from get.scoring.extractors import Layers
from get.storage.errors import UserError
from get.storage.reading import reading, require_small

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

WEIGHTS = "file of weights of DINOv2 without registers"
LABEL = "DINOv2"
WANTS_CLASSES = False
COLOUR = True
WIDTH = 1024
REMEDY = "name dinov2_vitl14_pretrain.pth in features.source"
SIZES = {384: "small", 768: "base", 1024: "large", 1536: "giant"}  # by number of features
SIDE, PATCH = 224, 14
GRID = SIDE // PATCH
OFFSET = 0.1  # patches, by which its authors' interpolation of positions is wider than the grid
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of colours, in training


def load(weights: str | Path, device: torch.device) -> Layers:
    """Return the class token of each image; there are no logits. Grey images are repeated to colour.

    Raises:
        UserError: the file at `weights` is missing, damaged, or of another network; `timm` is not installed.
    """
    package()
    state = only_weights(weights)
    with reading(weights, WEIGHTS, REMEDY):
        network = build(state["cls_token"].shape[-1])
        state["pos_embed"] = at_grid(state["pos_embed"])
        network.load_state_dict(renamed(state, network))
    network = network.to(device).eval()
    mean, deviation = (255 * torch.tensor(each, device=device)[:, None, None] for each in (MEAN, DEVIATION))

    def layers(images: Tensor) -> tuple[Tensor, None]:
        resized = F.interpolate(images.float(), size=(SIDE, SIDE), mode="bicubic", antialias=True)
        resized = resized.clamp(0, 255)  # as a picture has it; cubic lines overshoot at edges
        features: Tensor = network((resized.expand(-1, 3, -1, -1) - mean) / deviation)
        return features, None

    return layers


def build(width: int) -> "VisionTransformer":
    """Return the network with so many features, at 224 pixels, with random weights."""
    name, timm = f"vit_{SIZES[width]}_patch{PATCH}_dinov2", package()
    return cast("VisionTransformer", timm.create_model(name, pretrained=False, num_classes=0, img_size=SIDE))


def package() -> ModuleType:
    """Return `timm`; raises `UserError` where it is not installed."""
    try:
        import timm  # takes seconds
    except ImportError:
        raise UserError(
            "the extractor dinov2 needs the package timm: pip install -e '.[dinov2]' -c envs/constraints.txt"
        ) from None
    return cast(ModuleType, timm)


def at_grid(positions: Tensor) -> Tensor:
    """Interpolate positions (1, 1 + n^2, D), the class token's first, to 224 pixels, as its authors do."""
    one, rest = positions[:, :1], positions[:, 1:]
    side = round(rest.shape[1] ** 0.5)
    if side == GRID:
        return positions
    square = rest.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = (GRID + OFFSET) / side
    found = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([one, found.flatten(2).transpose(1, 2)], dim=1)


def renamed(state: dict[str, Tensor], network: "VisionTransformer") -> dict[str, Tensor]:
    """Return weights under timm's names."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    found: dict[str, Tensor] = checkpoint_filter_fn(state, network)
    return found


def only_weights(path: str | Path) -> Any:
    """Return the weights at `path`; raises `UserError` where it is missing, or holds anything else."""
    with reading(path, WEIGHTS, REMEDY):
        require_small(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def untrained(path: str | Path) -> None:
    """Write random weights, with which costs are measured."""
    torch.save(build(WIDTH).state_dict(), path)
