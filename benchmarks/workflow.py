"""Where does the time of the workflow go: into useful work, starting Python, Snakemake itself, idle cores?

    python benchmarks/workflow.py                                         the default experiment, from scratch
    python benchmarks/workflow.py --configfile tests/config.yaml          another one

Runs the whole experiment in a temporary folder, and takes what each job took from Snakemake's own records.
What starting costs is measured after it: a process that only imports what a job of the rule imports.
All are seconds of one core; cores times wall time of the run is 100%. Also times `snakemake -n` of the
paper's config.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
import torch
from common import Row, arguments, begin, finish, machine

from get.costs.start import MODULES
from get.costs.units import start
from get.experiment.counts import RULES

ROOT = Path(__file__).resolve().parent.parent
PAPER = ROOT / "workflow/config/cifar10.yaml"


def start_up(rule: str) -> float:
    """Return the seconds (least of three) in which Python starts and imports what a job of `rule` does."""
    process = rule if rule in MODULES else RULES[rule][0]
    return min(start(None, process, 0, torch.device("cpu")).seconds["start"] for _ in range(3))


def run(folder: Path, configfile: Path, cores: int, extra: list[str]) -> tuple[float, float]:
    """Run the workflow in `folder`; returns its wall time and the CPU time of Snakemake itself."""
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--configfile", str(configfile)]
    begun, used = time.perf_counter(), 0.0
    with open(folder / "snakemake.log", "w", encoding="utf-8") as log:
        process = psutil.Popen([*command, "--cores", str(cores), *extra], cwd=ROOT, stdout=log, stderr=log)
        while process.poll() is None:
            times = process.cpu_times()
            used = max(used, times.user + times.system)
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(
            f"snakemake failed: {(folder / 'snakemake.log').read_text(encoding='utf-8')[-3000:]}"
        )
    return time.perf_counter() - begun, used


def jobs(folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each job, by rule, as Snakemake noted them with each of the job's files."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for path in (folder / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            times[record["rule"], record["job_hash"]] += [record["starttime"], record["endtime"]]
    seconds = defaultdict(list)
    for (rule, _), each in times.items():
        seconds[rule].append(max(each) - min(each))
    return seconds


def dry_run(configfile: Path) -> float:
    """Return the least seconds, of three, in which Snakemake plans an experiment of which nothing is made."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "--configfile", str(configfile)]
    seconds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
            seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__)
    parser.add_argument("--configfile", type=Path, default=Path(os.path.relpath(ROOT / "config.yaml")))
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument(
        "--snakemake", nargs=argparse.REMAINDER, default=[], help="further arguments of snakemake"
    )
    args = parser.parse_args()
    device = begin(args)
    planned = dry_run(PAPER)
    with tempfile.TemporaryDirectory() as name:
        wall, own = run(Path(name), args.configfile.resolve(), args.cores, args.snakemake)
        seconds = jobs(Path(name))
    rows: list[Row] = []
    for rule, each in sorted(seconds.items(), key=lambda item: -sum(item[1])):
        start = start_up(rule)
        row: Row = {
            "rule": rule,
            "jobs": len(each),
            "total (s)": sum(each),
            "each (s)": sum(each) / len(each),
        }
        rows.append(
            row | {"start-up of each (s)": start, "useful (s)": max(0, sum(each) - start * len(each))}
        )
    whole, busy = args.cores * wall, sum(sum(each) for each in seconds.values())
    useful = sum(row["useful (s)"] for row in rows)
    shares = {"useful": useful, "start-up": busy - useful, "Snakemake itself": own}
    finish(
        __file__, args, machine(device), rows,
        wall_seconds=wall, jobs=sum(map(len, seconds.values())),
        shares={name: each / whole for name, each in shares.items()},
        dry_run_seconds=planned,
    )  # fmt: skip


if __name__ == "__main__":
    main()
