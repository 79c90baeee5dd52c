"""Where the results come from: commit, config, versions, seeds, hashes, machine, and how long rules took."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from get import __version__
from get.paper import documents
from get.paper.cells import number, text
from get.paper.documents import Block, Heading, Note, Paragraph, Table, as_text
from get.storage.hashing import sha256
from get.storage.reading import reading

PACKAGES = (
    "torch", "numpy", "pandas", "h5py", "safetensors", "scikit-learn", "torch-fidelity", "matplotlib",
    "snakemake",
)  # fmt: skip


def provenance(
    *,
    config: str,
    threads: Mapping[str, int],
    seeds: Mapping[str, Any],
    files: Iterable[str | Path],
    benchmarks: str | Path,
    measured_on: str,
    folder: str | Path,
) -> dict[str, Any]:
    """Return all of it, as JSON.

    Args:
        config: the fingerprint of the config, defaults filled in; threads: of each kind of job.
        seeds: of the experiment, and of each student by its name.
        files: whose hashes are given, by their names in `folder`.
        benchmarks: the folder of Snakemake's records of jobs.
        measured_on: the device of the costs.
    """
    return {
        "source": {**commit(Path(__file__).parent), "fingerprint of the config": config},
        "versions": versions(),
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads of jobs": ", ".join(f"{kind} {count}" for kind, count in threads.items()),
            "costs measured on": measured_on,
        },
        "seeds": dict(seeds),
        "sha256": {os.path.relpath(path, folder): sha256(path) for path in files},
        "rules": durations(Path(benchmarks)).to_dict("records"),
    }


def commit(folder: Path) -> dict[str, str]:
    """Return the commit of the clone that a folder lies in, and whether its files are those of the commit."""
    found = []
    for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(
                ["git", "-C", folder, *command], capture_output=True, encoding="utf-8", timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return {"commit": "not known"}
        if done.returncode:  # no clone, or another user's
            return {"commit": "not known"}
        found.append(done.stdout.strip())
    head, changes = found
    return {"commit": head, "files": "changed since" if changes else "as in the commit"}


def processor() -> str:
    """Return the model of the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of the packages that results depend on."""
    found = {"get": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def durations(folder: Path) -> pd.DataFrame:
    """Return, of each rule that keeps such records: jobs, and seconds and memory (peak, MB) of them.

    The records are found, not asked for: one that was deleted must not make its job run again.
    """
    lines = []
    for path in sorted(folder.rglob("*.jsonl")):
        with reading(path, "record of a job"):
            for line in path.read_text(encoding="utf-8").splitlines():
                job = json.loads(line)
                rule = path.relative_to(folder).parts[0].removesuffix(".jsonl")
                lines.append((rule, float(job["s"]), pd.to_numeric(job["max_rss"], errors="coerce")))
    jobs = pd.DataFrame(lines, columns=["rule", "seconds", "memory_mb"])
    by_rule = jobs.groupby("rule", sort=False)
    found = by_rule["seconds"].agg(jobs="count", seconds="sum", median="median", longest="max")
    return found.assign(memory_mb=by_rule["memory_mb"].max()).reset_index().round(2)


def provenance_page(content: Mapping[str, Any]) -> str:
    """Return the page that shows what `provenance` returned."""
    seeds = {name: _seeds(value) for name, value in content["seeds"].items()}
    blocks: list[Block] = [
        Heading("Duration of each rule"),
        _duration_table(content["rules"]),
        Note(
            "Of all jobs that this folder has records of. Seconds are by the wall, of jobs that may have run"
            " side by side; memory is the largest of all jobs. Rules that take next to nothing keep none."
        ),
        Heading("Source"),
        _mapping_table(content["source"], "what"),
        Heading("Machine"),
        _mapping_table(content["machine"], "what"),
        Note(
            "Of the job that made this page; others may have run elsewhere, and threads are those of the"
            " config at that time. The job that samples and scores a student has the larger number of both."
        ),
        Heading("Versions"),
        _mapping_table(content["versions"], "package"),
        Heading("Seeds"),
        _mapping_table(seeds, "of"),
        Heading("SHA-256"),
        _mapping_table(content["sha256"], "file"),
        Note("A manifest holds the hashes of its shards of pairs."),
    ]
    return documents.html("Provenance", blocks)


DURATIONS = {  # columns of the page
    "rule": text("rule"),
    "jobs": number("jobs"),
    "seconds, all together": number("seconds", 1),
    "median of one": number("median", 1),
    "longest": number("longest", 1),
    "peak memory (MB)": number("memory_mb"),
}


def _duration_table(rules: Sequence[Mapping[str, Any]]) -> Block:
    if not rules:
        return Paragraph("No rule has kept its record.")
    return Table(as_text(pd.DataFrame(rules), DURATIONS), ["rule"])


def _mapping_table(content: Mapping[str, Any], first: str) -> Table:
    cells = {first: list(content), "is": [str(value) for value in content.values()]}
    return Table(pd.DataFrame(cells, dtype=str), [first, "is"])


def _seeds(value: int | Sequence[int]) -> str:
    return str(value) if isinstance(value, int) else ", ".join(map(str, value))
