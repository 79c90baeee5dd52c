"""`get plan`: what an experiment will take, without Snakemake once its settings are written."""

import argparse
import os
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending, natural, positive


def plan(args: argparse.Namespace) -> None:
    """Run `get plan`."""
    from get.costs.plan import make_plan

    readable = args.out.with_suffix(".md")
    make_plan(
        settings=args.settings,
        cores=args.cores,
        gpus=args.gpus,
        output=args.out,
        readable=readable,
        rivals=args.rivals,
    )
    print(readable.read_text(encoding="utf-8"), end="")


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "plan",
        plan,
        "measure what the jobs of an experiment will take on this machine, and all together",
        "results/settings/plan.json --out plan.csv",
        "results/cifar10/settings/plan.json --cores 16 --gpus 1 --out plan.csv",
    )
    command.add_argument(
        "settings",
        type=Path,
        help="of the experiment; written by: snakemake --cores 1 results/settings/plan.json",
    )
    cores = os.cpu_count() or 1
    command.add_argument("--cores", type=positive, default=cores, help=f"that the jobs share ({cores})")
    command.add_argument("--gpus", type=natural, default=0, help="that the jobs share (0)")
    command.add_argument("--rivals", action="store_true", help="of the rivals alone (see docs/rivals.md)")
    command.add_argument(
        "--out", type=ending(".csv"), required=True, help="the table to write (.csv), and a .md beside it"
    )
