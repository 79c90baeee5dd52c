"""How much faster is a training step on several GPUs? A model without one, for the first real run to judge.

    python benchmarks/data_parallel.py --config workflow/config/cifar10.yaml

Each GPU computes its part of the batch, at a stated share of what an H100 multiplies at most. Gradients are
averaged as DDP does: a bucket of them is sent, around a ring, as soon as the backward pass has completed it,
one bucket after the other; the step ends with whichever ends last. A gradient of the equilibrium part is
complete only when the backward pass has come to the first iteration. What is left out: that smaller parts of
a batch use a GPU less well, the optimiser, input; that DDP never cuts a parameter. It is of eager mode: a
compiled graph's gradients come at the end of its backward pass.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from common import RESULTS, Row
from tabulate import tabulate
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from get.costs.measure import random_inputs
from get.experiment import load
from get.experiment.settings import costs_of
from get.storage.atomic import write_json
from get.student.models import build

META = torch.device("meta")
PEAK = {"float32": 67e12, "tf32": 495e12, "bfloat16": 990e12}  # FLOP/s of an H100
FIRST, BUCKET = 2**20, 25 * 2**20  # bytes of gradients that DDP sends at a time
LATENCY = 10e-6  # seconds of a message
LINKS = {  # how many GPUs, and bytes per second of the slowest link of their ring
    "2, NVLink": (2, 300e9),
    "4, NVLink": (4, 300e9),
    "8, NVLink": (8, 300e9),
    "8, PCIe": (8, 25e9),
    "16, two nodes": (16, 50e9),
}


class Stage(NamedTuple):
    """A part of the backward pass: its operations, or seconds, and the bytes of gradients it completes."""

    work: float
    bytes: int


def stages(model: dict[str, Any]) -> tuple[float, list[Stage]]:
    """Return the operations of the forward pass for one image, and the backward pass in operations."""
    with META:
        student = build(model)
    batch, state = random_inputs(student, 1, META)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        student(batch.noise, batch.label, *([] if state is None else [state]))
    flops = {name: sum(each.values()) for name, each in counted.get_flop_counts().items()}

    def stage(name: str, share: float = 1.0) -> Stage:
        module = student.get_submodule(name)
        return Stage(2 * share * flops.get(f"{type(student).__name__}.{name}", 0), _bytes(module))

    def backwards(blocks: str, share: float = 1.0) -> list[Stage]:
        names = [name for name, _ in student.get_submodule(blocks).named_children()]
        return [stage(f"{blocks}.{name}", share) for name in reversed(names)]

    found = [stage("decoder")]
    if state is None:
        found += backwards("blocks")
    else:
        last = backwards("equilibrium_blocks", 1 / student.iterations)
        others = sum(each.work for each in last) * (student.iterations - 1)
        found += [Stage(others, 0), *last, stage("injection"), *backwards("injection_blocks")]
    found += [stage(name) for name in ("class_embedding", "patch_embedding") if hasattr(student, name)]
    return flops["Global"], found


def _bytes(module: nn.Module) -> int:
    return sum(4 * p.numel() for p in module.parameters())


def step(forward: float, backward: list[Stage], gpus: int, bandwidth: float) -> float:
    """Return the seconds of a step on each of so many GPUs.

    Args:
        forward: its seconds on one of them; backward: stages, their work in seconds.
        bandwidth: bytes per second of the slowest link of their ring.
    """
    now, sent, waiting, bucket = forward, 0.0, 0, FIRST

    def send(size: int) -> float:
        share = (gpus - 1) / gpus
        return max(now, sent) + 2 * share * size / bandwidth + 2 * (gpus - 1) * LATENCY

    for stage in backward:
        now, waiting = now + stage.work, waiting + stage.bytes
        while gpus > 1 and waiting >= bucket:
            sent, waiting, bucket = send(bucket), waiting - bucket, BUCKET
    if gpus > 1 and waiting:
        sent = send(waiting)
    return max(now, sent)


def efficiencies(model: dict[str, Any], batch: int, rate: float) -> dict[str, float]:
    """Return by link the speed-up over one GPU, as a share of the number of GPUs; `rate` in FLOP/s."""
    forward, backward = stages(model)

    def seconds(gpus: int, bandwidth: float) -> float:
        each = batch / gpus / rate
        return step(forward * each, [Stage(s.work * each, s.bytes) for s in backward], gpus, bandwidth)

    alone = seconds(1, 1)
    return {name: alone / gpus / seconds(gpus, speed) for name, (gpus, speed) in LINKS.items()}


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="of an experiment")
    parser.add_argument("--share", type=float, default=0.2, help="of the peak, at which a GPU computes")
    args = parser.parse_args()
    experiment = load(yaml.safe_load(args.config.read_text(encoding="utf-8")))
    rows: list[Row] = []
    for name in experiment.students:
        model, training = (costs_of(experiment, name)[key] for key in ("model", "training"))
        if model["family"] not in ("get", "vit"):
            continue
        rate = args.share * PEAK[training["precision"]]
        forward, backward = stages(model)
        alone = 1e3 * training["batch"] * (forward + sum(each.work for each in backward)) / rate
        row = {"student": name, "batch": training["batch"], "ms on one": alone}
        row["gradients (MB)"] = sum(each.bytes for each in backward) / 1e6
        rows.append(row | efficiencies(model, training["batch"], rate))
    print(tabulate(rows, headers="keys", floatfmt=".3g"))
    facts = {"share": args.share, "links": LINKS, "rows": rows}
    write_json(RESULTS / f"data_parallel-{args.config.stem}.json", facts, recorded=False)


if __name__ == "__main__":
    main()
