"""Breaks the workflow at random while it runs, and compares what comes out with an undisturbed run.

    python tests/breakage.py --count 200 --seed 0 --folder /tmp/breakage --out counts.json

A tiny experiment runs once undisturbed. Then, in rounds, random parts of a copy of its results are deleted
and made again, and broken on the way: processes are killed, files damaged, the disk filled, a second run
started, a setting changed and changed back. The same command must always go on, and when all is made again it
must be the same bit for bit. What may never happen is a `Loss`; --seed S --round R repeats round R of seed S.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import torch
import yaml

from get.training.journal import read_journal

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ("Snakefile", "workflow", "profiles", "envs", "get")
# trainings last seconds here, and save their state as often as they can, not every minute
HASTE = {"SAVE_EVERY = 60.0": "SAVE_EVERY = 0.0", "SAVE_COST = 0.02": "SAVE_COST = 0.5"}

TARGET = "results/table2.csv"
STUDENTS = ("get/seed0", "vit/seed0", "vit/seed1")
UNCOMPARED = ("logs/", "benchmarks/")  # times, and what the attempts said
# what is deleted to be made again, always with the table
PARTS = [
    *[[f"{kind}/{run}" for kind in ("students", "samples/students", "scores/students")] for run in STUDENTS],
    ["pairs", "students", "samples", "scores"],
    ["data", "features", "teachers", "pairs", "students", "samples", "scores"],
]
# which results are made of others
USERS = {
    "settings/students": "students",
    "settings/sampling": "samples",
    "settings/scoring": "scores",
    "data": "features",
    "features": "scores",
    "teachers": "pairs",
    "pairs": "students",
    "students": "samples",
    "samples": "scores",
}
PATIENCE = 300.0  # seconds in which something must happen; more is a hang
SECONDS = 30.0  # "within seconds", on a machine that does other things too
MARK = "BREAKAGE_RUN"  # environment variable by which the processes of a run are known
OFTEN = 0.05  # seconds between looks


class Loss(Exception):
    """Something that may never happen, whatever breaks."""


def tiny_config() -> dict[str, Any]:
    """Return the tests' experiment with fewer parts, each of which trains for seconds."""
    text = (Path(__file__).parent / "config.yaml").read_text(encoding="utf-8")
    config = json.loads(json.dumps(yaml.safe_load(text)))  # parts that YAML anchors share become separate
    del config["teachers"]["unconditional"], config["pairs"]["unconditional"]
    config["features"]["classifier"]["steps"] = 800
    config["teachers"]["conditional"]["steps"] = 400
    config["students"]["get"] |= {"milestones": [400, 800]}
    config["students"]["vit"] |= {"milestones": [800], "seeds": [0, 1], "pairs": "conditional"}
    rows = [{"student": "get", "step": 400}, {"student": "get"}, {"student": "vit"}]
    return {**config, "paper": {"table2": rows}}


def copy_project(folder: Path, edits: dict[str, str] | None = None) -> Path:
    """Copy the project into `folder`, with `edits` of the package; no edit of the original reaches a run."""
    folder.mkdir(parents=True)
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    for old, new in {**HASTE, **(edits or {})}.items():
        (path,) = (path for path in (folder / "get").rglob("*.py") if old in path.read_text(encoding="utf-8"))
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return folder


# ------------------------------------------------------------------------------------------ comparing results


def content(path: Path) -> Any:
    """Return what the file at `path` holds, without what tells when and by which process it was written."""
    if path.suffix == ".h5":
        found: dict[str, Any] = {}
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: found.update({name: (dict(item.attrs), _array(item))}))
            return found | {"": dict(file.attrs)}
    if path.suffix == ".pt":  # a zip file that names the temporary file it was written to
        return torch.load(path, weights_only=True)
    if path.name == "manifest.json":
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return manifest | {"shards": [{**shard, "modified": 0} for shard in manifest["shards"]]}
    return path.read_bytes()


def _array(item: Any) -> Any:
    return item[()] if isinstance(item, h5py.Dataset) else None


