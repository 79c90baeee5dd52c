"""The command `get` (also `python -m get`): the stages that need a process of their own, and sampling.

Training on several processes: `torchrun --standalone --nproc-per-node 8 -m get train-student ...`, on several
nodes with torchrun's --nnodes and --rdzv-endpoint. Each process ends with the exit code of its error, which
torchrun prints; torchrun's own is 1 for all of them.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.files import UserError
from get.log import log, logging_to

if TYPE_CHECKING:
    from torch import Tensor


def train_teacher(args: argparse.Namespace) -> None:
    """Run `get train-teacher`."""
    from get.runtime import process_group
    from get.teacher.training import train_teacher

    with process_group(args.device):
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
    from get.runtime import process_group
    from get.student.training import train_student

    with process_group(args.device):
        train_student(
            settings=args.settings,
            manifest=args.manifest,
            seed=args.seed,
            stop=args.steps,
            device=args.device,
            start=args.previous,
            output=args.output,
            prefetch=args.prefetch,
        )


def sample(args: argparse.Namespace) -> None:
    """Run `get sample`: a grid of one-step samples as a PNG."""
    import torch

    from get.data.store import to_bytes
    from get.paper.mosaic import write_grid
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


def verify(args: argparse.Namespace) -> None:
    """Run `get verify`: hash a results folder, or the shards of a manifest, again."""
    from get.inspection import verify_folder
    from get.pairs.shards import verify

    for path in args.path:
        if path.is_dir():
            whole, unrecorded = verify_folder(path)
            print(f"{path}: {whole} files as they were written")
            for file in unrecorded:
                print(f"{file}: no hash was recorded")
        else:
            print(f"{path}: {verify(path)} shards as they were listed")


def status(args: argparse.Namespace) -> None:
    """Run `get status`: how far each training is."""
    from tabulate import tabulate

    from get.inspection import runs

    rows = []
    for run in runs(args.results):
        left = "" if run.left is None else str(timedelta(seconds=round(run.left)))
        scored, train, test = run.fids or (None, None, None)
        rows.append(
            (run.name, run.state, f"{run.step}/{run.stop}", run.loss, run.rate, left, train, test, scored)
        )
    heads = ("training", "state", "step", "loss", "steps/s", "left", "FID train", "FID test", "at step")
    print(tabulate(rows, heads, floatfmt=".4g", disable_numparse=[2, 5]))


def statistics(args: argparse.Namespace) -> None:
    """Run `get statistics`: mean and covariance of a sample file's headline variant, as .npz."""
    import tempfile

    from get.evaluation.features import Extractor
    from get.evaluation.samples import open_samples
    from get.evaluation.statistics import moments, write_moments
    from get.runtime import pick_device

    extract = Extractor(args.extractor, args.weights, args.device, args.batch)
    with open_samples(args.samples) as content, tempfile.TemporaryDirectory() as scratch:
        headline, *_ = content.variants.values()
        write_moments(args.out, moments(extract(headline, scratch).penultimate, pick_device(args.device)))
    print(f"mu and sigma of {len(headline)} images in {args.out}")


def fid(args: argparse.Namespace) -> None:
    """Run `get fid`: the Frechet distance of two .npz files of mu and sigma."""
    from get.evaluation.statistics import frechet, read_moments, square_root

    ours, real = (read_moments(path) for path in (args.ours, args.real))
    if ours.mu.shape != real.mu.shape:
        raise UserError(f"{args.ours} and {args.real} are of features of different width")
    print(f"{float(frechet(ours, real, square_root(real.sigma))):.6g}")


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
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds.extend(range(int(first), int(last or first) + 1))
    except ValueError:
        seeds = []
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} names no numbers; write them as 0-63,70")
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


Commands = Any  # argparse does not name the class of its subparsers


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="get", description="One-step diffusion distillation with GET.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_sample(commands)
    _add_checks(commands)
    _add_training(commands)
    return top


