"""What an experiment will take, before it starts: hours, memory and disk of every job, and of the whole.

Jobs come from the settings (`jobs`), seconds from short measurements on this machine (`calibration`). The
whole is no sum divided by the cores: the jobs are scheduled, with what they wait for, as Snakemake does.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from get.costs.calibration import Found, calibrate
from get.costs.jobs import Experiment, Job, Measure, Settings, measure
from get.runtime.log import log
from get.storage.atomic import write_text
from get.storage.reading import read_json, reading, require

KEYS = {
    "data": dict,
    "downloads": dict,
    "evaluation": dict,
    "features": dict,
    "jobs": dict,
    "pairs": dict,
    "shown": dict,
    "students": dict,
    "teachers": dict,
}
# what every job begins with, what a script begins with in Snakemake, and what jobs import that are no scripts
BEGIN = "from get.process import collect_seldom; collect_seldom()"
PREAMBLE = "import pickle; from snakemake.iocontainers import Snakemake; from snakemake.logging import logger"
COMMANDS = {
    "settings": "import get.files",
    "train_student": "import get.cli, get.student.training",
    "train_teacher": "import get.cli, get.teacher.training",
}
# what takes long the first time: opening a GPU, and what loading a model or keeping a journal imports
OPEN = "import torch; torch.zeros(1, device='cuda' if torch.cuda.is_available() else 'cpu')"
LOAD = """
import tempfile
from {module} import build
from get.storage.weights import load_model, write_weights
with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
    write_weights(file.name, "model", build({model}).state_dict(), {{"model": {model}}})
    load_model(build, file.name, "model")
"""
JOURNAL = """
import tempfile
from get.training.journal import Journal
with tempfile.TemporaryDirectory() as folder:
    journal = Journal(f"{folder}/1.pt")
    journal.begin(0, 1)
    journal.record(1, 1.0, 1.0)
    journal.end(1, "done")
