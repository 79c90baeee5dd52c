"""`get import`: published teachers, students and pair sets, as files of this project."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending, natural, positive, sizes


def pairs(args: argparse.Namespace) -> None:
    """Run `get import pairs`."""
    from get.imports.pairs import import_pairs

    manifest = import_pairs(source=args.source, held_out=args.held_out, output=args.out, classes=args.classes)
    count = sum(shard.count for shard in manifest.training())
    print(f"{count} pairs and {args.held_out} held-out ones in {args.out}/manifest.json")
    print(f"a student's settings name them as pairs: {manifest.identity}")


def teacher(args: argparse.Namespace) -> None:
    """Run `get import teacher`."""
    from get.imports.teachers import import_teacher

    import_teacher(
        source=args.source,
        sha256=args.sha256,
        conditional=args.conditional,
        shape=args.shape,
        classes=args.classes,
        output=args.out,
    )
    print(f"the teacher in {args.source} is {args.out}")


def student(args: argparse.Namespace) -> None:
    """Run `get import student`."""
    from get.imports.students import import_student

    taken = import_student(
        source=args.source,
        sha256=args.sha256,
        settings=args.settings,
        seed=0,
        step=args.step,
        shape=args.shape,
        classes=args.classes,
        output=args.out,
    )
    print(f"the {taken} in {args.source} are {args.out}")


def add(commands: Commands) -> None:
    """Add the command and the three that it has."""
    top = commands.add_parser(
        "import",
        help="take published teachers, students and pair sets over, without running what they hold",
        description="Take published files over, without running what they hold.",
        epilog="`get import pairs --help` and so on have the options, and examples.",
    )
    kinds = top.add_subparsers(required=True, metavar="KIND")
    prog = "get import"

    command = add_command(
        kinds,
        "pairs",
        pairs,
        "import a pair set of the paper's code: a folder with latent/ and image/",
        "EDM-50k --held-out 500 --out pairs/published",
        prog=prog,
    )
    command.add_argument("source", type=Path, help="the folder that holds latent/ and image/")
    command.add_argument("--held-out", type=natural, default=0, help="pairs that training is not to see (0)")
    command.add_argument("--classes", type=positive, help="of labels that are numbers, not one-hot rows")
    command.add_argument("--out", type=Path, required=True, help="new folder of shards and a manifest")

    command = add_command(
        kinds,
        "teacher",
        teacher,
        "import one of EDM's teachers (.pkl)",
        "edm-cifar10-32x32-uncond-vp.pkl --out teacher.safetensors",
        "edm-cifar10-32x32-cond-vp.pkl --conditional --out conditional.safetensors",
        prog=prog,
    )
    command.add_argument("source", type=Path, help="EDM's file")
    command.add_argument("--conditional", action="store_true", help="the teacher sees labels")
    _add_expected(command)

    command = add_command(
        kinds,
        "student",
        student,
        "import a checkpoint of the paper's code (.pth)",
        "GET-B.pth --settings results/cifar10/settings/students/get-base.json --step 800000"
        " --out get-base.safetensors",
        prog=prog,
    )
    command.add_argument("source", type=Path, help="the published checkpoint")
    command.add_argument("--settings", type=Path, required=True, help="JSON file: model, pairs, training")
    command.add_argument("--step", type=positive, required=True, help="how long it was trained")
    _add_expected(command)


def _add_expected(command: argparse.ArgumentParser) -> None:
    command.add_argument("--shape", type=sizes, default=[3, 32, 32], help="of its images (3,32,32)")
    command.add_argument("--classes", type=positive, default=10, help="of the data (10)")
    command.add_argument("--sha256", help="what the file's hash must be")
    command.add_argument("--out", type=ending(".safetensors"), required=True, help="the file to write")
