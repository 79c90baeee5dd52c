import copy
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes on two cores; also fixes the arithmetic

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
import yaml

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent


# tiers, by file; a mark on a test goes before
TIERS = {
    "workflow": {"test_workflow", "test_plan", "test_plugins", "test_style"},
    "slow": {
        "test_slurm", "test_benchmarks", "test_breakage", "test_miniature", "test_distributed", "test_export",
    },
}  # fmt: skip
# the files that take longest begin, or one process would be left alone with them
LONGEST = (
    "test_miniature", "test_slurm", "test_workflow", "test_own_images", "test_breakage", "test_plan",
    "test_export", "test_style", "test_distributed", "test_rivals", "test_objectives", "test_reports",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every test into one tier, and the files into an order."""
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.stem) in LONGEST else len(LONGEST))
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            found = (tier for tier, files in TIERS.items() if item.path.stem in files)
            item.add_marker(next(found, "fast"))


def weight_of(name: str, shape: Iterable[int]) -> torch.Tensor:
    """Return a weight that is drawn by its name, so that it need not be stored.

    NumPy promises that this generator stays as it is.
    """
    shape, source = tuple(shape), np.random.RandomState(crc32(name.encode()))
    values = source.standard_normal(shape)
    if len(shape) > 1:
        values = values * np.prod(shape[1:]) ** -0.5
    else:  # of a normalisation, or a bias
        values = 0.2 * values + name.endswith("weight")
    return torch.from_numpy(values.astype(np.float32))


class Reference:
    """What the published implementations computed: tests/reference/<name>.npz.

    Of large weights it has the shapes, `shape/<name>`; they are those of `weight_of`.
    """

    def __init__(self, name: str) -> None:
        with np.load(Path(__file__).parent / "reference" / f"{name}.npz") as file:
            self.arrays = {key: torch.from_numpy(file[key]) for key in file.files}
        for name, shape in self.part("shape/").items():
            self.arrays[f"state/{name}"] = weight_of(name, shape.tolist())

    def __getitem__(self, key: str) -> torch.Tensor | None:
        return self.arrays.get(key)

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}


@pytest.fixture(scope="session")
def cifar_config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workflow/config/cifar10.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def config() -> Iterator[dict[str, Any]]:
    """The tiny experiment, which all tests share: ``edit`` returns a changed copy."""
    text = json.dumps(yaml.safe_load((ROOT / "tests/config.yaml").read_text(encoding="utf-8")))
    shared = json.loads(text)  # parts that YAML anchors share become separate
    yield shared
    assert shared == json.loads(text), "a test has changed the config that all share"


@pytest.fixture(scope="session")
def with_objectives(config: dict[str, Any]) -> dict[str, Any]:
    """The tiny experiment with a student of every objective: a U-Net like its teacher, for two steps."""
    edited = copy.deepcopy(config)
    network = edited["teachers"]["conditional"]["network"]
    for name, objective in OBJECTIVES.items():
        edited["students"][name] = {
            "label": name.upper(),
            "pairs": "conditional",
            "model": {"family": "unet", "network": network, "conditioning": "embedding"},
            "training": {**edited["students"]["get"]["training"], **objective},
            "milestones": [2],
        }
    return edited


@pytest.fixture
def edit(config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return a copy of the config with the value at a path of keys replaced."""

    def change(value: Any, *keys: str) -> dict[str, Any]:
        edited = copy.deepcopy(config)
        part = edited
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        return edited

    return change


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from get.data.sets.digits import write_digits

    path = tmp_path_factory.mktemp("data") / "images.h5"
    write_digits(path, test_fraction=0.2, seed=0)
    return path


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which a plan times each part for a moment only."""
    from breakage import copy_project

    return copy_project(tmp_path_factory.mktemp("hasty") / "project", {"LIMIT = 1.5": "LIMIT = 0.1"})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved, before they are closed."""
    from get.paper import style

    kept: list[Any] = []
    save = style.save
    monkeypatch.setattr(style, "save", lambda figure, paths: (kept.append(figure), save(figure, paths)))
    return kept


TRAINING = {
    "batch": 16,
    "lr": 1e-3,
    "warmup": 5,
    "weight_decay": 0.0,
    "clip": 1.0,
    "ema": 0.9,
    "ema_warmup": True,
    "precision": "float32",
    "compile": False,
}
DISTILLATION = {**TRAINING, "loss_decay": 0.8, "checkpointing": False}
NETWORK = {
    "sigma_data": 0.5,
    "model_channels": 8,
    "channel_mult": [1, 1],
    "blocks": 1,
    "attention_resolutions": [4],
    "dropout": 0.0,
    "augment_dim": 0,
}
GET = {
    "family": "get",
    "patch": 2,
    "width": 16,
    "heads": 2,
    "injection_depth": 1,
    "equilibrium_depth": 2,
    "expansion": 2,
    "iterations": 3,
    "conditioning": "injection",
}
OBJECTIVES: dict[str, dict[str, Any]] = {  # students of `with_objectives`: how they are trained
    "kd": {"init": "teacher", "loss": "l2"},
    "reflow": {"objective": "reflow"},
    "cd": {"objective": "consistency"},
    "ct": {"objective": "consistency", "distillation": False},
    "pd": {"objective": "progressive", "init": "teacher", "start": 4, "phase": 1},
}
VIT = {"family": "vit", "patch": 2, "width": 16, "heads": 2, "depth": 2, "conditioning": "injection"}
SHAPE = {"channels": 1, "size": 8, "classes": 10}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are read when they are wanted, as many ones are."""
    from get.pairs import dataset

    monkeypatch.setattr(dataset, "KEPT", -1)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 200 fabricated pairs and 30 held-out ones."""
    from get.pairs.indices import HELD_OUT
    from get.pairs.manifest import write_manifest
    from get.pairs.shards import write_shard

    folder = tmp_path_factory.mktemp("pairs")
    source = np.random.default_rng(0)
    for name, start, count in (("train-00000", 0, 120), ("train-00001", 120, 80), ("held-out", HELD_OUT, 30)):
        noise, image = (source.standard_normal((count, 1, 8, 8)).astype(np.float16) for _ in range(2))
        label = (start + np.arange(count)) % 10
        attributes = {"identity": "abc", "classes": 10, "teacher": "t"}
        write_shard(folder / f"{name}.h5", start, noise, np.tanh(image), label, attributes)
    write_manifest(folder / "manifest.json", sorted(folder.glob("*.h5")), "abc")
    return folder / "manifest.json"
