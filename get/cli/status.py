"""`get verify` and `get status`: a results folder, looked at from outside."""

import argparse
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

from get.cli.arguments import Commands, add_command, add_json, print_json


def verify(args: argparse.Namespace) -> None:
    """Run `get verify`: hash a results folder, or the shards of a manifest, again."""
    from get.cli.inspection import equal_times, out_of_order, verify_folder
    from get.pairs.manifest import verify

    found: dict[str, Any] = {}
    for path in args.path:
        if path.is_dir():
            whole, unrecorded = verify_folder(path)
            found[str(path)] = {"files": whole, "unrecorded": list(map(str, unrecorded))}
            lines = [f"{path}: {whole} files as they were written"]
            lines += [f"{file}: no hash was recorded" for file in unrecorded]
            if args.times:
                equal_times(path)
                lines.append(f"{path}: all files have one time, and none is older than another")
            elif late := out_of_order(path):
                again = f"python -m get verify {shlex.quote(str(path))} --times"
                lines.append(
                    f"{path}: {late} files are older than what they are made from; if it is a copy: {again}"
                )
        else:
            found[str(path)] = {"shards": verify(path)}
            lines = [f"{path}: {found[str(path)]['shards']} shards as they were listed"]
        if not args.json:
            print("\n".join(lines))
    if args.json:
        print_json(found)


def status(args: argparse.Namespace) -> None:
    """Run `get status`: how far each training is."""
    from tabulate import tabulate

    from get.cli.inspection import runs

    found = runs(args.results)
    if args.json:
        print_json([run._asdict() for run in found])
        return
    rows = []
    for run in found:
        left = "" if run.left is None else str(timedelta(seconds=round(run.left)))
        scored, train, test = run.fids or (None, None, None)
        rows.append(
            (run.name, run.state, f"{run.step}/{run.stop}", run.loss, run.rate, left, train, test, scored)
        )
    heads = ("training", "state", "step", "loss", "steps/s", "left", "FID train", "FID test", "at step")
    print(tabulate(rows, heads, floatfmt=".4g", disable_numparse=[2, 5]))


def add(commands: Commands) -> None:
    """Add the commands."""
    hashes = add_command(
        commands,
        "verify",
        verify,
        "hash the files of a results folder, or of a manifest, again",
        "results",
        "results/pairs/conditional/manifest.json",
        "copy-of-results --times",
    )
    hashes.add_argument(
        "path", type=Path, nargs="+", help="a results folder, or results/pairs/NAME/manifest.json"
    )
    hashes.add_argument(
        "--times",
        action="store_true",
        help="give the files of a whole folder one time, so that Snakemake makes nothing of a copy again",
    )
    add_json(hashes)

    state = add_command(
        commands, "status", status, "tell how far each training is, its last loss and FID", "", "--json"
    )
    state.add_argument("results", type=Path, nargs="?", default=Path("results"), help="the results folder")
    add_json(state)