"""
INCEPTION = "from torch_fidelity import FeatureExtractorInceptionV3"


class Slot(NamedTuple):
    """When a job runs, in seconds."""

    start: float
    end: float


class Needs(NamedTuple):
    """What a job occupies: cores and GPUs."""

    cores: int
    gpus: int


def schedule(
    jobs: Sequence[Job],
    seconds: Mapping[str, float],
    needs: Mapping[str, Needs],
    cores: int,
    gpus: int,
) -> dict[str, Slot]:
    """Return when each job runs: whenever one ends, those of highest priority start that are ready and fit.

    Args:
        jobs: in the order in which equals start; all that a job waits for is among them.
        seconds, needs: by the name of the job; no job needs more than there is.
        cores, gpus: what there is.
    """
    waits = {job.name: set(job.needs) for job in jobs}
    order = sorted(jobs, key=lambda job: -job.priority)
    slots: dict[str, Slot] = {}
    running: list[tuple[float, str]] = []
    now = 0.0
    while len(slots) < len(jobs) or running:
        for job in order:
            need = needs[job.name]
            if not waits[job.name] and need.cores <= cores and need.gpus <= gpus:
                cores, gpus = cores - need.cores, gpus - need.gpus
                slots[job.name] = Slot(now, now + seconds[job.name])
                heapq.heappush(running, (slots[job.name].end, job.name))
        order = [job for job in order if job.name not in slots]
        now, name = heapq.heappop(running)
        cores, gpus = cores + needs[name].cores, gpus + needs[name].gpus
        for waiting in waits.values():
            waiting.discard(name)
    return slots


def make_plan(
    *,
    settings: str | Path,
    scripts: str | Path,
    cores: int,
    gpus: int,
    output: str | Path,
    readable: str | Path,
) -> None:
    """Measure, and write what every job of an experiment will take, and all together.

    Args:
        settings: JSON that describes the experiment (workflow/rules/common.smk writes it).
        scripts: the folder of the workflow's scripts, whose imports are timed.
        cores, gpus: what Snakemake shares among the jobs.
        output: CSV, a row for each rule and target and a last one for the whole.
        readable: Markdown, a row for each rule, and the whole in words.

    Raises:
        UserError: the settings are wrong, or the device is not there.
    """
    with reading(settings, "settings file of a plan"):
        wanted = read_json(settings)
        require(wanted, KEYS)
        gpus = gpus if torch.cuda.is_available() else 0
        experiment = Experiment(wanted, gpus)
        kinds = {kind: {**job, "gpu": min(gpus, job["gpu"])} for kind, job in wanted["jobs"].items()}
    jobs = experiment.jobs
    starts = {job.rule: _start(job, Path(scripts), experiment) for job in jobs}
    found = calibrate(dict.fromkeys([*starts.values(), *experiment.measures()]), kinds, cores)
    for part in (part for part, result in found.items() if result is None):
        log.info("not enough memory for %s %s", part.name, part.settings)
    takes = {job.name: _takes(job, kinds[job.kind], found, starts[job.rule]) for job in jobs}
    needs = {job.name: Needs(_cores(job, kinds, cores), kinds[job.kind]["gpu"]) for job in jobs}
    slots = schedule(jobs, {name: take.seconds or 0.0 for name, take in takes.items()}, needs, cores, gpus)
    table = table_of(jobs, takes, slots)
    text = _words(table, cores, gpus, found)
    log.info("%s", text)
    write_text(output, table.to_csv(index=False, float_format="%.6g"))
    write_text(readable, f"{_by_rule(table)}\n\n{text}\n")


# ------------------------------------------------------------------------------------------------- one job


class Takes(NamedTuple):
    """What a job takes; None where it is not known. Memory is that of the machine, and of a GPU, in bytes."""

    seconds: float | None
    gpus: int
    memory: int
    gpu_memory: int | None
    disk: int | None


def _cores(job: Job, kinds: Settings, cores: int) -> int:
    """Return how many cores a job occupies: the measuring of costs, all."""
    return cores if job.rule == "costs" else min(cores, kinds[job.kind]["threads"])


def _start(job: Job, scripts: Path, experiment: Experiment) -> Measure:
    """Return the start of a process as that of a job, until it comes to its work."""
    code = COMMANDS.get(job.rule)
    if code is None:
        script = (scripts / f"{job.rule}.py").read_text()
        code = "\n".join([PREAMBLE, *re.findall(r"^ *((?:from|import) .*)$", script, re.MULTILINE)])
    code = f"{BEGIN}\n{code}"
    if job.kind != "light":
        code += f"\n{OPEN}"
    if job.kind == "pairs":
        code += LOAD.format(module="get.teacher.network", model=experiment.teachers()[0])
    if job.kind in ("sample", "costs"):
        code += LOAD.format(module="get.student.models", model=experiment.students()[0])
    if job.kind == "score" and experiment.extractor["name"] == "inception":
        code += f"\n{INCEPTION}"
    if job.rule.startswith("train_"):
        code += JOURNAL
    return measure("start", job.kind, code=code)


def _takes(job: Job, kind: Settings, found: Mapping[Measure, Found | None], start: Measure) -> Takes:
    """Return what a job takes, from what its parts take."""
    begun, parts = found[start], [(work, found[work.measure]) for work in job.work or ()]
    known = [(work, part) for work, part in parts if part is not None]
    seconds, memory = None, [part.memory for _, part in known if part.memory]
    if job.work is not None and begun and len(known) == len(parts):
        seconds = begun.seconds["start"] + sum(work.amount * part.seconds[work.unit] for work, part in known)
    gpus, asked = kind["gpu"] if kind["device"] != "cpu" else 0, kind["mem_mb"] * 10**6
    if gpus:
        return Takes(seconds, gpus, asked, max(memory, default=None), job.writes)
    own = begun.memory + max(memory) if begun and begun.memory and memory else asked
    return Takes(seconds, gpus, own, None, job.writes)


# ------------------------------------------------------------------------------------------------- the whole


def table_of(jobs: Iterable[Job], takes: Mapping[str, Takes], slots: Mapping[str, Slot]) -> pd.DataFrame:
    """Return the plan: a row for each rule and what it makes, and the whole, with the hours of the wall."""
    each = pd.DataFrame({"rule": job.rule, "what": job.what, **takes[job.name]._asdict()} for job in jobs)
    each["gpu_seconds"] = each["seconds"] * each["gpus"]
    rows = each.groupby(["rule", "what"], sort=False)

    def total(column: str) -> "pd.Series[float]":
        return rows[column].sum(min_count=1)

    table = pd.DataFrame(
        {
            "jobs": rows.size(),
            "seconds_each": rows["seconds"].mean(),
            "hours": total("seconds") / 3600,
            "gpu_hours": total("gpu_seconds") / 3600,
            "memory_mb": rows["memory"].max() / 1e6,
            "gpu_memory_mb": rows["gpu_memory"].max() / 1e6,
            "disk_mb": total("disk") / 1e6,
        }
    ).reset_index()
    whole = {
        "rule": "all",
        "what": "wall time",
        "jobs": len(each),
        "hours": max(slot.end for slot in slots.values()) / 3600,
        "gpu_hours": table["gpu_hours"].sum(),
        "memory_mb": _peak(slots, {name: take.memory for name, take in takes.items()}) / 1e6,
        "gpu_memory_mb": table["gpu_memory_mb"].max(),
        "disk_mb": table["disk_mb"].sum(),
    }
    return pd.concat([table, pd.DataFrame([whole])], ignore_index=True)


def _peak(slots: Mapping[str, Slot], memory: Mapping[str, int]) -> int:
    """Return the most memory that the jobs that run at one time take together."""
    changes = [(slot.start, memory[name]) for name, slot in slots.items()]
    changes += [(slot.end, -memory[name]) for name, slot in slots.items()]
    return max(accumulate(change for _, change in sorted(changes)))


def _by_rule(table: pd.DataFrame) -> str:
    """Return a Markdown table with a row for each rule."""
    columns = {"jobs": "sum", "hours": "sum", "gpu_hours": "sum", "memory_mb": "max", "disk_mb": "sum"}
    shown = table.groupby("rule", sort=False).agg(columns).reset_index()
    return shown.to_markdown(index=False, floatfmt=",.4g")


def _words(table: pd.DataFrame, cores: int, gpus: int, found: Mapping[Measure, Found | None]) -> str:
    """Return the whole in words, and what it does not hold."""
    rows, whole = table.iloc[:-1], table.iloc[-1]
    text = (
        f"{whole['jobs']} jobs: {rows['hours'].sum():,.3g} hours of work, {whole['gpu_hours']:,.3g} GPU-hours"
    )
    text += f"; {whole['hours']:,.3g} hours with {cores} cores and {gpus} GPUs"
    text += f"; {whole['disk_mb'] / 1e3:,.3g} GB of disk"
    unknown = rows.loc[rows["seconds_each"].isna(), "jobs"].sum()
    smaller = sum(part is not None and part.share < 1 for part in found.values())
    if unknown:
        text += f". Without {unknown} jobs of which nothing is known (downloads, or too little memory)"
    if smaller:
        text += f". {smaller} of {len(found)} parts were timed on smaller batches than theirs"
    return f"{text}."
