"""Errors as people read them, with what to type where a file is missing or damaged."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from get.storage.errors import Stale, UserError
from get.storage.places import is_result, whole_run

AGAIN = "(and --configfile, if it is not the default experiment)"


def explain(error: UserError) -> str:
    """Return the message of an error, and what to do about its files.

    Commands work as they are typed, in the folder where this one was. What is no result of the workflow is
    somebody's own file: nobody is told to delete it.
    """
    if not error.files:
        return str(error)
    exist = any(file.exists() for file in error.files)
    made = [file for file in error.files if is_result(file)]
    if not made:
        return f"{error}; {'name another file' if exist else 'correct its name, or make it first'}"
    # a target of Snakemake's is named as its rules name it: from the folder where it runs
    here = Path.cwd()
    names = [file.relative_to(here) if file.is_relative_to(here) else file for file in made]
    if isinstance(error, Stale):
        command = f"python -m get forget {_joined(sorted({whole_run(name) for name in names}))}"
        stale = f"if it is out of date, delete it and all that follows with: {command} {AGAIN}"
        return f"{error}; name another file or, {stale}, and run the same command again"
    them = "it" if len(error.files) == 1 else "them" if made == error.files else _joined(names)
    make = f"delete {them} and make {them} again" if exist else f"make {them}"
    return f"{error}; {make} with: snakemake --cores all {_joined(names)} {AGAIN}"


def _joined(names: Iterable[Path]) -> str:
    return shlex.join(map(str, names))
