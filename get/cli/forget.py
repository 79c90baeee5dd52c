"""`get forget`: delete a part of the results and all that was made from it."""

import argparse
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.cli.arguments import Commands, add_command
from get.storage.atomic import room_for
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.storage.places import part_of

if TYPE_CHECKING:
    from get.experiment import Experiment

DEFAULT = [Path("config.yaml")]
KEPT = ("inputs", "settings")  # downloads are checked, and settings follow the config, whenever they are read
Parts = dict[str, list[Path]]  # the files of each part of the results


def forget(args: argparse.Namespace) -> None:
    """Run `get forget`."""
    from get.studies import load_experiment

    experiment = load_experiment(_config(args.configfile))
    results = Path(experiment.results)
    chosen = choose(experiment, args.part)
    files = [file for found in chosen.values() for file in found]
    _require_idle(files)
    for part, found in chosen.items():
        print(f"{results / part}: {len(found)} files, {_megabytes(found):,.1f} MB")
    if not args.yes and not _agreed(f"Delete {len(files)} files, {_megabytes(files):,.1f} MB? [y/N] "):
        raise UserError("nothing was deleted; answer y, or say --yes")
    _require_idle(files)  # the answer may have come hours later
    for file in files:
        with room_for(file):
            file.unlink(missing_ok=True)
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(results)}
    for folder in sorted(folders - {results}, reverse=True):  # those within others first
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    named = [] if args.configfile == DEFAULT else ["--configfile", *map(str, args.configfile)]
    print(f"deleted; make them again with: {shlex.join(['snakemake', '--cores', 'all', *named])}")


def choose(experiment: "Experiment", named: Iterable[str]) -> Parts:
    """Return the files of the parts `named` ('students/get-16', 'results/data') and of all made from them.

    Raises:
        UserError: there are no files of that name, or some lie elsewhere, behind a link.
    """
    from get.cli.inspection import made_below
    from get.experiment.dependents import is_in, with_dependents
    from get.experiment.rivals import trials_of
    from get.studies import documents

    results = Path(experiment.results)
    made = made_below(results)
    choices = {f"settings/students/{name}" for name in trials_of(experiment)}  # which the config does not say
    files = {
        part: found
        for part, found in made.files.items()
        if part.partition("/")[0] not in KEPT or part in choices
    }
    links = {link.relative_to(results).as_posix(): link for link in made.links}
    # The parts as the folder has them
    parts = []
    for name in named:
        path = Path(os.path.normpath(name))
        path = path.relative_to(results) if path.is_relative_to(results) else path
        part = part_of(path) or path.as_posix()
        if set(part) & set("*?[") or not any(is_in(each, part) for each in (*files, *links)):
            there = ", ".join(sorted({each.partition("/")[0] for each in files})) or "no files"
            raise UserError(f"{results} holds nothing called {name}; there are {there}")
        parts.append(part)
    # Each file once, with the first part that it lies in
    chosen: Parts = {}
    for part in with_dependents(experiment, parts, documents(experiment)):
        for place, link in links.items():
            if is_in(place, part) or is_in(part, place):
                raise UserError(
                    f"{link} is a link to {link.resolve()}, whose files others may use; remove the link, or "
                    "what it leads to, and say it again"
                )
        inside = [each for each in files if is_in(each, part)]
        if found := [file for each in inside for file in files.pop(each)]:
            chosen[part] = found
    return chosen


def _require_idle(files: Iterable[Path]) -> None:
    """Raise `UserError` while Snakemake runs in this folder, or somebody trains what is to be deleted."""
    if any(Path(".snakemake/locks").glob("*")):
        raise UserError("Snakemake runs here; end it first (if it was killed: snakemake --unlock)")
    for file in files:
        if file.name.endswith(".lock") and Lock(file).held():
            raise UserError(f"{file}: {Lock(file).holder()} works on it; end it, or delete this file, first")


def _config(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the config of these files, each laid over those before it, as Snakemake does it."""
    import yaml
    from snakemake.utils import update_config

    from get.experiment.text import check_files

    config: dict[str, Any] = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f"--configfile {path}: there is no such file here")
    check_files(paths)
    for path in paths:
        update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")))
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
        default=DEFAULT,
        help="of the experiment (config.yaml)",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")
