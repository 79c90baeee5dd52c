"""Errors as people read them, with what to type where a file is missing or damaged."""

import shlex
from pathlib import Path

from get.storage.errors import UserError
from get.storage.places import is_result


def explain(error: UserError) -> str:
    """Return the message of an error, and what to do about its files.

    Commands work as they are typed, in the folder where this one was.
    """
    return f"{error}; {_remedy(error.files)}" if error.files else str(error)


def _remedy(files: list[Path]) -> str:
    exist = any(file.exists() for file in files)
    them = "it" if len(files) == 1 else "them"
    if not all(map(is_result, files)):
        again = f"name another, or delete {them} and run the same command again"
        return again if exist else "correct its name, or make it first"
    make = f"delete {them} and make {them} again" if exist else f"make {them}"
    # a target of Snakemake's is named as its rules name it: from the folder where it runs
    here = Path.cwd()
    names = [str(file.relative_to(here) if file.is_relative_to(here) else file) for file in files]
    command = f"snakemake --cores all {shlex.join(names)}"
    return f"{make} with: {command} (and --configfile, if it is not the default experiment)"
