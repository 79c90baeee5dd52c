"""`get sample`: one-step samples of a student as a grid, a sample file, a folder of pictures or a strip."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.cli.arguments import (
    Commands,
    add_command,
    add_draws,
    ending,
    labels_of,
    positive,
    sample_number,
    sampling_of,
)
from get.storage.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from get.sampling.one_step import Samples, Sampling
    from get.student.models import Student


MAX_STRIP = 1000  # images


def sample(args: argparse.Namespace) -> None:
    """Run `get sample`."""
    import numpy as np

    from get.data.store import to_bytes
    from get.runtime.device import pick_device
    from get.sampling.one_step import sample
    from get.scoring.images import write_folder
    from get.storage.mosaic import write_grid
    from get.student import checkpoint
    from get.student.models import parameter_count

    student, header = checkpoint.load(args.checkpoint)
    device = pick_device(args.device)
    _require_used(args)
    # the noise of a strip changes step by step; a z_0 of its own for each image would hide that
    sampling_of(args, args.initial).require_state(student)
    options = sampling_of(args, args.initial or ("shared" if args.interpolate else None))
    classes = header["model"]["classes"] if student.conditional else 0
    student.to(device)
    if args.interpolate:
        _strip(args, student, classes, options, device)
        return
    labels = labels_of(args, classes)
    batches = sample(student, args.seeds, labels, seed=args.seed, options=options, device=device)
    if args.out.suffix == ".png":
        images = np.concatenate([to_bytes(batch.images).numpy() for batch in batches])
        write_grid(args.out, images, columns=args.columns)
    elif args.out.suffix == ".h5":
        info = {key: header.get(key) for key in ("model", "step", "seed")}
        info |= {"nfe": 1, "conditional": student.conditional, "parameters": parameter_count(student)}
        info |= {"iterations": options.iterations, "initial": options.initial, "noise": args.seed}
        _sample_file(args.out, options.rule, batches, labels, student.shape, info)
    else:
        write_folder(args.out, (to_bytes(batch.images).numpy() for batch in batches), args.seeds)
    print(f"{len(labels)} samples in {args.out}")


def _require_used(args: argparse.Namespace) -> None:
    """Raise `UserError` if an option would be ignored."""
    if args.columns and args.out.suffix != ".png":
        raise UserError(f"--columns: {args.out} is no grid; name a .png, or leave the option out")
    if args.interpolate and (args.columns or 0) > MAX_STRIP:
        raise UserError(f"--columns {args.columns}: a strip has at most {MAX_STRIP} images")
    if args.interpolate and args.out.suffix != ".png":
        raise UserError(f"--out {args.out}: a strip (--interpolate) is a picture; name a .png")


def _strip(
    args: argparse.Namespace, student: "Student", classes: int, options: "Sampling", device: "torch.device"
) -> None:
    """Write a row of images between two samples."""
    import numpy as np

    from get.data.store import to_bytes
    from get.sampling.one_step import interpolate
    from get.storage.mosaic import write_grid

    args.seeds = args.interpolate[:1]
    label = int(labels_of(args, classes if student.conditional else 0)[0])
    count = args.columns or 10
    batches = interpolate(
        student, tuple(args.interpolate), count, label, seed=args.seed, options=options, device=device
    )
    write_grid(args.out, np.concatenate([to_bytes(batch.images).numpy() for batch in batches]), columns=count)
    ends = " to ".join(map(str, args.interpolate))
    print(f"{count} samples from {ends} in {args.out}")


def _sample_file(
    path: Path,
    variant: str,
    batches: Iterable["Samples"],
    labels: "Tensor",
    shape: tuple[int, ...],
    info: dict[str, Any],
) -> None:
    """Write a sample file as the workflow does, of one variant, which `get score` reads."""
    from get.data.store import to_bytes
    from get.sampling.files import new_samples

    with new_samples(path, [variant], labels, shape) as file:
        for batch in batches:
            file.variants[variant][batch.rows] = to_bytes(batch.images).numpy()
        file.info.update(info)


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "sample",
        sample,
        "draw one-step samples from a student's checkpoint",
        "results/students/get-48/seed0/2000.safetensors --out grid.png",
        "student.safetensors --seeds 0-4999 --out samples.h5",
        "student.safetensors --label 3 --iterations 2 --out pictures",
        "student.safetensors --interpolate 3,13 --columns 10 --out strip.png",
    )
    command.add_argument("checkpoint", type=Path, help="weights of a student (.safetensors)")
    command.add_argument(
        "--out",
        type=ending(".png", ".h5", ""),
        required=True,
        help="what to write: a grid (.png), a sample file (.h5), or a new folder of pictures (no ending)",
    )
    command.add_argument(
        "--columns", type=positive, help="images in a row; as square as can be, 10 in a strip"
    )
    command.add_argument("--initial", help="z_0: independent (of each sample), shared or zeros")
    add_draws(command, "0-63").add_argument(
        "--interpolate",
        type=_ends,
        metavar="A,B",
        help="a strip from sample A to sample B, of the class of A; z_0 is shared unless --initial says else",
    )


def _ends(text: str) -> list[int]:
    """Parse '3,7'."""
    try:
        first, last = (sample_number(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} names no two samples; write them as 3,7"
        raise argparse.ArgumentTypeError(message) from None
    return [first, last]
