"""The command `get` (also `python -m get`): the stages that need a process of their own, and sampling."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.files import UserError

if TYPE_CHECKING:
    from torch import Tensor


def train_teacher(args: argparse.Namespace) -> None:
    """Run `get train-teacher`."""
    from get.teacher.training import train_teacher

    train_teacher(
        store=args.store,
        settings=args.settings,
        seed=args.seed,
        device=args.device,
        output=args.output,
        history=args.history,
    )


def train_student(args: argparse.Namespace) -> None:
    """Run `get train-student`."""
    from get.student.training import train_student

    train_student(
        settings=args.settings,
        manifest=args.manifest,
        seed=args.seed,
        stop=args.steps,
        device=args.device,
        start=args.start,
        output=args.output,
    )


def sample(args: argparse.Namespace) -> None:
    """Run `get sample`: a grid of one-step samples as a PNG."""
    import torch

    from get.data.store import to_bytes
    from get.paper.grids import write_grid
    from get.runtime import pick_device
    from get.student import checkpoint
    from get.student.sampling import Sampling, sample

    student, header = checkpoint.load(args.checkpoint)
    model, device = header["model"], pick_device(args.device)
    if args.iterations and student.state_shape is None:
        raise UserError("--iterations: this student has no fixed-point iterations")
    labels = _labels(args, model["classes"] if student.conditional else 0)
    options = Sampling(args.batch, args.iterations, args.rule, args.initial)
    batches = sample(student.to(device), args.seeds, labels, seed=args.seed, options=options, device=device)
    images = torch.cat([to_bytes(batch.images) for batch in batches]).numpy()
    write_grid(args.out, images, columns=args.columns)
    print(f"{len(images)} samples in {args.out}")


def _labels(args: argparse.Namespace, classes: int) -> "Tensor":
    from get.seeding import classes_of

    if args.label is None:
        return classes_of(args.seeds, classes)
    if not 0 <= args.label < classes:
        known = f"the classes are 0 to {classes - 1}" if classes else "this student is unconditional"
        raise UserError(f"--label {args.label}: {known}")
    return classes_of([args.label] * len(args.seeds), classes)


def seed_list(text: str) -> list[int]:
    """Parse '0-7,10' into [0, ..., 7, 10]."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds.extend(range(int(first), int(last or first) + 1))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text} names no numbers; write them as 0-63,70")
    return seeds


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def png(text: str) -> Path:
    """Parse the path of a PNG to be written."""
    path = Path(text)
    if path.suffix != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    return path


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="get", description="One-step diffusion distillation with GET.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser(
        "sample",
        help="draw one-step samples from a student's checkpoint",
        epilog="example: get sample results/students/get-48/seed0/2000.safetensors --out grid.png",
    )
    one.add_argument("checkpoint", type=Path, help="weights of a student (.safetensors)")
    one.add_argument("--seeds", type=seed_list, default=list(range(64)), help="numbers of samples: 0-63,70")
    one.add_argument("--out", type=png, required=True, help="the grid to write (.png)")
    one.add_argument("--columns", type=positive, help="images in a row; as square as can be")
    one.add_argument(
        "--label", type=int, help="class of all samples; left out, sample i has class i mod classes"
    )
    one.add_argument(
        "--iterations", type=positive, help="fixed-point iterations; left out, those trained with"
    )
    one.add_argument("--rule", default="lowest-residual", help="state to decode: lowest-residual or last")
    one.add_argument("--initial", default="independent", help="z_0: independent, shared or zeros")
    one.add_argument("--batch", type=positive, default=64, help="samples per call")
    one.add_argument("--seed", type=int, default=0, help="names the noise, with the numbers of the samples")
    one.add_argument("--device", default="auto", help="auto, cpu or cuda")
    one.set_defaults(run=sample, threads=None)

    two = commands.add_parser("train-teacher", help="train a teacher (the workflow calls this)")
    two.add_argument("--store", type=Path, required=True, help="image store")
    two.add_argument(
        "--settings", type=json_object, required=True, help="JSON: an entry of teachers in the config"
    )
    two.add_argument("--history", type=Path, required=True, help="history of the loss to write (.json)")

    three = commands.add_parser(
        "train-student", help="train a student to a milestone (the workflow calls this)"
    )
    three.add_argument("--manifest", type=Path, required=True, help="manifest of the pairs")
    three.add_argument("--settings", type=Path, required=True, help="JSON file: model, training, pairs")
    three.add_argument("--steps", type=positive, required=True, help="the milestone")
    three.add_argument("--start", type=Path, help="state of the milestone before")

    for command, run in ((two, train_teacher), (three, train_student)):
        command.add_argument("--seed", type=int, required=True, help="names every draw")
        command.add_argument("--device", default="auto", help="auto, cpu or cuda")
        command.add_argument("--threads", type=positive, default=1, help="CPU threads; part of the last bits")
        command.add_argument("--output", type=Path, required=True, help="file to write")
        command.set_defaults(run=run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or the one of the error."""
    args = parser().parse_args(arguments)
    # torch takes seconds to import: only once the arguments are known to be fine
    import torch

    from get.runtime import logging_to

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    try:
        with logging_to():
            args.run(args)
    except UserError as error:
        print(f"get: {error}", file=sys.stderr)
        return error.exit_code
    return 0
