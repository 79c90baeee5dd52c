"""Checks of a results folder from outside: whether its files are whole, and how far its trainings are."""

import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from get.runtime.log import Progress
from get.storage.atomic import room_for
from get.storage.errors import UserError
from get.storage.hashing import record_of
from get.storage.lock import Lock
from get.storage.places import is_result, part_of
from get.storage.reading import as_written, no_access, read_json, reading, recorded
from get.training.journal import Line, read_journal

DATA = (".csv", ".h5", ".json", ".npy", ".npz", ".pt", ".pth", ".safetensors")  # what should have a record

ORDER = [  # files, and those that are made from them in each experiment
    ("settings/costs.json", "costs.json"),
    ("data/images.h5", "features/reference-*.np?"),
    ("data/images.h5", "samples/baselines/*.h5"),
    ("features/reference-*.np?", "scores/**/*.json"),
    ("settings/rivals-costs.json", "rivals/costs.json"),
    ("scores/baselines/*.json", "table1.csv"),
    ("reproduction.csv", "overview.html"),
]


class Verification(NamedTuple):
    """How many files are as they were written, and which have no record (paths)."""

    whole: int
    unrecorded: list[Path]


def verify_folder(folder: Path) -> Verification:
    """Hash every file below `folder` again that the project has written there.

    Raises:
        UserError: there is nothing to check, or files were changed since they were written: all are named.
    """
    records = [path for path in files_below(folder) if path.name.startswith(".") and path.suffix == ".sha256"]
    if not records:
        raise UserError(
            f"{folder} holds no files of this project, which keeps a hash beside each that it writes"
        )
    progress = Progress("files", len(records))
    bad, whole = [], 0
    for record in records:
        path = record.with_name(record.name.removeprefix(".").removesuffix(".sha256"))
        if path.exists():  # one that was deleted will be made again
            with reading(path, "file of the results"):
                if as_written(path):
                    whole += 1
                else:
                    bad.append(path)
        progress.advance()
    progress.close()
    if bad:
        names = " ".join(map(str, bad))
        raise UserError(f"changed since they were written: {names}", *filter(is_result, bad))
    return Verification(whole, [path for path in files_below(folder) if _unrecorded(path)])


def files_below(folder: Path) -> list[Path]:
    """Return all files below `folder`, in folders too that are elsewhere and linked, those once.

    A link to a folder around `folder` would lead back to it, and is not followed.

    Raises:
        UserError: a folder may not be read.
    """
    found: list[Path] = []
    seen = {str(around) for around in Path(os.path.realpath(folder)).parents}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_unread):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
        else:
            found += (Path(parent, name) for name in names)
        seen.add(real)
    return sorted(found)


def _unread(error: OSError) -> NoReturn:
    """Say that a folder cannot be read, which `os.walk` would pass over."""
    raise no_access(error.filename, error) from None


def out_of_order(folder: Path) -> int:
    """Return how many files in `folder` are older than some that they are made from, as after `cp -r`."""
    late = 0
    for made_from, made in ORDER:
        newest = max((path.stat().st_mtime_ns for path in folder.glob(made_from)), default=0)
        late += sum(path.stat().st_mtime_ns < newest for path in folder.glob(made))
    return late


class Made(NamedTuple):
    """What lies in a folder of results: files by part, and links to folders, which are not followed."""

    files: dict[str, list[Path]]
    links: list[Path]


def made_below(folder: Path) -> Made:
    """Return what the rules of an experiment have made in `folder`, without what else lies there."""
    made = Made(defaultdict(list), [])
    for parent, folders, names in os.walk(folder):
        links = [path for path in (Path(parent, name) for name in folders) if path.is_symlink()]
        own = [path for path in links if _is_tracked(path)]  # made by a tracker, as wandb's of its latest run
        made.links.extend(path for path in links if path not in own)
        for path in (*own, *(Path(parent, name) for name in names)):
            if part := part_of(path.relative_to(folder)):
                made.files[part].append(path)
    return made


def equal_times(folder: Path) -> None:
    """Give all files that are made in `folder` one time: Snakemake takes none for older than another.

    Raises:
        UserError: a file is not of the one that it should be made from, which times would hide; some lie
            elsewhere, behind a link, where their times stay; or they belong to another user.
    """
    made = made_below(folder)
    if made.links:
        raise UserError(
            f"{made.links[0]} is a link, whose files may be others'; copy them (cp -rL), and say it again"
        )
    _require_consistent(folder)
    now = time.time_ns()
    files = [path for paths in made.files.values() for path in paths]
    for path in (*files, *folder.glob("benchmarks/**/*.jsonl")):
        if not path.name.endswith(".journal.jsonl"):  # of which the newest tells how far a training is
            with room_for(path):
                os.utime(path, ns=(now, now), follow_symlinks=False)


