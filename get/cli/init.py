"""`get init`: a first config for images of one's own."""

import argparse
import shlex
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending, positive
from get.storage.errors import UserError


def init(args: argparse.Namespace) -> None:
    """Run `get init`."""
    import yaml

    from get.experiment.drafting import Machine, draft, look, results_of
    from get.storage.atomic import write_text
    from get.studies import load_experiment

    if args.out.exists():
        raise UserError(f"{args.out} exists already; name another file with --out, or delete it first")
    # elsewhere than in the repository, where Snakemake starts, paths are whole ones
    place = Path if Path("Snakefile").exists() else Path.resolve
    images, config, labels = place(args.images), place(args.out), args.labels
    if labels not in (None, "none"):
        labels = str(place(Path(labels)))
    found, results = look(images, labels, args.resize), results_of(args.out)
    text = draft(images, labels, args.resize, found, Machine.here(), results)
    load_experiment(yaml.safe_load(text))  # refused before it is written
    write_text(args.out, text, recorded=False)
    print(f"{args.images}: {found}" + f"; not read: {found.left_out}" * bool(found.left_out))
    print(f"The config is {args.out}: look at it, then, where the repository is,")
    run = "  snakemake --cores all"
    given = f"--configfile {shlex.quote(str(config))}"
    print(f"{run} {results}/plan.csv {given}   # how long it will take")
    print(f"{run} {given}   # to make it")
    print(f"{run} {given} --report {results}/report.html   # to look at it")


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
