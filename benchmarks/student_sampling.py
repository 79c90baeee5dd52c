"""How fast are students sampled, by number of fixed-point iterations, beside ViT and the teacher?

    python benchmarks/student_sampling.py --settings results/settings/costs.json \
        --students get-16 get-48 vit-16 vit-48 --teacher results/teachers/conditional.safetensors --threads 1

`--settings` describes all students of an experiment, here config.yaml (`snakemake FILE --cores 1` makes it).
All models are called in turn, with the batch of sampling and with a single image; the weights of the teacher,
any will do, are read from a file. What is timed is from noise to images, both on the device.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Row, arguments, begin, finish, machine, spread, timed
from torch.utils.flop_counter import FlopCounterMode

from get.costs.measure import operations, random_inputs
from get.networks.denoiser import Denoiser, load
from get.pairs.dataset import Batch
from get.runtime.device import autocast
from get.runtime.log import logging_to
from get.storage.reading import read_json
from get.student.models import Student, build
from get.teacher.generation import sample
from get.teacher.samplers import Sampler, evaluations

SAMPLES = 50_000  # what the paper scores
HEUN: dict[str, Any] = {"num_steps": 18, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings/costs.json of an experiment")
    parser.add_argument("--students", nargs="+", required=True, help="their names")
    parser.add_argument("--teacher", type=Path, help="weights (.safetensors) of a teacher")
    parser.add_argument("--batch", type=int, default=500, help="images per call")
    parser.add_argument("--precision", default="float32", help="float32, tf32 (CUDA) or bfloat16")
    parser.add_argument("--iterations", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8, 10])
    args = parser.parse_args()
    with logging_to():
        rows = measure(args, device := begin(args))
        limits = machine(device)
    for row in rows:
        rate = limits["matrix_flops"][args.precision]
        row["of matrix rate"] = row.pop("flops") / rate / (row[f"s per {SAMPLES}"] / SAMPLES)
    finish(__file__, args, limits, rows)


def measure(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return a row for each student and number of iterations, and for the teacher."""
    students = read_json(args.settings)["students"]
    calls: dict[Any, Any] = {}
    rows: list[Row] = []

    @torch.no_grad()
    def generate(student: Student, pairs: Batch, state: torch.Tensor | None, count: int | None) -> None:
        with autocast(device, args.precision):
            student.generate(pairs.noise, pairs.label, state, count)

    for name in args.students:
        model = students[name]["model"]
        torch.manual_seed(0)
        student = build(model).to(device).eval()
        inputs = {size: random_inputs(student, size, device) for size in (args.batch, 1)}
        for count in args.iterations if student.state_shape else [None]:
            described = model | ({"iterations": count} if count else {})
            macs = operations(described, students[name]["training"])["macs"]
            rows.append({"model": name, "iterations": count, "flops": 2 * macs})
            for size, (pairs, state) in inputs.items():
                calls[name, count, size] = partial(generate, student, pairs, state, count)
    if args.teacher:
        teacher = load(args.teacher).to(device)
        sampler = Sampler(**HEUN, precision=args.precision, batch=args.batch)
        rows.append({"model": "teacher", "iterations": None, "flops": teacher_flops(teacher)})
        for size in (args.batch, 1):
            noise = torch.randn(size, *teacher.shape, device=device)
            label = torch.zeros(size, dtype=torch.int64, device=device) if teacher.classes else None
            calls["teacher", None, size] = partial(sample, teacher, noise, label, sampler, device)
    seconds = timed(calls, device, args.repeats)
    for row in rows:
        key = row["model"], row["iterations"]
        each, single = spread(seconds[*key, args.batch]), spread(seconds[*key, 1])
        row[f"s per {SAMPLES}"] = each["median"] / args.batch * SAMPLES
        row |= {name: each[name] / args.batch * SAMPLES for name in ("low", "high")}
        row["ms for one image"] = 1e3 * single["median"]
    return rows


def teacher_flops(teacher: Denoiser) -> int:
    """Return the operations of sampling one image."""
    device = next(teacher.parameters()).device
    x, sigma = torch.randn(1, *teacher.shape, device=device), torch.ones(1, device=device)
    label = torch.zeros(1, dtype=torch.int64, device=device) if teacher.classes else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        teacher(x, sigma, label)
    return counter.get_total_flops() * evaluations(HEUN)


if __name__ == "__main__":
    main()
