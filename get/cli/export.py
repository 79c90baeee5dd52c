"""`get export`: a student for others."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending


def export(args: argparse.Namespace) -> None:
    """Run `get export`."""
    from get.export.folder import export_folder
    from get.export.published import export_published
    from get.storage.errors import UserError

    if args.out.suffix == ".pth":
        for option in ("scores", "licence", "repository"):
            if getattr(args, option):
                raise UserError(
                    f"--{option} goes into a model card; leave it out for a .pth, or name a folder"
                )
        export_published(weights=args.checkpoint, output=args.out)
        print(f"{args.out}: as the paper's code evaluates it (no state of an optimiser)")
        return
    export_folder(
        weights=args.checkpoint,
        scores=args.scores,
        licence=args.licence,
        repository=args.repository,
        output=args.out,
    )
    print(f"{args.out}: weights, config, a picture of samples, and a card, {args.out}/README.md")


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "export",
        export,
        "write a student for others: a folder for model hubs, or as the paper's code reads it",
        "results/students/get-48/seed0/2000.safetensors --out get-48"
        " --scores results/scores/students/get-48/seed0/2000.json",
        "student.safetensors --out student.pth",
    )
    command.add_argument("checkpoint", type=Path, help="weights of a student (.safetensors)")
    command.add_argument("--scores", type=Path, help="its scores (.json), for the card")
    command.add_argument("--licence", help="of the weights, for the card: mit, cc-by-nc-sa-4.0")
    command.add_argument("--repository", help="address of the code, for the card")
    command.add_argument(
        "--out", type=ending(".pth", ""), required=True, help="a new folder (no ending), or a .pth"
    )
