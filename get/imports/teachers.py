"""Import of EDM's published teachers (Karras et al. 2022): their weights, without running their code.

`edm` reads the file as data. Here that is compared with what `network` builds: anything that our network
would compute differently is refused by its name.
"""

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from get.imports.edm import read
from get.imports.saved import REMEDY
from get.networks.denoiser import build
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256
from get.storage.unpickling import Stored, show
from get.storage.weights import write_weights

MAX_DEPTH = 8  # of modules in modules; EDM's have five
LINES = {(2, 2): [1.0, 1.0], (4, 4): [1.0, 3.0, 3.0, 1.0]}  # of EDM's filters, which our networks apply
UNETS = ("SongUNet", "DhariwalUNet")  # EDM's classes: of DDPM++ and NCSN++, and of ADM
OURS = {  # arguments of EDM's U-Nets, and what they are called in `networks.unet.UNet`
    "img_resolution": "size",
    "in_channels": "channels",
    "label_dim": "classes",
    "model_channels": "model_channels",
    "channel_mult": "channel_mult",
    "num_blocks": "blocks",
    "attn_resolutions": "attention_resolutions",
    "dropout": "dropout",
    "augment_dim": "augment_dim",
}
DEFAULTS: dict[str, dict[str, Any]] = {  # what they take where an argument was not given
    "SongUNet": {
        "label_dim": 0,
        "model_channels": 128,
        "channel_mult": [1, 2, 2, 2],
        "num_blocks": 4,
        "attn_resolutions": [16],
        "dropout": 0.1,
        "augment_dim": 0,
    },
    "DhariwalUNet": {
        "label_dim": 0,
        "model_channels": 192,
        "channel_mult": [1, 2, 3, 4],
        "num_blocks": 3,
        "attn_resolutions": [32, 16, 8],
        "dropout": 0.1,
        "augment_dim": 0,
    },
}
SONG: dict[str, Any] = {  # SongUNet's defaults of arguments that tell its families apart
    "embedding_type": "positional",
    "channel_mult_noise": 1,
    "encoder_type": "standard",
    "decoder_type": "standard",
    "resample_filter": [1, 1],
}
NCSN: dict[str, Any] = {
    **SONG,
    "embedding_type": "fourier",
    "channel_mult_noise": 2,
    "encoder_type": "residual",
    "resample_filter": [1, 3, 3, 1],
}
FIXED: dict[str, dict[str, Any]] = {  # by architecture: arguments of which our network has one value only
    name: {"channel_mult_emb": 4, "label_dropout": 0, **own}
    for name, own in (("ddpm++", SONG), ("ncsn++", NCSN), ("adm", {}))
}
SIGMA_DATA = 0.5  # EDMPrecond's default


def import_teacher(
    *,
    source: str | Path,
    sha256: str | None,
    conditional: bool,
    shape: list[int],
    classes: int,
    output: str | Path,
) -> None:
    """Write the network 'ema' of one of EDM's files as a teacher of this project.

    Args:
        source: EDM's file, such as edm-cifar10-32x32-cond-vp.pkl.
        sha256: what its SHA-256 must be, checked before anything else is read; None for any.
        conditional, shape, classes: what the config expects: whether the teacher sees labels, [C, H, W] of
            the images, and the number of classes of the data.
        output: safetensors; the header has the model's description, and the file's name and SHA-256.

    Raises:
        UserError: the file is missing, damaged, another one than expected, or asks for what no EDM teacher
            needs.
    """
    digest = verified_sha256(source, sha256)
    with _reading(source):
        network = _network(read(Path(source).read_bytes()))
        description = _description(network)
        _compare(description, conditional, shape, classes)
        state = _fitted(description, dict(_weights(network)))
    header = {"model": description, "source": {"file": Path(source).name, "sha256": digest}}
    write_weights(output, "teacher", state, header)


def describe(source: str | Path) -> dict[str, Any]:
    """Return the description (see `networks.denoiser.build`) of the network in one of EDM's files.

    Raises:
        UserError: as `import_teacher`.
    """
    with _reading(source):
        return _description(_network(read(Path(source).read_bytes())))


@contextmanager
def _reading(source: str | Path) -> Iterator[None]:
    """Turn what the block raises in reading the file into a `UserError`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except Exception as error:  # whatever else a damaged or hostile file brings about
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{source} is damaged or no EDM teacher ({reason}); {REMEDY}") from None


def _network(content: Any) -> Stored:
    """Return the network of the file: its entry 'ema', or all of it."""
    return _expect(["EDMPrecond"], content.get("ema") if type(content) is dict else content)


def _expect(names: Sequence[str], found: Any) -> Stored:
    if type(found) is not Stored or found.name not in names:
        what = found.name if type(found) is Stored else found
        raise UserError(
            f"it has {show(what)} where {' or '.join(names)} should be, which alone can be imported"
        )
    return found


def _description(network: Stored) -> dict[str, Any]:
    """Return the arguments of `network.build` for EDM's network; what ours lacks is refused by key."""
    unet = _expect(UNETS, network.state["_modules"].get("model"))
    told = _arguments(unet)
    architecture = "adm"
    if unet.name == "SongUNet":
        told = SONG | told
        architecture = "ncsn++" if told["embedding_type"] == "fourier" else "ddpm++"
    given = {**DEFAULTS[unet.name], "channel_mult_emb": 4, "label_dropout": 0, **told}
    missing = [key for key in ("img_resolution", "in_channels", "out_channels") if key not in given]
    if missing:
        raise UserError(f"its {unet.name} lacks the argument {', '.join(missing)}; it is no EDM teacher")
    fixed = {**FIXED[architecture], "out_channels": given["in_channels"]}
    for key in sorted(given.keys() - OURS.keys()):
        value = list(given[key]) if type(given[key]) is tuple else given[key]
        if key not in fixed or value != fixed[key]:
            ours = f"has {show(fixed[key])} only" if key in fixed else "knows no such argument"
            raise UserError(f"its {unet.name} has {show(key)[1:-1]} {show(value)}; our network {ours}")
    described = {ours: _number(theirs, given[theirs]) for theirs, ours in OURS.items()}
    sigma_data = _arguments(network).get("sigma_data", SIGMA_DATA)
    named = {} if architecture == "ddpm++" else {"architecture": architecture}
    return {**described, "sigma_data": _number("sigma_data", sigma_data), **named}


