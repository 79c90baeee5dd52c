"""Errors as people read them, with what to type where a file is missing or damaged."""

import shlex
from pathlib import Path

from get.storage.errors import Stale, UserError
from get.storage.places import is_result, stage_of

AGAIN = "(and --configfile, if it is not the default experiment)"


def explain(error: UserError) -> str:
    """Return the message of an error, and what to do about its files.

    Commands work as they are typed, in the folder where this one was. What is no result of the workflow is
    somebody's own file: nobody is told to delete it.
    """
    if not error.files:
        return str(error)
    return f"{error}; {_forgetting(error.files) if isinstance(error, Stale) else _remedy(error.files)}"


def _remedy(files: list[Path]) -> str:
    exist = any(file.exists() for file in files)
    made = [file for file in files if is_result(file)]
    if not made:
        return "name another file" if exist else "correct its name, or make it first"
    # a target of Snakemake's is named as its rules name it: from the folder where it runs
    here = Path.cwd()
    names = shlex.join(str(file.relative_to(here) if file.is_relative_to(here) else file) for file in made)
    them = "it" if len(files) == 1 else "them" if made == files else names
    make = f"delete {them} and make {them} again" if exist else f"make {them}"
    return f"{make} with: snakemake --cores all {names} {AGAIN}"


def _forgetting(files: list[Path]) -> str:
    stages = sorted({stage_of(file) for file in files})
    command = f"python -m get forget {shlex.join(stages)}"
    return f"delete it and all that follows with: {command} {AGAIN}, then run the same command again"
