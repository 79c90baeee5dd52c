"""How fast do pairs reach a training? Random batches out of a million fabricated pairs, and a first step.

    python benchmarks/input.py --settings results/cifar10/settings/students/get-tiny.json --threads 1

`--settings` describes the student that takes the step (`snakemake FILE --cores 1 --configfile
workflow/config/cifar10.yaml` makes it). A million pairs take 12.3 GB of disk, and as much free memory.
Warm: all files have been read just before. Cold: the system was told to forget them; what the kernel then
fetched from the disk is given per batch (the disk of a virtual machine may be its host's memory). Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import numpy as np
import torch
from common import Row, arguments, begin, finish, machine, spread, timed

from get.costs.measure import WARM_UP
from get.pairs.dataset import Batch, Pairs, training_pairs
from get.pairs.manifest import read_manifest, write_manifest
from get.pairs.shards import write_shard
from get.runtime.log import logging_to
from get.runtime.seeding import EpochSampler
from get.storage.reading import read_json
from get.training.journal import read_journal

SHARD, SHAPE, CLASSES = 10_000, (3, 32, 32), 10
COLD = 50  # batches; a hundredth of a million pairs, so that nearly none is met again
IMPORTS = "import get.cli, get.student.training"


def fabricate(folder: Path, pairs: int, identity: str, shape: tuple[int, ...] = SHAPE) -> Path:
    """Write `pairs` pairs, the same in every shard, unless `folder` has some; returns the manifest."""
    manifest = folder / "manifest.json"
    if manifest.exists():
        return manifest
    source = np.random.default_rng(0)
    noise, image = (source.standard_normal((SHARD, *shape), np.float32).astype(np.float16) for _ in range(2))
    label = np.arange(SHARD) % CLASSES
    attributes = {"identity": identity, "classes": CLASSES, "teacher": "none"}
    shards = {folder / f"train-{start // SHARD:05d}.h5": start for start in range(0, pairs, SHARD)}
    for path, start in shards.items():
        rows = slice(min(SHARD, pairs - start))
        write_shard(path, start, noise[rows], image[rows], label[rows], attributes)
    write_manifest(manifest, list(shards), identity)
    return manifest


def warm(files: Iterable[Path]) -> None:
    """Read the files, so that the system holds them in memory."""
    buffer = bytearray(2**20)
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def forget(files: Iterable[Path]) -> None:
    """Have the system drop what it holds of the files in memory."""
    for path in files:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def kernel_says(file: str, name: str) -> int:
    """Return the number behind `name` in a file of /proc/self (in the unit that it has there)."""
    lines = Path("/proc/self", file).read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def fetched() -> int:
    """Return the bytes that this process has had fetched from disks."""
    return kernel_says("io", "read_bytes")


def memory() -> Row:
    """Return this process's resident memory in MB: all of it, and what no file stands behind."""
    return {name: round(kernel_says("status", name) / 1024) for name in ("VmRSS", "RssAnon")}


def measure(pairs: Pairs, args: argparse.Namespace, device: torch.device, files: list[Path]) -> list[Row]:
    """Return the rows: reading from warm files, making float32 on the device, reading from cold files."""
    examples, steps = EpochSampler(len(pairs), args.batch, 0), count()
    batch = pairs.batch(examples(next(steps)))
    stored = batch.noise.nbytes + batch.image.nbytes

    def read() -> Batch:
        return pairs.batch(examples(next(steps)))

    warm(files)
    seconds = timed({"read, warm": read, "to float32": lambda: batch.on(device)}, device, args.batches)
    forget(files)
    before = fetched()
    seconds |= timed({"read, cold": read}, device, COLD)
    cold = (fetched() - before) // (COLD + WARM_UP)
    moved = {"read, warm": 2 * stored, "to float32": 3 * stored, "read, cold": 2 * stored}  # in and out
    rows = []
    for name, values in seconds.items():
        each = {key: 1e3 * value for key, value in spread(values).items()}
        row = {"what": name, "ms/batch": each["median"], "low": each["low"], "high": each["high"]}
        row |= {"batches": len(values), "bytes moved": moved[name]}
        rows.append(row | {"bytes from the disk": cold if name == "read, cold" else None})
    return rows


def first_step(args: argparse.Namespace, device: torch.device, manifest: Path) -> Row:
    """Train a student for a step; returns seconds from the start of the process, by the student's journal."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    found = {"importing alone": time.perf_counter() - begun}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "1.pt")
        command = f"-m get train-student --seed 0 --steps 1 --device {device} --threads {args.threads}"
        paths = ["--settings", str(args.settings), "--manifest", str(manifest), "--output", str(output)]
        epoch, begun = time.time(), time.perf_counter()
        subprocess.run([sys.executable, *command.split(), *paths], check=True)
        found["to the end of the process"] = time.perf_counter() - begun
        for line in read_journal(output.with_suffix(".journal.jsonl")):
            what = {"start": "to the begin of the step", "end": "to the step's results on disk"}
            found[what[line["event"]]] = line["time"] - epoch
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings file of a student")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="for the pairs, which stay; left out, a temporary one")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=5000, help="timed from warm files")
    args = parser.parse_args()
    device = begin(args)
    with nullcontext(args.folder) if args.folder else tempfile.TemporaryDirectory() as folder, logging_to():
        manifest = fabricate(Path(folder), args.pairs, read_json(args.settings)["pairs"])
        files = list(manifest.parent.glob("*.h5"))
        resident = {"imported": memory()}
        begun = time.perf_counter()
        pairs = training_pairs(read_manifest(manifest))
        opening = round(time.perf_counter() - begun, 3)
        resident["opened"] = memory()
        rows = measure(pairs, args, device, files)
        resident["read"] = memory()
        warm(files)
        seconds = {**first_step(args, device, manifest), "of it opening the pairs": opening}
    limits = machine(torch.device("cpu"))
    for row in rows:
        row["ms at copy rate"] = 1e3 * row["bytes moved"] / limits["copy_bytes"]
    finish(__file__, args, limits, rows, pairs=len(pairs), resident_MB=resident, seconds=seconds)


if __name__ == "__main__":
    main()
