"""`get demo`: a page that draws in the browser."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending
from get.cli.export import names


def demo(args: argparse.Namespace) -> None:
    """Run `get demo`."""
    from get.export.demo import write_demo

    write_demo(
        students=args.checkpoints,
        pairs=args.pairs,
        names=args.classes or [],
        runtime=args.runtime,
        output=args.out,
    )
    print(
        f"{args.out}: look at it with `python -m http.server --directory {args.out}`, at http://localhost:8000"
    )


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "demo",
        demo,
        "write a page that draws students' samples in the browser",
        "digits/get-48 digits/vit-48 --out demo",
        "results/students/{get,vit}-48/seed0/2000.safetensors --pairs results/pairs/conditional --out demo",
    )
    command.add_argument("checkpoints", type=Path, nargs="+", help="students (.safetensors, or folders)")
    command.add_argument("--pairs", type=Path, help="folder of their teacher's pairs, to show beside them")
    command.add_argument("--classes", type=names, help="names of the classes: cat,dog")
    command.add_argument("--runtime", type=Path, help="the package onnxruntime-web as npm packs it (.tgz)")
    command.add_argument("--out", type=ending(""), required=True, help="a new folder")
