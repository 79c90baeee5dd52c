"""`get forget`: delete a part of the results and all that was made from it."""

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.cli.arguments import Commands, add_command
from get.storage.atomic import room_for
from get.storage.errors import UserError
from get.storage.lock import Lock

if TYPE_CHECKING:
    from get.experiment import Experiment

Parts = dict[str, list[Path]]  # the files of each part of the results


def forget(args: argparse.Namespace) -> None:
    """Run `get forget`."""
    from get.studies import load_experiment

    experiment = load_experiment(_config(args.configfile))
    results = Path(experiment.results)
    chosen = choose(experiment, args.part)
    files = [file for found in chosen.values() for file in found]
    for file in files:
        if file.name.endswith(".lock") and Lock(file).held():
            raise UserError(f"{file}: {Lock(file).holder()} works on it; end it first")
    for part, found in chosen.items():
        print(f"{results / part}: {len(found)} files, {_megabytes(found):,.1f} MB")
    if not args.yes and not _agreed(f"Delete {len(files)} files, {_megabytes(files):,.1f} MB? [y/N] "):
        raise UserError("nothing was deleted; answer y, or say --yes")
    for file in files:
        with room_for(file):
            file.unlink(missing_ok=True)
    for folder in sorted({folder for file in files for folder in file.parents}, reverse=True):
        if folder.is_relative_to(results) and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    print("deleted; make them again with: snakemake --cores all")


def choose(experiment: "Experiment", named: Iterable[str]) -> Parts:
    """Return the files of the parts `named` ('students/get-16', 'results/data') and of all made from them.

    Raises:
        UserError: there are no files of that name.
    """
    from get.cli.inspection import files_below
    from get.experiment.dependents import is_in, part_of, with_dependents
    from get.studies import documents

    results = Path(experiment.results)
    files: Parts = defaultdict(list)
    for file in files_below(results):
        files[part_of(file.relative_to(results))].append(file)
    # The parts as the folder has them
    parts = []
    for name in named:
        path = Path(os.path.normpath(name))
        part = part_of(path.relative_to(results) if path.is_relative_to(results) else path)
        if not any(is_in(each, part) for each in files):
            there = ", ".join(sorted({each.partition("/")[0] for each in files})) or "no files"
            raise UserError(f"{results} holds nothing called {name}; there are {there}")
        parts.append(part)
    # Each file once, with the first part that it lies in
    chosen: Parts = {}
    for part in with_dependents(experiment, parts, documents(experiment)):
        inside = [each for each in files if is_in(each, part)]
        if found := [file for each in inside for file in files.pop(each)]:
            chosen[part] = found
    return chosen


def _config(paths: Iterable[Path]) -> dict[str, Any]:
    """Return the config of these files, each laid over those before it, as Snakemake does it."""
    import yaml
    from snakemake.utils import update_config

    from get.experiment import text

    config: dict[str, Any] = {}
    for path in paths:
        try:
            text.check_files([path])
            update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"--configfile {path}: {error}") from None
    return config


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there
        print()
        return False


def _megabytes(files: Iterable[Path]) -> float:
    return sum(file.lstat().st_size for file in files) / 1e6


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "forget",
        forget,
        "delete a part of the results, and all samples, scores and students that were made from it",
        "students/get-16",
        "data",
        "pairs/conditional --configfile workflow/config/cifar10.yaml",
        "scores costs table1 figures --yes",
    )
    command.add_argument(
        "part", nargs="+", help="data, teachers/NAME, students/NAME/seed0, ..., in the results"
    )
    command.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[Path("config.yaml")],
        help="of the experiment (config.yaml)",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")
