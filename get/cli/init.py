"""`get init`: a first config for images of one's own."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending, positive
from get.storage.errors import UserError


def init(args: argparse.Namespace) -> None:
    """Run `get init`."""
    from get.experiment.drafting import Machine, draft, look, results_of
    from get.storage.atomic import write_text

    if args.out.exists():
        raise UserError(f"{args.out} exists already; name another file with --out, or delete it first")
    found = look(args.images, args.labels, args.resize)
    results = results_of(args.out)
    text = draft(args.images, args.labels, args.resize, found, Machine.here(), results)
    write_text(args.out, text, recorded=False)
    print(f"{args.images}: {found}" + f"; not read: {found.left_out}" * bool(found.left_out))
    print(f"The config is {args.out}: look at it, then, where the repository is,")
    run = "  snakemake --cores all"
    print(f"{run} {results}/plan.csv --configfile {args.out}   # how long it will take")
    print(f"{run} --configfile {args.out}   # to make it")
    print(f"{run} --configfile {args.out} --report {results}/report.html   # to look at it")


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "init",
        init,
        "look at images of your own and write a config for them",
        "pictures --out pictures.yaml",
        "photos.zip --resize 64 --out photos.yaml",
        "faces --labels labels.csv --out faces.yaml",
    )
    command.add_argument(
        "images", type=Path, help="a folder, zip or tar of pictures, an EDM data set, an .npz"
    )
    command.add_argument("--labels", help="none, or a CSV with the columns file and label")
    command.add_argument("--resize", type=positive, help="width to which the square in the middle is reduced")
    command.add_argument("--out", type=ending(".yaml"), required=True, help="the config to write (.yaml)")
