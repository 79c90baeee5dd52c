"""How fast does the teacher sample, beside NVlabs/edm's sampler with the same network, weights and noise?

    python benchmarks/teacher_sampling.py --config config.yaml --batch 250 --threads 1 --reference PATH
    python benchmarks/teacher_sampling.py --steps 2 --batch 4 --reference PATH --shape 3 32 32 --network '{
        "sigma_data": 0.5, "model_channels": 128, "channel_mult": [2, 2, 2], "blocks": 4,
        "attention_resolutions": [16], "dropout": 0.13, "augment_dim": 9}'        (the network of CIFAR-10)

Weights are random. `--reference` is a clone of NVlabs/edm, which is no part of this project and wants click,
requests and scipy. Differences are of images in [-1, 1], to the reference or, without one, to our own sampler
in float32.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from common import Row, arguments, begin, finish, machine, spread, timed
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from get.networks.denoiser import Denoiser, build
from get.runtime.log import logging_to
from get.teacher.generation import sample
from get.teacher.samplers import Sampler, evaluations

Sample = Callable[[Tensor, Tensor, int], Tensor]  # noise, label, steps -> images

CLASSES = 10
NOISE_RANGE: dict[str, Any] = {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}


def edm(reference: Path, teacher: Denoiser, network: Row, half: bool) -> Sample:
    """Return the sampler of NVlabs/edm, with the weights of `teacher`: (noise, label, steps) -> images."""
    sys.path.insert(0, str(reference))
    from generate import edm_sampler  # type: ignore[import-not-found]
    from training.networks import EDMPrecond  # type: ignore[import-not-found]

    channels, size, _ = teacher.shape
    theirs = EDMPrecond(
        size, channels, teacher.classes, use_fp16=half, sigma_data=network["sigma_data"],
        model_type="SongUNet",
        model_channels=network["model_channels"], channel_mult=network["channel_mult"],
        num_blocks=network["blocks"], attn_resolutions=network["attention_resolutions"],
        dropout=network["dropout"], augment_dim=network["augment_dim"],
    )  # fmt: skip
    theirs.load_state_dict({**theirs.state_dict(), **teacher.state_dict()})  # its filters are buffers
    theirs.to(next(teacher.parameters()).device).eval().requires_grad_(False)

    def call(noise: Tensor, label: Tensor, steps: int) -> Tensor:
        with torch.no_grad():
            one_hot = torch.eye(CLASSES, device=noise.device)[label]
            return edm_sampler(theirs, noise, one_hot, num_steps=steps)

    return call


def random_teacher(network: Row, shape: list[int], device: torch.device) -> Denoiser:
    """Return a teacher of whose layers none is next to zero, as some are before training."""
    torch.manual_seed(0)
    teacher = build({**network, "channels": shape[0], "size": shape[1], "classes": CLASSES})
    for p in teacher.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return teacher.to(device).eval().requires_grad_(False)


def operations(teacher: Denoiser, steps: int) -> int:
    """Return the FLOPs of sampling one image."""
    device = next(teacher.parameters()).device
    x, sigma = torch.randn(1, *teacher.shape, device=device), torch.ones(1, device=device)
    with FlopCounterMode(display=False) as counter:
        teacher(x, sigma, torch.zeros(1, dtype=torch.int64, device=device))
    return counter.get_total_flops() * evaluations({"num_steps": steps})


def measure(args: argparse.Namespace, device: torch.device, limits: Row) -> list[Row]:
    """Return a row for each way to sample."""
    teacher = random_teacher(args.network, args.shape, device)
    noise = torch.randn(args.batch, *teacher.shape, device=device)
    label = torch.arange(args.batch, device=device) % CLASSES
    calls: dict[str, Callable[[], Tensor]] = {}
    precision = {}
    for name in args.precisions:
        sampler = Sampler(num_steps=args.steps, **NOISE_RANGE, precision=name, batch=args.batch)
        calls[f"ours, {name}"] = partial(sample, teacher, noise, label, sampler, device)
        precision[f"ours, {name}"] = name
    for half in [False, True][: 1 + (device.type == "cuda")] if args.reference else []:
        text = f"NVlabs/edm, {'float16' if half else 'float32'}"
        calls[text] = partial(edm(args.reference, teacher, args.network, half), noise, label, args.steps)
        precision[text] = "bfloat16" if half else "float32"
    images = {text: call().float() for text, call in calls.items()}
    base = "NVlabs/edm, float32" if args.reference else "ours, float32"
    seconds = timed(calls, device, args.repeats)
    flops, rows = operations(teacher, args.steps) * args.batch, []
    for text, values in seconds.items():
        each, apart = spread(values), (images[text] - images[base]).abs()
        row: Row = {"code": text, "images/s": args.batch / each["median"]}
        row |= {"low": args.batch / each["high"], "high": args.batch / each["low"]}
        row["x reference"] = spread(seconds[base])["median"] / each["median"]
        row["of matrix rate"] = flops / each["median"] / limits["matrix_flops"][precision[text]]
        rows.append(row | {"largest difference": apart.max().item(), "mean difference": apart.mean().item()})
    return rows


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__, "NVlabs/edm")
    parser.add_argument("--config", type=Path, help="config whose first teacher is taken")
    parser.add_argument("--network", type=json.loads, help="JSON: `network` of a teacher, instead")
    parser.add_argument("--shape", type=int, nargs=3, default=[1, 8, 8], help="of the images")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--steps", type=int, default=18, help="of Heun's method")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"], help="of our code")
    args = parser.parse_args()
    if args.config:
        config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
        args.network, args.shape = next(iter(config["teachers"].values()))["network"], config["data"]["shape"]
    if not args.network:
        parser.error("give --config or --network")
    with logging_to():
        device = begin(args)
        limits = machine(device)
        rows = measure(args, device, limits)
    finish(__file__, args, limits, rows)


if __name__ == "__main__":
    main()
