"""How much memory will a training take on a GPU? A prediction without one, for the first real run to judge.

    python benchmarks/memory.py --config workflow/config/cifar10.yaml

The forward pass runs on fake tensors, which have sizes and no numbers; what autograd keeps for the backward
pass is counted, each storage once (attention keeps no matrix, as GPUs' fused kernels; in bfloat16 its inputs
are counted as on a CPU, in float32). To it come weights, gradients, moving average and the optimiser's
moments. What the backward pass holds for a moment, and the gaps of the allocator, are no part of it. In
O(1)-memory mode the tensors of one fixed-point iteration are kept, and the states of all.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
import yaml
from common import RESULTS, Row
from tabulate import tabulate
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from get.costs.measure import random_inputs
from get.experiment import load
from get.experiment.settings import costs_of
from get.runtime.device import autocast
from get.storage.atomic import write_json
from get.student.losses.l1 import L1
from get.student.models import Student, build, parameter_count
from get.student.objectives.pairs import decoded_states, weighted_loss

CPU = torch.device("cpu")
CARDS = {"80 GB": 80e9, "24 GB": 24e9}
USABLE = 0.95  # of a card; the rest is CUDA's and the allocator's
COPIES = 5  # of the weights, float32: themselves, gradient, average and two moments


def kept(student: Student, batch: int, precision: str) -> int:
    """Return the bytes that autograd keeps of a forward pass, beside the parameters."""
    storages: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage  # held, or another could have its number
        return tensor

    pairs, state = random_inputs(student, batch, CPU)
    hooks = saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, autocast(CPU, precision):
        images = decoded_states(student, pairs.noise, pairs.label, state)
        weighted_loss(images, pairs.image, L1(), 0.8)
    for p in student.parameters():
        storages.pop(p.untyped_storage()._cdata, None)
    return sum(storage.nbytes() for storage in storages.values())


def predict(model: dict[str, Any], batch: int, precision: str) -> dict[str, int]:
    """Return the bytes of a training step by mode."""
    found = {"plain": needed(build(model), batch, precision)}
    if model["family"] == "get":
        once = build({**model, "iterations": 1})
        assert once.state_shape is not None
        states = 4 * model["iterations"] * batch * math.prod(once.state_shape)
        found["O(1)"] = needed(once, batch, precision) + states
    return found


def needed(student: Student, batch: int, precision: str) -> int:
    """Return the bytes of a step: of the weights and all that is as large, and what autograd keeps."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return 4 * COPIES * parameter_count(student) + kept(student, batch, precision)


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="of an experiment")
    parser.add_argument("--batch", type=int, help="left out, each student's own")
    args = parser.parse_args()
    experiment = load(yaml.safe_load(args.config.read_text(encoding="utf-8")))
    rows = []
    for name in experiment.students:
        settings = costs_of(experiment, name)
        batch, precision = args.batch or settings["training"]["batch"], settings["training"]["precision"]
        row: Row = {"student": name, "batch": batch, "precision": precision}
        for mode, size in predict(settings["model"], batch, precision).items():
            row[f"{mode} (GB)"] = size / 1e9
            row[f"{mode} fits"] = (
                ", ".join(name for name, room in CARDS.items() if size < USABLE * room) or "-"
            )
        rows.append(row)
    print(tabulate(rows, headers="keys", floatfmt=".3g"))
    write_json(RESULTS / f"memory-{args.config.stem}.json", {"rows": rows}, recorded=False)


if __name__ == "__main__":
    main()
