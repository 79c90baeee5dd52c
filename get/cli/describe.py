"""Descriptions of files for `get info`: kind, size, hash, provenance."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from get.pairs.manifest import read_manifest
from get.pairs.shards import DATASETS
from get.storage.errors import UserError
from get.storage.hashing import fingerprint, sha256
from get.storage.hdf5 import dataset, open_hdf5
from get.storage.pretrained import WEIGHTS, find
from get.storage.reading import as_written, missing, reading, require, require_small

KINDS = ("student", "teacher", "classifier")
LARGEST = 2**30  # bytes of a file of statistics, unfolded
Facts = dict[str, Any]


def describe(path: Path) -> Facts:
    """Return what the file at `path` holds, as JSON has it.

    Of every file: kind, bytes, sha256, and whether that is the hash kept when it was written (None: there is
    none). Then come sizes, and what the file says of its provenance.

    Raises:
        UserError: it is missing, damaged, or no file of the project.
    """
    if (path / "manifest.json").exists():
        path = path / "manifest.json"
    elif path.is_dir() and not (path / WEIGHTS).exists():
        raise UserError(
            f"{path} holds no manifest of pairs, and no {WEIGHTS}; name a file, or a folder of these"
        )
    elif not path.is_file() and path.suffix not in READERS:
        path = find(path)
    if not path.exists():
        raise missing(path)
    if path.suffix not in READERS:
        raise UserError(f"{path} is of no kind that is described here; name one of {', '.join(READERS)}")
    with reading(path, "file of this project"):
        facts: Facts = {"bytes": path.stat().st_size, "sha256": sha256(path), "as_written": as_written(path)}
        if facts["as_written"] is False and path.suffix == ".h5":  # at which HDF5 itself may crash or hang
            raise ValueError("it was changed since it was written")
        content = READERS[path.suffix](path)
    return _merged({"kind": content["kind"], **facts}, content)


def _merged(measured: Facts, said: Facts) -> Facts:
    """Return what was measured, and then what the file says of itself, which cannot take its place."""
    return measured | said | measured


def _weights(path: Path) -> Facts:
    """Describe a checkpoint; the fingerprint is of the model's description."""
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata() or {}
        parts = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118 (no mapping)
        count = sum(math.prod(part.get_shape()) for part in parts)
        dtypes = sorted({str(part.get_dtype()) for part in parts})
    kind = next((kind for kind in KINDS if kind in metadata), None)
    if kind is None:
        raise ValueError(f"it holds none of {', '.join(KINDS)}")
    header = json.loads(metadata[kind])
    require(header, {"model": dict})
    sizes = {"parameters": count, "tensors": len(parts), "dtype": ", ".join(dtypes)}
    return _merged({"kind": kind, **sizes, "fingerprint": fingerprint(header["model"])}, header)


def _hdf5(path: Path) -> Facts:
    """Describe an image store, a shard of pairs or a sample file."""
    with open_hdf5(path) as file:
        attributes = {key: _plain(value) for key, value in file.attrs.items()}
        if "split" in file:
            count, *shape = dataset(file, "images", np.uint8, 4).shape
            marks = dataset(file, "split", np.uint8, 1)[:]
            splits = {"train": int((marks == 0).sum()), "test": int((marks == 1).sum())}
            return _merged({"kind": "image store", "images": count, "shape": shape, **splits}, attributes)
        if all(name in file for name in DATASETS):
            count, *shape = dataset(file, "image", np.float16, 4).shape
            return _merged({"kind": "shard of pairs", "pairs": count, "shape": shape}, attributes)
        info = json.loads(attributes["info"])
        require(info, {"variants": list})
        count, *shape = dataset(file, f"images/{info['variants'][0]}", np.uint8, 4).shape
        return _merged({"kind": "sample file", "samples": count, "shape": shape}, info)


def _plain(value: Any) -> Any:
    """Return an attribute of HDF5 as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value if isinstance(value, str) else str(value)


def _json(path: Path) -> Facts:
    """Describe a manifest of pairs, or a file of scores."""
    content = json.loads(path.read_text(encoding="utf-8"))
    keys = content.keys() if isinstance(content, dict) else ()
    if {"scores", "headline"} <= set(keys):
        require(content, {"headline": str, "scores": dict})
        variants, best = [*content["scores"]], content["scores"][content["headline"]]
        about = {key: content[key] for key in ("headline", "warnings") if key in content}
        return _merged({"kind": "scores", **about, "variants": variants}, best)
    if "shards" not in keys:
        raise UserError(f"{path} is neither a manifest of pairs nor scores, the JSON that is described here")
    manifest = read_manifest(path)
    training = manifest.training()
    missing = [shard.file for shard in manifest.shards if not (path.parent / shard.file).exists()]
    held_out = [shard for shard in manifest.shards if shard.held_out]
    return {
        "kind": "manifest of pairs",
        "pairs": sum(shard.count for shard in training),
        "held_out": sum(shard.count for shard in held_out),
        "shards": len(manifest.shards),
        "shards_bytes": sum(shard.bytes for shard in manifest.shards),
        "missing": missing,
        "shape": manifest.shape,
        "classes": manifest.classes,
        "identity": manifest.identity,
        "teacher": manifest.teacher,
    }


def _statistics(path: Path) -> Facts:
    """Describe mu and sigma of features."""
    require_small(path, LARGEST, ("mu", "source"))
    with np.load(path) as file:
        source = json.loads(str(file["source"])) if "source" in file.files else None
        return {"kind": "statistics of features", "features": len(file["mu"]), "source": source}


def _state(path: Path) -> Facts:
    """Describe the state of a training; the fingerprint is that of its settings."""
    import torch  # takes a second

    require_small(path)
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    require(content, {"identity": str, "step": int, "threads": int, "model": dict})
    count = sum(values.numel() for values in content["model"].values())
    facts = {key: content.get(key) for key in ("step", "threads", "processes")}
    return {"kind": "state of a training", "parameters": count, "fingerprint": content["identity"], **facts}


READERS: dict[str, Callable[[Path], Facts]] = {
    ".safetensors": _weights,
    ".h5": _hdf5,
    ".json": _json,
    ".npz": _statistics,
    ".pt": _state,
}