def _add_sample(commands: Commands) -> None:
    command = commands.add_parser(
        "sample",
        help="draw one-step samples from a student's checkpoint",
        epilog="example: get sample results/students/get-48/seed0/2000.safetensors --out grid.png",
    )
    command.add_argument("checkpoint", type=Path, help="weights of a student (.safetensors)")
    command.add_argument(
        "--seeds", type=seed_list, default=list(range(64)), help="numbers of samples: 0-63,70"
    )
    command.add_argument("--out", type=png, required=True, help="the grid to write (.png)")
    command.add_argument("--columns", type=positive, help="images in a row; as square as can be")
    command.add_argument(
        "--label", type=int, help="class of all samples; left out, sample i has class i mod classes"
    )
    command.add_argument(
        "--iterations", type=positive, help="fixed-point iterations; left out, those trained with"
    )
    command.add_argument("--rule", default="lowest-residual", help="state to decode: lowest-residual or last")
    command.add_argument("--initial", default="independent", help="z_0: independent, shared or zeros")
    command.add_argument("--batch", type=positive, default=64, help="samples per call")
    command.add_argument(
        "--seed", type=int, default=0, help="names the noise, with the numbers of the samples"
    )
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    command.set_defaults(run=sample, threads=None)


def _add_checks(commands: Commands) -> None:
    hashes = commands.add_parser("verify", help="hash the files of a results folder, or of a manifest, again")
    hashes.add_argument(
        "path", type=Path, nargs="+", help="a results folder, or results/pairs/NAME/manifest.json"
    )
    hashes.set_defaults(run=verify, threads=None)

    state = commands.add_parser("status", help="how far each training is, its last loss and FID")
    state.add_argument("results", type=Path, nargs="?", default=Path("results"), help="the results folder")
    state.set_defaults(run=status, threads=None)

    stats = commands.add_parser("statistics", help="write mu and sigma of samples, as other repositories do")
    stats.add_argument("samples", type=Path, help="sample file (.h5)")
    stats.add_argument("--extractor", choices=("inception", "classifier"), default="inception")
    stats.add_argument("--weights", type=Path, required=True, help="of the extractor: results/features/...")
    stats.add_argument("--batch", type=positive, default=100, help="images per call")
    stats.add_argument("--device", default="auto", help="auto, cpu or cuda")
    stats.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    stats.set_defaults(run=statistics, threads=None)

    distance = commands.add_parser("fid", help="the Frechet distance of two .npz files of mu and sigma")
    distance.add_argument("ours", type=Path, help="of generated images")
    distance.add_argument("real", type=Path, help="of real images, from here or from another repository")
    distance.set_defaults(run=fid, threads=None)


def _add_training(commands: Commands) -> None:
    teacher = commands.add_parser("train-teacher", help="train a teacher (the workflow calls this)")
    teacher.add_argument("--store", type=Path, required=True, help="image store")
    teacher.add_argument(
        "--settings", type=json_object, required=True, help="JSON: an entry of teachers in the config"
    )
    teacher.add_argument("--history", type=Path, required=True, help="history of the loss to write (.json)")

    student = commands.add_parser(
        "train-student", help="train a student to a milestone (the workflow calls this)"
    )
    student.add_argument("--manifest", type=Path, required=True, help="manifest of the pairs")
    student.add_argument("--settings", type=Path, required=True, help="JSON file: model, training, pairs")
    student.add_argument("--steps", type=positive, required=True, help="the milestone")
    # not --start, which torchrun, looking at all options, takes for the beginning of one of its own
    student.add_argument("--previous", type=Path, help="state of the milestone before")
    student.add_argument("--prefetch", type=int, default=0, help="batches that a thread prepares ahead")

    for command, run in ((teacher, train_teacher), (student, train_student)):
        command.add_argument("--seed", type=int, required=True, help="names every draw")
        command.add_argument("--device", default="auto", help="auto, cpu or cuda")
        command.add_argument(
            "--threads",
            type=positive,
            default=1,
            help="CPU threads of the node, shared by its processes; part of the last bits",
        )
        command.add_argument("--output", type=Path, required=True, help="file to write")
        command.set_defaults(run=run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or the one of the error."""
    args = parser().parse_args(arguments)
    try:
        with logging_to():
            if args.threads is not None:
                import torch  # takes a second: not before the arguments are known to be fine

                torch.set_num_threads(max(1, args.threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
            log.info("get %s", shlex.join(arguments or sys.argv[1:]))
            args.run(args)
    except UserError as error:
        process = f" (process {os.environ['RANK']})" if log.disabled else ""  # torchrun's, see `log.mute`
        print(f"get{process}: {error}", file=sys.stderr)
        return error.exit_code
    return 0
