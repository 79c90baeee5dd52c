"""The inputs of workflow/config/cifar10-mini.yaml: small, of the true formats, and without meaning.

python tests/miniature.py results/cifar10-mini/fabricated
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
import yaml
from fabricate import edm_pickle, published_student
from fabricate_cifar import cifar10_archive
from snakemake.utils import update_config

from get.networks.denoiser import build as build_teacher
from get.scoring.extractors import inception
from get.student.models import build as build_student

CONFIGS = Path(__file__).parent.parent / "workflow/config"
NETWORK = {
    "sigma_data": 0.5,
    "channels": 3,
    "size": 32,
    "model_channels": 16,
    "channel_mult": [1, 1],
    "blocks": 1,
    "attention_resolutions": [16],
    "dropout": 0.13,
    "augment_dim": 9,
}


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `overlay` laid over it, as Snakemake does with several config files."""
    found = copy.deepcopy(base)
    update_config(found, overlay)
    return found


def mini_config() -> dict[str, Any]:
    """Return the config of the miniature, without the schema's defaults."""
    files = (CONFIGS / name for name in ("cifar10.yaml", "cifar10-mini.yaml"))
    return merged(*(yaml.safe_load(file.read_text(encoding="utf-8")) for file in files))


def inception_weights(path: Path) -> Path:
    """Write random weights of torch-fidelity's Inception, and return `path`."""
    torch.manual_seed(0)
    inception.untrained(path)
    return path


def write_inputs(folder: Path) -> None:
    """Write the archive, both teachers, Inception's weights and a published student into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    cifar10_archive(folder / "cifar-10-python.tar.gz", train=4, test=12)
    inception_weights(folder / "weights-inception-2015-12-05-6726825d.pth")
    for kind, classes in (("cond", 10), ("uncond", 0)):
        description = {**NETWORK, "classes": classes}
        torch.manual_seed(0)
        state = build_teacher(description).state_dict()
        edm_pickle(folder / f"edm-cifar10-32x32-{kind}-vp.pkl", description, state=state)
    model = mini_config()["students"]["vit-base-injection"]["model"]
    student = build_student({**model, "channels": 3, "size": 32, "classes": 10})
    for parameter in student.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    published_student(folder / "published-vit.pt", student)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write them")
    write_inputs(parser.parse_args().folder)