def _arguments(module: Stored) -> dict[str, Any]:
    if module.state.get("_init_args") or type(module.state.get("_init_kwargs")) is not dict:
        raise UserError(f"its {module.name} does not tell its constructor arguments by name; no EDM teacher")
    return module.state["_init_kwargs"]


def _number(key: str, value: Any) -> Any:
    """Return a constructor argument as a number, or as a list of integers."""
    if key in ("channel_mult", "attn_resolutions"):
        fits = type(value) in (list, tuple) and all(type(item) is int and item > 0 for item in value)
    elif key in ("dropout", "sigma_data"):
        fits = type(value) in (int, float) and math.isfinite(value) and value >= 0
    else:
        fits = type(value) is int and value >= 0
    if not fits:
        raise UserError(f"its {key} is {show(value)}; it is no EDM teacher")
    return list(value) if type(value) is tuple else value


def _compare(description: dict[str, Any], conditional: bool, shape: list[int], classes: int) -> None:
    """Raise `UserError`, naming the key of the config, unless this is the teacher that it expects."""
    found = [description["channels"], description["size"], description["size"]]
    if found != list(shape):
        raise UserError(f"it is a teacher of images {found}, but data.shape (--shape) is {list(shape)}")
    labels = description["classes"]
    if conditional != bool(labels):
        kind = "a conditional" if labels else "an unconditional"
        raise UserError(f"it is {kind} teacher, but teachers.*.conditional is {str(conditional).lower()}")
    if conditional and labels != classes:
        raise UserError(f"it is a teacher of {labels} classes, but data.classes is {classes}")


def _weights(module: Stored, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers of a module and of its children, under dotted names."""
    seen = set() if seen is None else seen
    if id(module) in seen or prefix.count(".") > MAX_DEPTH:
        raise UserError(f"its {prefix[:-1]} is nested too deeply or has two parents; it is no EDM teacher")
    seen.add(id(module))
    for kind in ("_parameters", "_buffers", "_modules"):
        for name, value in module.state[kind].items():
            if not re.fullmatch(r"\w{1,64}", name, re.ASCII):
                raise UserError(f"it has a weight or module called {show(name)}; it is no EDM teacher")
            if type(value) is Stored and kind == "_modules":
                yield from _weights(value, f"{prefix}{name}.", seen)
            elif type(value) is Tensor and kind != "_modules":
                yield prefix + name, value
            elif value is not None:
                raise UserError(f"its {prefix}{name} is {show(value)}; it is no EDM teacher")


def _renamed(name: str, size: int) -> str:
    """Return what our networks call a weight: ADM's last two layers are called otherwise."""
    for theirs in ("out_norm", "out_conv"):
        name = name.replace(f"model.{theirs}.", f"model.dec.{size}x{size}_aux_{theirs[4:]}.")
    return name


def _fitted(description: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as float32: all finite, those of the network described and no others."""
    stored = {w.untyped_storage().data_ptr(): w.untyped_storage().nbytes() for w in state.values()}
    # or a small file could unfold without end
    if sum(w.nbytes for w in state.values()) > sum(stored.values()):
        raise UserError("its weights share their values, as those of no EDM teacher do")
    state = {_renamed(name, description["size"]): values.float() for name, values in state.items()}
    if broken := [name for name, values in state.items() if not values.isfinite().all()]:
        raise UserError(f"weights are not finite in float32: {', '.join(broken[:5])}; import another teacher")
    filters = [name for name in state if name.endswith(".resample_filter")]
    for name in filters:
        values = state.pop(name)
        wanted = (4, 4) if description.get("architecture") == "ncsn++" else (2, 2)
        line = torch.tensor(LINES[wanted]) / sum(LINES[wanted])
        if values.shape[2:] != wanted or (values != line[:, None] * line).any():
            raise UserError(f"its {name} is not the filter {LINES[wanted]} of our network")
    if description["blocks"] > len(state):  # or a small file could ask for a network without end
        raise UserError(f"it has {len(state)} weights, too few for num_blocks {show(description['blocks'])}")
    with torch.device("meta"):  # takes no memory, whatever sizes the file asks for
        model = build(description)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), 600)
        raise UserError(f"its weights do not fit its own constructor arguments ({reason})") from None
    return model.state_dict()
