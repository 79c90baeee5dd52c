"""`get tuned`: the config that gives students what trials chose for them."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command


def tuned(args: argparse.Namespace) -> None:
    """Run `get tuned`."""
    from get.paper.tuning import chosen_config

    print(chosen_config(args.table), end="")


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "tuned",
        tuned,
        "print the config that gives each student the value which trials chose",
        "results/tuning/lr.csv",
    )
    command.add_argument("table", type=Path, help="written by: snakemake --cores all tuning")
