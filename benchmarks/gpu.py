"""The first nine minutes on a GPU: is everything right there, how fast is it, and what will the paper take?

    python benchmarks/gpu.py --reference PATH --edm PATH

For a machine with one GPU and no network; of this project's packages it wants neither Snakemake nor
torch-fidelity. Each part is a script of this folder, or `get plan`, in a process of its own that has a limit
of time; in order of worth, what is right before what is fast. benchmarks/results/gpu-KIND.json is written
after every part, so that a run that is cut off has told something. `--tiny` takes the digits' models.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml
from common import RESULTS, Row, cpu_name

from get.experiment import Experiment, load
from get.experiment.settings import settings_text
from get.runtime.log import log, logging_to
from get.storage.atomic import write_json, write_text
from get.storage.reading import read_json

ROOT = Path(__file__).parents[1]
PLAN = "plan.csv"
TOLD = 2000  # characters of what a part that failed said last


class Scale(NamedTuple):
    """config: of the experiment; get, vit: names of students; batches, of training and sampling; repeats."""

    config: str
    get: str
    vit: str
    batch: int
    sampled: int
    repeats: int


PAPER = Scale("workflow/config/cifar10.yaml", "get-mini", "vit-base", 128, 250, 5)
TINY = Scale("config.yaml", "get-16", "vit-16", 16, 8, 2)
HEUN_STEPS = 4  # of the teacher: the paper's 18 would take minutes in float32


class Part(NamedTuple):
    """A part: its name, the seconds that it may take of nine minutes, and its command after `python`."""

    name: str
    seconds: float
    command: list[str]


def parts(args: argparse.Namespace, folder: Path) -> list[Part]:
    """Return the parts in order of worth; `folder` is for their files."""
    scale = TINY if args.tiny else PAPER
    config = ROOT / scale.config
    experiment = load(yaml.safe_load(config.read_text(encoding="utf-8")))
    costs, plan = (settings_file(experiment, folder / f"{name}.json") for name in ("costs", "plan"))
    kinds = ["float32", "tf32", "bfloat16"] if args.device == "cuda" else ["float32", "bfloat16"]
    both = ["--students", scale.get, scale.vit]
    shared = ["--device", args.device, "--threads", args.threads]
    timed = ["--repeats", scale.repeats, *shared]
    sizes = ["--settings", costs, "--batch", scale.batch]
    ours = ["--reference", args.reference] if args.reference else []
    teacher = ["--network", network_of(experiment), "--shape", *experiment.config.data.shape]
    edm = ["--reference", args.edm] if args.edm else []

    def part(name: str, seconds: float, script: str, *options: Any) -> Part:
        command = [ROOT / "benchmarks" / script, *options, "--name", f"part-{name}"]
        return Part(name, seconds, [str(each) for each in command])

    def checks(name: str, seconds: float) -> Part:
        given = ["--config", config, *both, *shared, "--parts", name]
        return part(f"checks-{name}", seconds, "device_checks.py", *given)

    planned = ["-m", "get", "plan", str(plan), "--gpus", "1", "--out", str(folder / PLAN)]
    return [
        checks("students", 35),
        checks("teacher", 20),
        checks("scores", 20),
        checks("resume", 45),
        part("training", 80, "training.py", *sizes, *both, *timed, "--precisions", *kinds, "--o1", *ours),
        part(
            "teacher-sampling", 40, "teacher_sampling.py", *teacher, "--batch", scale.sampled,
            "--steps", HEUN_STEPS, "--repeats", 2, *shared, "--precisions", *kinds, *edm,
        ),
        checks("precision", 30),
        checks("checkpointing", 25),
        Part("plan", 85, planned),
        part(
            "student-sampling", 25, "student_sampling.py", "--settings", costs, *both, *timed,
            "--iterations", 1, 6, 10,
        ),
        checks("compiler", 70),
        part(
            "training-compiled", 65, "training.py", *sizes, *both[:2], *timed, "--precisions", *kinds[1:],
            "--compile",
        ),
    ]  # fmt: skip


def settings_file(experiment: Experiment, path: Path) -> Path:
    """Write a settings file as the workflow does."""
    write_text(path, settings_text(experiment, path.stem))
    return path


def network_of(experiment: Experiment) -> str:
    """Return the network of the first teacher as JSON."""
    return json.dumps(experiment.network_of(next(iter(experiment.teachers.values()))))


def main() -> int:
    """Run as the module's text says; returns 1 if a part fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="that all parts may take")
    parser.add_argument("--reference", type=Path, help="clone of locuslab/get; left out, ours alone")
    parser.add_argument("--edm", type=Path, help="clone of NVlabs/edm; left out, ours alone")
    parser.add_argument("--tiny", action="store_true", help="the digits' models")
    parser.add_argument("--only", nargs="+", help="names of parts; left out, all")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU; look at nvidia-smi and torch.version.cuda, or say --device cpu")
    name = torch.cuda.get_device_name() if args.device == "cuda" else cpu_name()
    content: Row = {"device": name, "torch": torch.__version__, "parts": {}}
    end = time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder, logging_to():
        for part in parts(args, Path(folder)):
            if args.only and part.name not in args.only:
                continue
            content["parts"][part.name] = run(part, args, Path(folder), end)
            write_json(RESULTS / f"gpu-{args.device}.json", content, recorded=False)
    failed = [name for name, found in content["parts"].items() if found["failed"]]
    print(f"{len(content['parts']) - len(failed)} parts passed; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def run(part: Part, args: argparse.Namespace, folder: Path, end: float) -> Row:
    """Run a part; returns its seconds, its rows, and what it said if it failed."""
    limit = min(part.seconds * args.minutes / 9, end - time.monotonic())
    if limit <= 0:
        return {"failed": True, "said": "no time was left"}
    log.info("%s: at most %.0f s", part.name, limit)
    begun = time.monotonic()
    written = RESULTS / f"part-{part.name}-{args.device}.json"
    written.unlink(missing_ok=True)  # of a run that was killed
    # in a session of its own: what it has started ends with it
    process = subprocess.Popen(
        [sys.executable, *part.command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = f"{process.communicate()[0]}\nit took more than {limit:.0f} s"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    print(said)
    found: Row = {"failed": process.returncode != 0, "seconds": time.monotonic() - begun}
    found |= {"said": said[-TOLD:].replace(str(ROOT), ".")} if found["failed"] else {}
    if written.exists():
        found |= read_json(written)
        written.unlink()
    if part.name == "plan" and (folder / PLAN).exists():
        found["rows"] = json.loads(pd.read_csv(folder / PLAN).to_json(orient="records"))
    return found


if __name__ == "__main__":
    sys.exit(main())
