"""`get compare`: teacher and students side by side, from the same noise."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from get.cli.arguments import (
    Commands,
    add_command,
    add_draws,
    add_json,
    ending,
    labels_of,
    positive,
    print_json,
    sampling_of,
)
from get.storage.errors import UserError

MOST_ROWS = 50
EDM: dict[str, Any] = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "rho": 7.0,
}  # its noise levels, as in the paper's pairs


def compare(args: argparse.Namespace) -> None:
    """Run `get compare`."""
    from get.paper.grids import same_noise
    from get.runtime.device import pick_device
    from get.sampling.comparison import compare
    from get.teacher.samplers import Sampler

    if len(args.seeds) > MOST_ROWS:
        raise UserError(
            f"--seeds: the picture has a row for each sample, and at most {MOST_ROWS}; name fewer"
        )
    found = compare(
        args.teacher,
        args.students,
        args.seeds,
        partial(labels_of, args),
        seed=args.seed,
        sampler=Sampler(num_steps=args.num_steps, **EDM, precision="float32", batch=args.batch),
        options=sampling_of(args),
        device=pick_device(args.device),
    )
    same_noise(*found.arrays(), [args.out])
    if args.json:
        print_json({"picture": str(args.out), "l1": {each.name: each.l1 for each in found.students}})
        return
    count = len(found.students)
    students = "a student" if count == 1 else f"{count} students"
    print(f"{len(args.seeds)} samples of a teacher and {students} in {args.out}")
    for each in found.students:
        print(f"{each.name}: mean absolute difference from the teacher {each.l1:.4f} (images in [-1, 1])")


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "compare",
        compare,
        "draw teacher and students side by side, from the same noise",
        "results/teachers/conditional.safetensors results/students/{get,vit}-48/seed0/2000.safetensors"
        " --out side-by-side.png",
        "teacher.safetensors student.safetensors --seeds 0-19 --num-steps 40 --out 40-steps.png --json",
    )
    command.add_argument("teacher", type=Path, help="weights of a teacher (.safetensors)")
    command.add_argument("students", type=Path, nargs="+", help="weights of students (.safetensors)")
    command.add_argument(
        "--out",
        type=ending(".png", ".pdf"),
        required=True,
        help="the picture: a column per model (.png, .pdf)",
    )
    add_draws(command, "0-4")
    command.add_argument("--num-steps", type=positive, default=18, help="Heun steps of the teacher (18)")
    add_json(command)
