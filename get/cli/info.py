"""`get info`: what is in a file of the project."""

import argparse
import json
from pathlib import Path
from typing import Any

from get.cli.arguments import Commands, add_command, add_json, print_json


def info(args: argparse.Namespace) -> None:
    """Run `get info`."""
    from get.cli.describe import describe

    found = {str(path): describe(path) for path in args.files}
    if args.json:
        print_json(found)
        return
    for path, facts in found.items():
        print(path)
        for key, value in facts.items():
            print(f"  {key:<14} {_shown(value)}")


def _shown(value: Any) -> str:
    """Return a value as a line shows it."""
    if isinstance(value, bool | None):
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "info",
        info,
        "tell what is in a checkpoint, shard, manifest, image store, sample file, statistics or scores",
        "results/students/get-48/seed0/2000.safetensors",
        "results/pairs/conditional results/data/images.h5 --json",
        "digits/get-48",
    )
    command.add_argument("files", type=Path, nargs="+", help="files, or folders of pairs or students")
    add_json(command)