def _require_consistent(folder: Path) -> None:
    """Raise `UserError` unless pairs are of the teachers that are there, and scores of the students."""
    teachers = {recorded(path) for path in folder.glob("teachers/*.safetensors")}
    manifests = folder.glob("pairs/*/manifest.json")
    stale = [path for path in manifests if read_json(path)["teacher"] not in teachers]
    for path in folder.glob("scores/students/*/seed*/*.json"):
        weights = folder / path.relative_to(folder / "scores").with_suffix(".safetensors")
        if weights.exists() and read_json(path)["weights"] != recorded(weights):
            stale.append(path)
    if stale:
        raise UserError(
            f"{stale[0]} ({len(stale)} such files) is of another teacher or student than the one that lies "
            "there; times stay as they are: let Snakemake make it again"
        )


def _is_tracked(path: Path) -> bool:
    return any(parent.suffix == ".trackers" for parent in path.parents)


def _unrecorded(path: Path) -> bool:
    temporary = path.name.startswith(".") or path.name.endswith(".unfinished.pt") or _is_tracked(path)
    return path.suffix in DATA and not temporary and not record_of(path).exists()


class Run(NamedTuple):
    """A training, as its newest journal records it.

    name: of student and seed, or of what else is trained; step of stop; state: 'running', 'done', 'stopped',
    'killed' or 'diverged'; loss and rate (steps per second) as last recorded; left: seconds to `stop`, of one
    that runs; fids: step, and FID against train and test split, of the last milestone that has been scored.
    """

    name: str
    step: int
    stop: int
    state: str
    loss: float | None
    rate: float | None
    left: float | None
    fids: tuple[int, float, float] | None


def runs(folder: Path) -> list[Run]:
    """Return how far each training in the results `folder` is.

    Raises:
        UserError: none has begun there.
    """
    newest: dict[str, Path] = {}
    journals = [path for path in files_below(folder) if path.name.endswith(".journal.jsonl")]
    for path in sorted(journals, key=lambda path: path.stat().st_mtime):
        stem = path.name.removesuffix(".journal.jsonl")
        newest[_name(path.relative_to(folder).parent, stem)] = path
    if not newest:
        raise UserError(f"{folder} holds no training that has begun")
    return [_run(name, path, folder) for name, path in sorted(newest.items())]


def _name(parent: Path, stem: str) -> str:
    """A student's milestones are one run; everything else is named by its file."""
    return str(parent if "students" in parent.parts else parent / stem)


def _run(name: str, journal: Path, folder: Path) -> Run:
    lines = read_journal(journal)
    starts = [line for line in lines if line.get("event") == "start"]
    recorded = [line for line in lines if "loss" in line and "event" not in line]
    last: Line = lines[-1] if lines else {}
    stop = starts[-1]["stop"] if starts else 0
    step = last.get("step", 0)
    state = _state(last, journal.with_name(journal.name.replace(".journal.jsonl", ".unfinished.lock")))
    loss, rate = (recorded[-1]["loss"], recorded[-1]["rate"]) if recorded else (None, None)
    left = None
    if state == "running" and rate:
        left = max(0.0, (stop - step) / rate - (time.time() - last["time"]))
    experiment, _, run = name.rpartition("students/")  # another experiment's folder may lie in this one
    scores = folder / experiment / "scores/students" / run
    return Run(name, step, stop, state, loss, rate, left, _fids(scores))


def _state(last: Line, lock: Path) -> str:
    if last.get("event") == "end":
        return {"done": "done", "diverged": "diverged"}.get(last["reason"], "stopped")
    return "running" if Lock(lock).held() else "killed"


def _fids(scores: Path) -> tuple[int, float, float] | None:
    steps = sorted(int(path.stem) for path in scores.glob("*.json") if path.stem.isdigit())
    if not steps:
        return None
    content: dict[str, Any] = read_json(scores / f"{steps[-1]}.json")
    headline = content["scores"][content["headline"]]
    return steps[-1], headline["fid_train"], headline["fid_test"]
