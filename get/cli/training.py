"""`get train-teacher` and `get train-student`, which the workflow calls."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, add_device, ending, json_object, natural, positive


def train_teacher(args: argparse.Namespace) -> None:
    """Run `get train-teacher`."""
    from get.runtime.processes import process_group
    from get.teacher.training import train_teacher

    with process_group(args.device):
        train_teacher(
            store=args.store,
            settings=args.settings,
            seed=args.seed,
            device=args.device,
            output=args.output,
            history=args.history,
            trackers=args.trackers,
        )


def train_student(args: argparse.Namespace) -> None:
    """Run `get train-student`."""
    from get.runtime.processes import process_group
    from get.student.training import Inputs, train_student

    with process_group(args.device):
        train_student(
            settings=args.settings,
            inputs=Inputs(args.manifest, args.images, args.teacher, args.loss),
            seed=args.seed,
            stop=args.steps,
            device=args.device,
            start=args.previous,
            output=args.output,
            prefetch=args.prefetch,
            accumulate=args.accumulate,
            trackers=args.trackers,
        )


def add(commands: Commands) -> None:
    """Add the commands."""
    teacher = add_command(
        commands, "train-teacher", train_teacher, "train a teacher (the workflow calls this)"
    )
    teacher.add_argument("--store", type=Path, required=True, help="image store")
    teacher.add_argument(
        "--settings", type=json_object, required=True, help="JSON: an entry of teachers in the config"
    )
    teacher.add_argument("--history", type=Path, required=True, help="history of the loss to write (.json)")

    student = add_command(
        commands,
        "train-student",
        train_student,
        "train a student to a milestone (the workflow calls this)",
        "--manifest results/pairs/conditional/manifest.json --settings results/settings/students/get-16.json"
        " --seed 0 --steps 500 --output 500.pt",
    )
    student.add_argument(
        "--settings", type=Path, required=True, help="JSON file: model, training, fingerprints"
    )
    # which of these are needed, objective and loss say
    student.add_argument("--manifest", type=Path, help="manifest of the pairs")
    student.add_argument("--images", type=Path, help="image store")
    student.add_argument("--teacher", type=Path, help="weights of the teacher")
    student.add_argument("--loss", type=Path, help="weights of the network that the loss looks through")
    student.add_argument("--steps", type=positive, required=True, help="the milestone")
    # not --start, which torchrun, looking at all options, takes for the beginning of one of its own
    student.add_argument("--previous", type=Path, help="state of the milestone before")
    student.add_argument("--prefetch", type=natural, default=0, help="batches that a thread prepares ahead")
    student.add_argument(
        "--accumulate", type=positive, default=1, help="parts that each batch is computed in, to save memory"
    )

    teacher.add_argument("--output", type=ending(".safetensors"), required=True, help="weights to write")
    student.add_argument(
        "--output",
        type=ending(".pt"),
        required=True,
        help="state of the training to write; the weights go beside it (.safetensors)",
    )
    for command in (teacher, student):
        command.add_argument("--seed", type=int, required=True, help="names every draw")
        add_device(command)
        command.add_argument(
            "--trackers", type=json_object, default={}, help="JSON: an entry `trackers` of the config"
        )
        command.add_argument(
            "--threads",
            type=positive,
            default=1,
            help="CPU threads of the node, shared by its processes; part of the last bits",
        )
