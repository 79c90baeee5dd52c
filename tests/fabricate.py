"""Files as the published repositories write them, made without those repositories."""

import argparse
import pickle
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from get.networks.denoiser import build
from get.student.checkpoint import to_published
from get.student.models import Student

THEIRS = {  # our arguments of the U-Net, and what EDM's SongUNet and DhariwalUNet call them
    "size": "img_resolution",
    "classes": "label_dim",
    "model_channels": "model_channels",
    "channel_mult": "channel_mult",
    "blocks": "num_blocks",
    "attention_resolutions": "attn_resolutions",
    "dropout": "dropout",
    "augment_dim": "augment_dim",
}
SONG = {
    "embedding_type": "positional", "encoder_type": "standard", "decoder_type": "standard",
    "channel_mult_noise": 1, "resample_filter": [1, 1],
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {  # arguments that tell them apart
    "ddpm++": SONG,
    "ncsn++": SONG | {"embedding_type": "fourier", "encoder_type": "residual",
                      "channel_mult_noise": 2, "resample_filter": [1, 3, 3, 1]},
    "adm": {},
}  # fmt: skip
SOURCE = "raise SystemExit('the source code in the file was run')"


# -------------------------------------------------------------- names that exist only while a file is written


def _reconstruct_persistent_obj(meta: Any) -> None: ...
def scalar(dtype: Any, value: bytes) -> None: ...


FUNCTIONS = {"torch_utils.persistence": _reconstruct_persistent_obj, "numpy.core.multiarray": scalar}


@contextmanager
def published_modules() -> Iterator[None]:
    """Give the two functions above the modules that EDM's files name (pickle checks that they are there)."""
    with ExitStack() as stack:
        for path, function in FUNCTIONS.items():
            stack.enter_context(patch.object(function, "__module__", path))
            module = ModuleType(path)
            setattr(module, function.__name__, function)
            package = path.partition(".")[0]
            modules = {package: sys.modules.get(package, ModuleType(package)), path: module}
            stack.enter_context(patch.dict(sys.modules, modules))
        yield


class Number:
    """A NumPy number, as NumPy 1 pickles it: EDM keeps the root of 1/2 among the arguments of its blocks."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return scalar, (np.dtype("f8"), struct.pack("<d", self.value))


class Persistent:
    """What EDM's decorator makes of a class: an object that carries its source code and arguments along."""

    def __init__(self, class_name: str, **arguments: Any) -> None:
        self.class_name = class_name
        self._init_args: tuple[Any, ...] = ()
        self._init_kwargs = arguments

    def __reduce__(self) -> Any:
        state = {key: value for key, value in self.__dict__.items() if key != "class_name"}
        meta = {"type": "class", "version": 6, "module_src": SOURCE}
        return _reconstruct_persistent_obj, ({**meta, "class_name": self.class_name, "state": state},), None


class Module(Persistent, nn.Module):
    def __init__(self, class_name: str, **arguments: Any) -> None:
        nn.Module.__init__(self)
        Persistent.__init__(self, class_name, **arguments)


# --------------------------------------------------------------------------------------------------- teachers


def edm_network(
    description: Mapping[str, Any], state: Mapping[str, Tensor], arguments: Mapping[str, Any] | None = None
) -> Module:
    """Return EDM's network with the weights `state` under the published names.

    Args:
        description: arguments of `get.networks.denoiser.build`.
        state: may contain the filters; where they are missing, they are the box filter.
        arguments: of the U-Net, in place of those that follow from `description`; None leaves one out.
    """
    given = {theirs: description[ours] for ours, theirs in THEIRS.items()}
    given |= {"in_channels": description["channels"], "out_channels": description["channels"]}
    architecture = description.get("architecture", "ddpm++")
    given |= FAMILIES[architecture] | dict(arguments or {})
    given = {key: value for key, value in given.items() if value is not None}
    outer = {"img_resolution": description["size"], "img_channels": description["channels"]}
    outer |= {"label_dim": description["classes"], "sigma_data": description["sigma_data"], "use_fp16": False}
    root = Module("EDMPrecond", **outer)
    root.model = Module("DhariwalUNet" if architecture == "adm" else "SongUNet", **given)
    root.model.map_noise = Module("PositionalEmbedding", num_channels=given["model_channels"], endpoint=True)
    for name in (name for name in state if not name.endswith((".resample_filter", ".freqs"))):
        *path, leaf = _their_name(name, architecture).split(".")
        module = root
        for depth, part in enumerate(path):
            module = _child(module, part, ".".join(path[: depth + 1]), state, architecture)
        module.register_parameter(leaf, nn.Parameter(state[name], requires_grad=False))
    if "model.map_noise.freqs" in state:
        root.model.map_noise.register_buffer("freqs", state["model.map_noise.freqs"])
    return root


def _their_name(name: str, architecture: str) -> str:
    """Return what EDM calls a weight: ADM's last two layers have other names."""
    *path, layer, leaf = name.split(".")
    if architecture == "adm" and "_aux_" in layer:
        return f"{path[0]}.out_{layer.rpartition('_')[2]}.{leaf}"
    return name


def _child(
    module: nn.Module, part: str, path: str, state: Mapping[str, Tensor], architecture: str
) -> nn.Module:
    if part not in module._modules:
        child = _layer(part)
        resamples = part in ("conv0", "skip") and path.split(".")[-2].endswith(("_down", "_up"))
        if resamples or part.endswith("_aux_residual"):
            line = torch.tensor([1.0, 3.0, 3.0, 1.0] if architecture == "ncsn++" else [1.0, 1.0])
            kernel = (line[:, None] * line / line.sum() ** 2)[None, None]
            child.register_buffer("resample_filter", state.get(f"{path}.resample_filter", kernel))
        (module.add_module if isinstance(module, nn.ModuleDict) else module.__setattr__)(part, child)
    return module.get_submodule(part)


def _layer(name: str) -> nn.Module:
    if name in ("enc", "dec"):
        return nn.ModuleDict()
    if "norm" in name:
        return Module("GroupNorm", num_channels=8, eps=1e-6)
    if name == "affine" or name.startswith("map_"):
        return Module("Linear", init_mode="xavier_uniform", init_weight=Number(0.2**0.5))
    if name in ("qkv", "proj", "skip") or "conv" in name or name.endswith("_residual"):
        return Module("Conv2d", kernel=3, init_mode="xavier_uniform")
    block = Module("UNetBlock", num_heads=1, skip_scale=Number(0.5**0.5), init={"init_weight": 1e-5})
    block.skip_scale, block.skip = Number(0.5**0.5), None
    return block


def random_state(description: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    """Return random weights of the denoiser described, N(0, 0.1^2)."""
    source = torch.Generator().manual_seed(seed)
    shapes = {name: values.shape for name, values in build(description).state_dict().items()}
    return {name: 0.1 * torch.randn(shape, generator=source) for name, shape in shapes.items()}


def edm_pickle(
    path: Path,
    network_description: Mapping[str, Any],
    seed: int = 0,
    state: Mapping[str, Tensor] | None = None,
    extra: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    protocol: int = 4,
) -> Path:
    """Write a teacher in the format of EDM's published files, and return `path`.

    Args:
        network_description: arguments of `get.networks.denoiser.build`.
        seed: names the weights where `state` does not give them; names and shapes are not checked.
        extra: entries of the file beside or in place of ema, loss_fn, augment_pipe and dataset_kwargs.
        arguments: of SongUNet; see `edm_network`.
        protocol: of the pickle; Python 3.8, which wrote the published files, takes 4.
    """
    weights = random_state(network_description, seed) if state is None else state
    content = {
        "ema": edm_network(network_description, weights, arguments),
        "loss_fn": Persistent("EDMLoss", P_mean=-1.2, P_std=1.2),
        "augment_pipe": Persistent("AugmentPipe", p=0.12, xflip=1e8, yflip=1),
        "dataset_kwargs": {"class_name": "training.dataset.ImageFolderDataset", "max_size": None},
        **(extra or {}),
    }
    with published_modules():
        path.write_bytes(pickle.dumps(content, protocol))
    return path


# --------------------------------------------------------------------------------------------------- students


def published_student(path: Path, student: Student, extra: Mapping[str, Any] | None = None) -> Path:
    """Write a student as the paper's code saves its checkpoints, and return `path`.

    Args:
        student: its weights are the averaged ones; those of the model itself are zeros.
        extra: entries of the file beside or in place of args, model, ema and opt.
    """
    ema = to_published(student)
    first = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([first], lr=1e-4)
    first.sum().backward()
    optimizer.step()
    content = {
        "args": argparse.Namespace(model="GET-S/2", cond=False, lr=1e-4, resume=None, f_max_iter=6),
        "model": {name: torch.zeros_like(values) for name, values in ema.items()},
        "ema": ema,
        "opt": optimizer.state_dict(),
        **(extra or {}),
    }
    torch.save(content, path)
    return path


# ------------------------------------------------------------------------------------------------------- VGG


def vgg16(seed: int = 0) -> nn.Module:
    """Return torchvision's VGG-16 with random weights, without the layers that only its classes need."""
    with torch.device("meta"):
        network = torchvision.models.vgg16()
    network.classifier = nn.Sequential()
    source = torch.Generator().manual_seed(seed)
    for weight in network.to_empty(device="cpu").parameters():
        scale = (2 / weight[0].numel()) ** 0.5 if weight.dim() > 1 else 0.1
        nn.init.normal_(weight, std=scale, generator=source)
    return network
