"""Claims on the numbers that the paper prints of GET and ViT.

A number is reproduced where it agrees within 3% or two standard deviations over seeds, whichever is more; one
seed gives 'single run' instead of a verdict. Its reference split is the test split, which the published code
computes by default (the paper does not say).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from scipy.special import stdtrit

from get.paper.cells import MEGA
from get.paper.claims import Claim, Judgement, Kind, Topic, Verdict
from get.paper.published import CHECKPOINTED, numbers_of, published
from get.paper.results import Mode, Row

TOLERANCE = 0.03
TABLES = ("1", "2", "3", "4", "6")  # whose numbers are claims
NAMES = {
    "fid": "FID",
    "is": "IS",
    "parameters": "parameters",
    "macs": "MACs",
    "training_memory": "training memory (MB)",
    "training_speed": "training speed (iterations per second)",
}
SCORES = {"fid": "fid_test", "is": "is"}
UNITS = {"training_memory": MEGA}  # in which a claim gives a column
HARDWARE = ("training_memory", "training_speed")  # columns that depend on the machine


class Entry(NamedTuple):
    """A number in a table of the paper."""

    table: str
    method: str
    column: str

    @property
    def mode(self) -> Mode:
        """How the student was trained, which the end of its name says."""
        return Mode.CHECKPOINTED if self.method.endswith(CHECKPOINTED) else Mode.PLAIN

    def __str__(self) -> str:
        return f"Table {self.table}: {self.method}, {NAMES[self.column]}"


INCONSISTENT = {Entry("2", "GET-Tiny-4xIters", "parameters")}  # that the paper itself gives in two ways


def numbers(tables: Mapping[str, Sequence[Row]], cifar10: bool) -> Iterator[Claim]:
    """Yield a claim for every number that the paper's tables give of a GET or ViT."""
    for table in TABLES:
        rows = {row.published: row for row in tables.get(table, ()) if row.runs}
        paper = published(f"paper table {table}")
        for _, line in paper[paper["method"].str.startswith(("GET", "ViT"))].iterrows():
            row = rows.get(line["method"].removesuffix(CHECKPOINTED))
            for column, value in numbers_of(line).items():
                entry = Entry(table, line["method"], column)
                claim = Claim(
                    f"{Topic.NUMBER}/{entry.table}/{entry.method}/{entry.column}",
                    Topic.NUMBER,
                    str(entry),
                    Judgement(Verdict.NOT_RUN if cifar10 else Verdict.NOT_COMPARABLE),
                    published=value / UNITS.get(column, 1),
                    split="test" if column == "fid" else "",
                    kind=Kind.NUMBER,
                )
                yield _judge_number(claim, entry, row) if row and cifar10 else claim


def _judge_number(claim: Claim, entry: Entry, row: Row) -> Claim:
    """Return the claim on a number with what was measured and a verdict."""
    measured, sd = _measure(row, entry.column, entry.mode)
    if not math.isfinite(measured):
        return replace(claim, judgement=Judgement(Verdict.NO_SCORE))
    claim = replace(claim, measured=measured)
    scored = entry.column in SCORES
    if scored:
        error = stdtrit(len(row.runs) - 1, 0.975) * sd / math.sqrt(len(row.runs))
        claim = replace(claim, seeds=len(row.runs), low=measured - error, high=measured + error)
    if entry.column in HARDWARE:
        verdict = Verdict.OTHER_HARDWARE
    elif scored and len(row.runs) == 1:
        verdict = Verdict.SINGLE_RUN
    elif entry in INCONSISTENT:
        verdict = Verdict.INCONSISTENT
    else:
        close = abs(measured - claim.published) <= max(TOLERANCE * claim.published, 2 * sd)
        verdict = Verdict.REPRODUCED if close else Verdict.NOT_REPRODUCED
    return replace(claim, judgement=Judgement(verdict))


def _measure(row: Row, column: str, mode: Mode) -> tuple[float, float]:
    """Return a measured number, and its standard deviation over seeds (NaN for one seed, 0 for costs)."""
    if column not in SCORES:
        return cost(row, column, mode)[0], 0.0
    values = pd.Series([run.of(None)[SCORES[column]] for run in row.runs], dtype=float)
    return float(values.mean(skipna=False)), float(values.std())


def cost(row: Row, column: str, mode: Mode = Mode.PLAIN) -> tuple[float, float, float]:
    """Return a cost in `UNITS` and the ends of its interval: quartiles of the speed, else the cost itself."""
    training = row.costs.training.get(mode) if row.costs else None
    if column == "training_speed":
        speed = training and training.iterations_per_second
        return (speed.median, speed.low, speed.high) if speed else (math.nan, math.nan, math.nan)
    if row.costs and column in ("parameters", "macs"):
        value = row.costs.parameters if column == "parameters" else row.costs.macs
    else:
        value = training.peak_memory_bytes / UNITS[column] if training else math.nan
    return value, value, value
