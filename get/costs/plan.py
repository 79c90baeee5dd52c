"""What an experiment will take, before it starts: hours, memory and disk of its jobs, and of the whole.

The numbers of jobs and the work of each follow from the config (`experiment.counts`). What a unit of work
takes is measured on this machine (`units`). The whole is a sequence of stages, each as long as its work takes
on all cores and GPUs, or as its longest chain of jobs.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from get.costs.start import MODULES
from get.costs.units import Cost, measure_units
from get.experiment import Experiment, load
from get.experiment.counts import SAMPLED, Count, Unit, counts, rival_counts
from get.experiment.rivals import students_beside
from get.runtime.log import log
from get.storage.atomic import write_text
from get.storage.reading import read_json, reading

UNKNOWN = math.nan
GPUS = (1, 2, 4, 8, 16)  # of which the plan says how long they take

Costs = Mapping[Unit, Cost | None]


@dataclass(frozen=True)
class Demand:
    """What each of alike jobs takes; `UNKNOWN` where it is not known.

    Attributes:
        count: the jobs.
        seconds: from start to end.
        gpus: that it uses.
        memory, gpu_memory: bytes of the machine, and of a GPU.
        disk: bytes that it leaves.
        at_once: how many such jobs the machine has room for.
    """

    count: Count
    seconds: float
    gpus: int
    memory: float
    gpu_memory: float
    disk: float
    at_once: int


def make_plan(
    *,
    settings: str | Path,
    cores: int,
    gpus: int,
    output: str | Path,
    readable: str | Path,
    rivals: bool = False,
) -> None:
    """Measure, and write what every job of an experiment will take, and all together.

    Args:
        settings: the config as JSON.
        cores, gpus: what Snakemake shares among the jobs.
        output: CSV, a row for each rule and target and a last one for the whole.
        readable: Markdown, a row for each rule, and the whole in words.
        rivals: of the rivals, beside the images, teachers and pairs; else of all but rivals and studies.

    Raises:
        UserError: the settings are wrong, or the device is not there.
    """
    with reading(settings, "settings file of a plan"):
        experiment = load(read_json(settings))
        if rivals:
            experiment = Experiment(experiment.config, students_beside(experiment.config), {})
    gpus = gpus if torch.cuda.is_available() else 0
    jobs = rival_counts(experiment) if rivals else counts(experiment)
    units = [start_of(count) for count in jobs]
    units += [work.unit for count in jobs for work in count.work or ()]
    costs = measure_units(units, experiment, cores, gpus)
    for failed, cost in costs.items():
        if cost is None:
            log.info("not enough memory for %s %s", failed.name, failed.of)
    demands = [demand(count, costs, experiment, cores, gpus) for count in jobs]
    table = plan_table(demands)
    text = " ".join([in_words(table, cores, gpus, costs), *too_large(demands, experiment)])
    log.info("%s", text)
    write_text(output, table.to_csv(index=False, float_format="%.6g"))
    parts = [by_rule(table), text]
    if gpus:
        parts.append(by_gpus(jobs, costs, experiment, max(1, cores // gpus)))
    write_text(readable, "\n\n".join(parts) + "\n")


# ------------------------------------------------------------------------------------------------- one job


def start_of(count: Count) -> Unit:
    """Return the unit of starting a process."""
    return Unit("start", count.kind, count.rule if count.rule in MODULES else count.kind)


def demand(count: Count, costs: Costs, experiment: Experiment, cores: int, gpus: int) -> Demand:
    """Return what each job of a count takes."""
    kinds = kinds_of(count)
    jobs = [experiment.jobs[kind] for kind in kinds]
    used = min(gpus, max(job.gpu for job in jobs)) if set(map(experiment.device, kinds)) != {"cpu"} else 0
    at_once = 1 if count.kind == "costs" else max(1, cores // max(job.threads for job in jobs))
    if used:
        at_once = min(at_once, gpus // used)
    parts = [cost for work in count.work or () if (cost := costs[work.unit])]
    # Memory: what was measured, or else what the job asks for
    most = max((cost.memory for cost in parts if cost.memory), default=UNKNOWN)
    start, memory = costs[start_of(count)], float(max(job.mem_mb for job in jobs) * 10**6)
    if start and start.memory and most > 0 and not used:
        memory = start.memory + most
    kept = sum(cost.disk for cost in parts) if count.stage in ("teachers", "students") else 0
    disk = UNKNOWN if count.work is None else count.disk + kept
    seconds = job_seconds(count, costs)
    return Demand(count, seconds, used, memory, most if used else UNKNOWN, disk, at_once)


def kinds_of(count: Count) -> Sequence[str]:
    """Return the kinds of work that a job does, of which it has the larger resources."""
    return ("sample", count.kind) if count.rule in SAMPLED else (count.kind,)


def job_seconds(count: Count, costs: Costs) -> float:
    """Return the seconds of each job of a count: its start, and its work."""
    start = costs[start_of(count)]
    if count.work is None or start is None:
        return UNKNOWN
    seconds = start.seconds["start"]
    for work in count.work:
        cost = costs[work.unit]
        if cost is None:
            return UNKNOWN
        seconds += sum(amount * cost.seconds[name] for name, amount in work.amounts.items())
    return seconds


# ------------------------------------------------------------------------------------------------- the whole


def by_stage(demands: Sequence[Demand]) -> list[list[Demand]]:
    """Return the demands of each stage."""
    stages = defaultdict[str, list[Demand]](list)
    for each in demands:
        stages[each.count.stage].append(each)
    return list(stages.values())


def stage_seconds(stage: Sequence[Demand]) -> float:
    """Return the seconds of a stage: of its work, evenly shared out, or of its longest chain of jobs."""
    shared, chains = 0.0, defaultdict[str, float](float)
    for each in stage:
        if not math.isnan(each.seconds):
            shared += each.count.jobs * each.seconds / each.at_once
            chains[each.count.chain or f"{each.count.rule} {each.count.what}"] += each.seconds
    return max([shared, *chains.values()])


def stage_memory(stage: Sequence[Demand]) -> float:
    """Return the most bytes that jobs of a stage take side by side."""
    jobs = sum(each.count.jobs for each in stage)
    return max((each.memory * min(each.at_once, jobs) for each in stage), default=0.0)


def plan_table(demands: Sequence[Demand]) -> pd.DataFrame:
    """Return the plan: a row for each rule and what it makes, and the whole, with the hours of the wall."""
    table = pd.DataFrame(
        {
            "rule": each.count.rule,
            "what": each.count.what,
            "jobs": each.count.jobs,
            "seconds_each": each.seconds,
            "hours": each.count.jobs * each.seconds / 3600,
            "gpu_hours": each.count.jobs * each.gpus * each.seconds / 3600,
            "memory_mb": each.memory / 1e6,
            "gpu_memory_mb": each.gpu_memory / 1e6,
            "disk_mb": each.count.jobs * each.disk / 1e6,
        }
        for each in demands
    )
    stages = by_stage(demands)
    whole = {
        "rule": "all",
        "what": "wall time",
        "jobs": table["jobs"].sum(),
        "hours": sum(map(stage_seconds, stages)) / 3600,
        "gpu_hours": table["gpu_hours"].sum(),
        "memory_mb": max(map(stage_memory, stages)) / 1e6,
        "gpu_memory_mb": table["gpu_memory_mb"].max(),
        "disk_mb": table["disk_mb"].sum(),
    }
    return pd.concat([table, pd.DataFrame([whole])], ignore_index=True)


def by_rule(table: pd.DataFrame) -> str:
    """Return a Markdown table with a row for each rule."""
    columns = {"jobs": "sum", "hours": "sum", "gpu_hours": "sum", "memory_mb": "max", "disk_mb": "sum"}
    rules = table.groupby("rule", sort=False).agg(columns).reset_index()
    return rules.to_markdown(index=False, floatfmt=",.4g")


def by_gpus(jobs: Sequence[Count], costs: Costs, experiment: Experiment, cores: int) -> str:
    """Return a Markdown table: how long the whole takes with other numbers of GPUs, `cores` beside each.

    Idle is the share of the GPUs' time in which none of their jobs is there to run. Jobs that share a batch
    are taken as they were measured.
    """
    rows = []
    for gpus in GPUS:
        demands = [demand(count, costs, experiment, cores * gpus, gpus) for count in jobs]
        seconds = sum(map(stage_seconds, by_stage(demands)))
        known = (each for each in demands if not math.isnan(each.seconds))
        busy = sum(each.count.jobs * each.gpus * each.seconds for each in known)
        rows.append({"GPUs": gpus, "hours": seconds / 3600, "idle": f"{1 - busy / (gpus * seconds):.0%}"})
    return pd.DataFrame(rows).to_markdown(index=False, floatfmt=",.4g")


def too_large(demands: Sequence[Demand], experiment: Experiment) -> Iterator[str]:
    """Yield a sentence for each kind of job of which one takes more memory than it asks for."""
    for kind in experiment.jobs:
        most = max((each for each in demands if each.count.kind == kind), key=memory_of, default=None)
        asked = max(experiment.jobs[each].mem_mb for each in kinds_of(most.count)) if most else 0
        if most and memory_of(most) > asked * 10**6:
            saved = ", or save memory by training.checkpointing: true (of a GET) or training.accumulate"
            yield (
                f"{most.count.rule} of {most.count.what} takes {most.memory / 1e6:,.0f} MB, and"
                f" jobs.{kind}.mem_mb is {asked:,}: raise it{saved * (kind == 'student')}."
            )


def memory_of(demand: Demand) -> float:
    """Return the bytes that a job takes; 0 where they are not known."""
    return 0.0 if math.isnan(demand.memory) else demand.memory


def in_words(table: pd.DataFrame, cores: int, gpus: int, costs: Costs) -> str:
    """Return the whole in words, and what it does not hold."""
    rows, whole = table.iloc[:-1], table.iloc[-1]
    text = (
        f"{whole['jobs']} jobs: {rows['hours'].sum():,.3g} hours of work, {whole['gpu_hours']:,.3g} GPU-hours"
    )
    text += f"; {whole['hours']:,.3g} hours with {cores} cores and {gpus} GPUs"
    text += f"; {whole['disk_mb'] / 1e3:,.3g} GB of disk"
    unknown = rows.loc[rows["seconds_each"].isna(), "jobs"].sum()
    smaller = sum(cost is not None and cost.share < 1 for cost in costs.values())
    if unknown:
        text += f". Without {unknown} jobs of which nothing is known (downloads, or too little memory)"
    if smaller:
        text += f". {smaller} of {len(costs)} units were timed on smaller batches than theirs"
    return f"{text}."