def same(one: Any, other: Any) -> bool:
    """Return True if two contents are equal bit for bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (torch.Tensor, np.ndarray)):
        one, other = np.asarray(one), np.asarray(other)
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return bool(one == other)


def is_same_file(one: Path, other: Path) -> bool:
    """Return True if both files hold the same; False also where one cannot be read."""
    if one.read_bytes() == other.read_bytes():
        return True
    try:
        return same(content(one), content(other))
    except Exception:  # whatever a library makes of a damaged file
        return False


def results_of(folder: Path) -> dict[str, Path]:
    """Return the results in `folder`, by relative path: all that must be the same in the end."""
    names = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path
        for name, path in names.items()
        if not name.startswith(UNCOMPARED)
        # the last: Snakemake removes it when it has seen the training end, if it lives to see that
        and not name.endswith((".journal.jsonl", ".sha256", ".unfinished.pt"))
        and ".trackers/" not in name
    }


# -------------------------------------------------------------------------------------------------- processes


class Run:
    """One start of Snakemake, in a process group of its own as in a terminal."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.mark = str(time.time_ns())
        self.log = folder / f"run-{self.mark}.txt"
        with open(self.log, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                command, cwd=env["PYTHONPATH"], env={**env, MARK: self.mark},
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                # a shell that runs us in the background has it ignored, which children inherit
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def group(self) -> list[psutil.Process]:
        """Return the living processes of the group, whose leader may be dead; zombies do not count."""
        found = []
        for process in psutil.process_iter():
            # numbers are used again: a group of the same number may be somebody else's
            with suppress(psutil.Error, ProcessLookupError, KeyError):
                if os.getpgid(process.pid) == self.process.pid and process.environ()[MARK] == self.mark:
                    found.append(process)
        return found

    def jobs(self) -> list[psutil.Process]:
        return [process for process in self.group() if process.pid != self.process.pid]

    def wait(self) -> int:
        """Return the exit code; raises `Loss` if nothing happens for too long."""
        while not wait_until(lambda: self.ended, 1):
            if time.time() - self.log.stat().st_mtime > PATIENCE:
                raise Loss(f"hangs: {self.text[-2000:]}")
        return self.process.wait()

    def kill(self) -> None:
        """End all processes of the group."""
        while members := self.group():
            for process in members:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


def wait_until(condition: Callable[[], Any], seconds: float, what: str = "", every: float = OFTEN) -> bool:
    """Poll until `condition` holds; after that many seconds return False, or raise `Loss` with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            if what:
                raise Loss(f"not within {seconds:.0f} s: {what}")
            return False
        time.sleep(every)
    return True


# -------------------------------------------------------------------------------------------------- one round


class Site:
    """A working directory in which the tiny experiment runs.

    Args:
        folder: its place; project: whose Snakefile it runs.
        whole: the folder that was not disturbed.
        python: for runs that nobody disturbs.
    """

    def __init__(
        self, folder: Path, project: Path, whole: Path | None = None, python: str = sys.executable
    ) -> None:
        self.folder, self.project, self.whole, self.python = folder, project, whole, python
        self.results = folder / "results"
        self.runs: list[Run] = []
        self.compared = False  # nothing has run since the results were found to be the same
        # attempts that were asked to stop: journal, and the step from which the next one must go on
        self.asked: dict[Path, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(tiny_config())

    def configure(self, config: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def go_on(self, *targets: str, python: str = sys.executable) -> Run:
        """Start "the same command"; after `kill -9` of Snakemake itself, --unlock comes first."""
        locks = self.folder / ".snakemake/locks"
        if locks.is_dir() and any(locks.iterdir()) and self.start("--unlock").wait():
            raise Loss(f"--unlock fails: {self.runs[-1].text}")
        return self.start(*targets, python=python)

    def start(self, *arguments: str, python: str = sys.executable) -> Run:
        command = [python, "-m", "snakemake", TARGET, *arguments, "--cores", "2"]
        command += ["--directory", str(self.folder), "--configfile", str(self.folder / "config.yaml")]
        env = {**os.environ, "PYTHONPATH": str(self.project), "OMP_NUM_THREADS": "1"}
        self.runs.append(Run(command, self.folder, env))
        self.compared = False
        return self.runs[-1]

    def finish(self, *targets: str) -> None:
        """Run the same command until all is made, these too; one that stops must say to run it again."""
        for _ in range(4):
            run = self.go_on(*targets, python=self.python)
            if run.wait() == 0:
                break
            if "run the same command again" not in run.text:
                raise Loss(f"cannot go on: {run.text[-3000:]}")
        else:
            raise Loss(f"does not come to an end: {run.text[-3000:]}")
        self.settle()
        self.compare()
        self.compared = True

    def settle(self) -> None:
        """Wait until all processes have ended, those too that survived their Snakemake."""
        for run in self.runs:
            wait_until(lambda run=run: not run.group(), PATIENCE, "the end of all jobs")
        self.runs.clear()
        self.check_resumed()

    def compare(self) -> None:
        """Raise `Loss` unless everything is here, the same as undisturbed, and nothing else."""
        assert self.whole
        ours, theirs = results_of(self.results), results_of(self.whole / "results")
        if odd := ours.keys() ^ theirs.keys():
            raise Loss(f"missing, or left over: {sorted(odd)}")
        self.compare_what_is_there()

    def check_resumed(self) -> None:
        """Raise `Loss` where an attempt was asked to stop and the next one did not go on from there."""
        for journal, step in list(self.asked.items()):
            lines = read_journal(journal)
            if lines[-1].get("reason") == "asked":
                continue  # there was no next attempt yet
            if not any(
                a.get("reason") == "asked" and a["step"] == b["step"] == step for a, b in pairwise(lines)
            ):
                raise Loss(f"{journal}: stopped at step {step}, but did not go on from there")
            del self.asked[journal]

    def compare_what_is_there(self) -> None:
        """Raise `Loss` if there is a file under a final name that is not the same as undisturbed."""
        assert self.whole
        theirs = results_of(self.whole / "results")
        ours = {name: path for name, path in results_of(self.results).items() if name in theirs}
        if odd := [name for name, path in ours.items() if not is_same_file(path, theirs[name])]:
            raise Loss(f"not as undisturbed: {sorted(odd)}")

    def delete(self, parts: Iterable[str]) -> None:
        """Delete these folders of results, and the table, to be made again."""
        for part in parts:
            shutil.rmtree(self.results / part, ignore_errors=True)
        for path in self.results.glob("table2.*"):
            path.unlink()
        self.asked = {journal: step for journal, step in self.asked.items() if journal.exists()}

    def trainers(self) -> dict[int, Path]:
        """Return the processes that are training now, with their journals."""
        alive = {process.pid for run in self.runs for process in run.group()}
        found = {}
        for journal in self.results.rglob("*.journal.jsonl"):
            lines = read_journal(journal)
            starts = [line for line in lines if line.get("event") == "start"]
            pid = int(starts[-1]["process"].split()[1]) if starts else 0
            if pid in alive and lines[-1].get("event") != "end":
                found[pid] = journal
        return found

    def verify(self) -> str:
        """Return what `get verify` says of the results; nothing where it is content."""
        command = [self.python, "-m", "get", "verify", str(self.results)]
        env = {**os.environ, "PYTHONPATH": str(self.project)}
        done = subprocess.run(command, cwd=self.project, env=env, capture_output=True, encoding="utf-8")
        return "" if done.returncode == 0 else done.stderr

    def close(self) -> None:
        for run in self.runs:
            run.kill()


KILLS = [
    *[(signal.SIGKILL, victim) for victim in ("trainer", "trainer", "job", "snakemake", "snakemake", "all")],
    *[(signal.SIGTERM, victim) for victim in ("trainer", "snakemake", "all")],
    *[(signal.SIGINT, "all"), (signal.SIGHUP, "all")],  # Ctrl-C, and a terminal that is closed
]


# what a round consists of: methods of `Round`
BREAKAGES = ["kill"] * 4 + ["damage"] * 3 + ["fill_disk", "run_twice", "change_setting"]


class Round:
    """Some breakages of one site, chosen by a seed."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.site, self.rng = site, rng
        self.done: list[str] = []  # what was broken, in order

    def play(self, breakages: Sequence[str] = BREAKAGES) -> None:
        """Break in all these ways, in a random order, and see that all comes out the same."""
        for breakage in self.rng.sample(breakages, len(breakages)):
            if (self.site.results / "table2.csv").exists():
                if not self.site.compared:
                    self.site.finish()
                self.site.delete(self.rng.choice(PARTS))
            getattr(self, breakage)()
        self.site.finish()

    # ------------------------------------------------------------------------------------------- processes

    def moment(self, run: Run, when: str) -> None:
        """Wait for a random moment of `run`, or until it has ended.

        when: 'any'; 'training': somebody trains; 'writing': a file is being written.
        """
        site = self.site
        if when == "training":
            wait_until(lambda: run.ended or site.trainers(), PATIENCE)
            wait_until(lambda: run.ended, self.rng.uniform(0, 3))
        elif when == "writing":
            wait_until(lambda: run.ended, self.rng.uniform(2, 12))
            writes = lambda: any(site.results.rglob("*.tmp"))  # noqa: E731
            wait_until(lambda: run.ended or writes(), PATIENCE, every=0.001)
        else:
            wait_until(lambda: run.ended, self.rng.uniform(0, 15))

    def kill(self) -> None:
        """Send a signal to a trainer, another job, Snakemake alone, or all of them."""
        number, victim = self.rng.choice(KILLS)
        run = self.site.go_on()
        moments = ["training"] if victim == "trainer" else ["training", "writing", "any"]
        self.moment(run, self.rng.choice(moments))
        training = self.site.trainers()
        pids = {
            "trainer": list(training),
            "job": [process.pid for process in run.jobs()],
            "snakemake": [run.process.pid],
            "all": [run.process.pid],
        }[victim]
        if run.ended or not pids:
            self.done.append("kill: too late")
            self.site.settle()
            return
        self.done.append(f"kill: {number.name} to {victim}")
        pid = self.rng.choice(pids)
        try:
            (os.killpg if victim == "all" else os.kill)(pid, number)
        except ProcessLookupError:
            self.done[-1] = "kill: too late"
        saved = []
        if number in (signal.SIGTERM, signal.SIGINT) and victim != "snakemake":
            asked = {pid: training[pid]} if victim == "trainer" else training
            saved = [pid for pid, journal in asked.items() if self.has_saved(pid, journal)]
        if number == signal.SIGKILL and victim == "snakemake" and self.rng.random() < 0.5:
            return  # and go on at once, while its jobs still run
        code = run.wait()
        told = "non-zero exit status 75" in run.text
        # the classifier is trained by a script, which has an exit code of its own
        if victim == "trainer" and pid in saved and "features" not in training[pid].parts and not told:
            raise Loss(f"{training[pid]}: asked to stop, but the exit code is not 75")
        if code == 0 and not (self.site.results / "table2.csv").exists():
            raise Loss("Snakemake says that all is well, but it is not finished")
        self.site.settle()
        self.site.compare_what_is_there()

    def has_saved(self, pid: int, journal: Path) -> bool:
        """See that a trainer that was asked to stop saves its state and says how to go on.

        Returns False if it had just finished.
        """
        wait_until(lambda: has_ended(pid), SECONDS, f"{journal}: the end of a trainer that was asked to stop")
        last = read_journal(journal)[-1]
        if last.get("reason") != "asked":
            return False
        if not Path(str(journal).replace(".journal.jsonl", ".unfinished.pt")).exists():
            raise Loss(f"{journal}: asked to stop, but there is no saved state")
        logs = "".join(
            path.read_text(encoding="utf-8") for path in (self.site.results / "logs").rglob("*.log")
        )
        if not re.search(rf"stopped at step {last['step']} of \d+, .*; the same command goes on", logs):
            raise Loss(f"{journal}: asked to stop, but the log does not say how to go on")
        self.site.asked[journal] = last["step"]
        return True

    # ----------------------------------------------------------------------------------------------- files

    def damage(self) -> None:
        """Damage a result, see that it is named by who uses it or by `get verify`, delete it."""
        site, rng = self.site, self.rng
        assert site.whole
        files = results_of(site.results)
        files = {name: files[name] for name in files if (site.whole / "results" / name).exists()}
        name = rng.choice(sorted(files))
        path, stat = files[name], files[name].stat()
        alike = [other for other in files.values() if other.suffix == path.suffix]
        others = [other for other in alike if not is_same_file(other, path)]
        how = rng.choice(["truncated", "emptied", "flipped", *["replaced"] * bool(others)])
        whole = path.read_bytes()
        if how == "replaced":
            shutil.copyfile(rng.choice(others), path)
        else:
            path.write_bytes(damaged(whole, how, rng))
        if rng.random() < 0.5:  # what a bad disk does leaves no trace in the time
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.done.append(f"damage: {path.suffix} {how}")
        user = next((user for part, user in USERS.items() if name.startswith(f"{part}/")), "table2")
        found = False
        # only contents need `get verify` to be seen; all else must be seen by who uses it, or not matter
        if how != "flipped" and rng.random() < 0.5:
            # with all that is made of it, or Snakemake would not miss it
            chain = [user]
            while user in USERS:
                chain.append(user := USERS[user])
            site.delete(chain)
            run = site.go_on()
            if run.wait():
                if not names(run.text, name):
                    raise Loss(f"{name} {how}: the error does not name it: {run.text[-3000:]}")
                self.done[-1] += ", named by its user"
                found = True
            elif path.exists() and path.read_bytes() == whole:
                self.done[-1] += ", made again"
                found = True
        if not found:
            if str(path) not in site.verify():
                raise Loss(f"{name} {how}: not named by get verify")
            self.done[-1] += ", named by get verify"
        path.unlink(missing_ok=True)
        # by name: Snakemake misses nothing of which all that is made of it is here
        site.finish(f"results/{name}")

    # ------------------------------------------------------------------------------------------- the disk

    def fill_disk(self) -> None:
        """Let the disk be full for a while."""
        site = self.site
        with small_disk(site.results) as mounted:
            if not mounted and "CI" in os.environ:
                raise Loss("no file system can be mounted here; give the user mount or sudo")
            if not mounted:
                self.done.append("disk full: skipped, no file system can be mounted here")
                return
            run = site.go_on()
            self.moment(run, self.rng.choice(["any", "training", "writing"]))
            ballast = site.results / "ballast"
            fill(ballast)
            code = run.wait()
            site.settle()
            self.done.append("disk full" if code else "disk full: too late")
            if code and not re.search("no room to write|No space left on device", run.text):
                raise Loss(f"disk full, but the error does not say so: {run.text[-3000:]}")
            ballast.unlink()
            site.compare_what_is_there()

    # ----------------------------------------------------------------------------------------- double runs

    def run_twice(self) -> None:
        """Start a second run of the same, in one of three ways."""
        site, rng = self.site, self.rng
        way = rng.choice(["same folder", "same folder, --nolock", "another folder"])
        second = site
        if way == "another folder":
            second = Site(site.folder / f"second-{len(self.done)}", site.project)
            second.results.symlink_to(site.results, target_is_directory=True)
            second.runs = site.runs  # closed with it
        first = site.go_on()
        self.moment(first, rng.choice(["any", "training"]))
        alive = not first.ended
        run = second.start(*["--nolock"] * ("--nolock" in way))
        codes = first.wait(), run.wait()
        self.done.append(f"run twice: {way}" if alive else "run twice: too late")
        for code, text in zip(codes, (first.text, run.text), strict=True):
            if code and "rror" not in text and "LockException" not in text:
                raise Loss(f"run twice ({way}): stops without a message: {text[-3000:]}")
        site.settle()
        site.compare_what_is_there()

    # ------------------------------------------------------------------------------------------- settings

    def change_setting(self) -> None:
        """Stop a student, change its learning rate, stop or finish it, and change it back."""
        site, rng = self.site, self.rng
        site.delete(["students"])
        config = tiny_config()
        config["students"]["get"]["training"]["lr"] /= 2
        config["students"]["vit"]["training"]["lr"] /= 2
        self.done.append("setting: changed and changed back")
        for part in (tiny_config(), config):
            site.configure(part)
            run = site.go_on()
            self.moment(run, "training")
            for pid, journal in site.trainers().items():
                first = [line for line in read_journal(journal) if line.get("event") == "start"][-1]
                if "students" in journal.parts and first["step"] not in (
                    0,
                    400,
                ):  # 0, or the milestone before
                    raise Loss(f"{journal}: goes on from step {first['step']} of other settings")
                if rng.random() < 0.7:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
            run.wait()
            site.settle()
        site.configure(tiny_config())
        site.finish()


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def damaged(whole: bytes, how: str, rng: random.Random) -> bytes:
    """Return other bytes: none, fewer, or as many with a flipped bit."""
    where = rng.randrange(len(whole))
    if how == "flipped":
        return whole[:where] + bytes([whole[where] ^ 1 << rng.randrange(8)]) + whole[where + 1 :]
    return whole[:where] if how == "truncated" else b""


def names(text: str, name: str) -> bool:
    """Return True if an error of the project (not Snakemake's list of a job's files) names the file."""
    errors = [line for line in text.splitlines() if re.search(r"error: |^\s*get: |UserError: ", line)]
    return any(f"results/{name}" in line for line in errors)


def fill(ballast: Path) -> None:
    """Write zeros until the disk is full."""
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**16))
        except OSError:
            return


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Put `folder` on a small file system of its own; yields False where that is not permitted."""
    sudo = ["sudo", "-n"] if os.geteuid() else []
    disk, beside = folder.with_name("disk"), folder.with_name("beside")
    disk.mkdir()
    options = f"size=32m,uid={os.geteuid()}"
    if subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", disk]).returncode:
        disk.rmdir()
        yield False
        return
    try:
        shutil.copytree(folder, disk / "results")
        folder.rename(beside)
        folder.symlink_to(disk / "results")
        yield True
        folder.unlink()
        shutil.copytree(disk / "results", folder)
        shutil.rmtree(beside)
    finally:
        subprocess.run([*sudo, "umount", "--lazy", disk], check=True)
    disk.rmdir()


# ------------------------------------------------------------------------------------------------ all rounds


def undisturbed(folder: Path, project: Path, python: str = sys.executable) -> Path:
    """Run the tiny experiment once, in `folder`, and return it."""
    site = Site(folder, project)
    try:
        if site.start(python=python).wait():
            raise RuntimeError(f"the undisturbed run fails: {site.runs[-1].text[-3000:]}")
    finally:
        site.close()
    return folder


def play(
    folder: Path,
    project: Path,
    whole: Path,
    name: str,
    breakages: Sequence[str] = BREAKAGES,
    python: str = sys.executable,
) -> tuple[list[str], str]:
    """Play the round of that name; returns what was broken, and the loss, if there was one."""
    shutil.copytree(whole, folder)
    site = Site(folder, project, whole, python)
    round_ = Round(site, random.Random(name))
    try:
        round_.play(breakages)
    except Loss as loss:
        return round_.done, str(loss)
    finally:
        site.close()
    shutil.rmtree(folder)  # that of a loss stays, to be looked at
    return round_.done, ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Break the workflow at random; see that nothing is lost.")
    parser.add_argument("--count", type=int, default=50, help="how often to break something")
    parser.add_argument("--seed", type=int, default=0, help="chooses what is broken, and when")
    parser.add_argument("--round", type=int, help="play this round alone")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder to work in")
    parser.add_argument("--out", type=Path, help="JSON file to write the counts to")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # with all that is cleaned up on the way out
    begun, folder = time.monotonic(), args.folder.resolve()
    project = copy_project(folder / "project")
    whole = undisturbed(folder / "whole", project)
    counts: Counter[str] = Counter()
    losses = []
    number = args.round or 0
    while counts.total() < args.count:
        name = f"seed-{args.seed}-round-{number}"
        done, loss = play(folder / name, project, whole, name)
        counts.update(done)
        print(f"round {number}: {', '.join(done)}{f': LOSS: {loss}' if loss else ''}", flush=True)
        if loss:
            losses.append({"round": number, "seed": args.seed, "broken": done, "loss": loss})
        if args.round is not None:
            break
        number += 1
    for what, many in sorted(counts.items()):
        print(f"{many:6d}  {what}")
    print(f"{len(losses):6d}  losses, in {time.monotonic() - begun:.0f} s")
    if args.out:
        args.out.write_text(
            json.dumps({"counts": dict(sorted(counts.items())), "losses": losses}, indent=2), encoding="utf-8"
        )
    return bool(losses)


if __name__ == "__main__":
    sys.exit(main())
