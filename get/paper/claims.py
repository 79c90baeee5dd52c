"""Reproduction: a line for each claim of the paper, with what was measured and a verdict.

A number is reproduced where it agrees within 3% or two standard deviations over seeds, whichever is more; one
seed gives 'single run' instead of a verdict. Its reference split is the test split, which the published code
computes by default (the paper does not say).

An ordering in FID is judged on the train split, which has more images; `verdict_test` is the verdict on the
test split. It is reproduced (or not) where every seed and the whole 95% interval are on one side of zero;
else it is 'undecided'. The interval comes from paired bootstrap resamples of the samples and from the scatter
of the seeds (see `statistics.Advantage`). One seed has no scatter, and a verdict from it says so.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from get.paper import documents
from get.paper.cells import MEGA, Cell, amount, missing
from get.paper.documents import Block, Heading, Note, Sign, Table, as_text, write_texts
from get.paper.published import CHECKPOINTED, numbers_of, published
from get.paper.results import Mode, Row, read_rows
from get.paper.statistics import Z95, Advantage, Variants, advantage
from get.storage.reading import read_json
from get.storage.variants import Rule, Variant

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


class Kind(StrEnum):
    """What sort of claim: that one row is better than another, or that a number is so much."""

    ORDERING = "ordering"
    NUMBER = "number"


class Topic(StrEnum):
    """What a claim is about."""

    NUMBER = "number"  # a number in a table
    COLUMN = "column"  # a GET beats a larger ViT in a column of Table 4
    EVERY_COLUMN = "every-column"  # and in every column
    LARGER_VIT = "larger-vit"  # a GET matches a ViT of five times its size
    SIZE = "size"  # FID falls with size
    LONGER = "longer"  # longer training or a larger batch lowers FID
    ITERATIONS = "iterations"  # FID improves with fixed-point iterations
    CONDITIONING = "conditioning"  # injection beats AdaLN-Zero


class Verdict(StrEnum):
    """What becomes of a claim."""

    REPRODUCED = "reproduced"
    UNDECIDED = "undecided"
    NOT_REPRODUCED = "not reproduced"
    NOT_RUN = "not run"
    NO_SCORE = "no score"
    SINGLE_RUN = "single run"  # a number, which one seed cannot judge
    NOT_COMPARABLE = "not comparable"
    OTHER_HARDWARE = "not comparable (other hardware)"
    INCONSISTENT = "not comparable (the paper gives 8.6M for the same model)"


class Judgement(NamedTuple):
    """A verdict, and whether it rests on a single run."""

    verdict: Verdict
    single_run: bool = False

    def __str__(self) -> str:
        return f"{self.verdict} (single run)" if self.single_run else self.verdict.value


def support(judgement: Judgement) -> tuple[int, bool]:
    """Return the place of a judgement, from the one that supports a claim best to the one that refutes it."""
    order = (
        Verdict.REPRODUCED, Verdict.UNDECIDED, Verdict.NOT_RUN, Verdict.NO_SCORE, Verdict.NOT_REPRODUCED
    )  # fmt: skip
    refuted = judgement.verdict is Verdict.NOT_REPRODUCED
    return order.index(judgement.verdict), judgement.single_run is not refuted


FROM_ADVANTAGE = {
    "better": Verdict.REPRODUCED,
    "worse": Verdict.NOT_REPRODUCED,
    "undecided": Verdict.UNDECIDED,
    "no score": Verdict.NO_SCORE,
}
_SIGNS = {  # in Okabe and Ito's colours
    Verdict.REPRODUCED: Sign("✓", "#0072B2"),
    Verdict.NOT_REPRODUCED: Sign("✗", "#B34E00"),
    Verdict.UNDECIDED: Sign("?", "#666"),
}
SIGNS = {str(Judgement(verdict, one)): sign for verdict, sign in _SIGNS.items() for one in (False, True)}


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        topic: what it is about; claim: the claim in words.
        judgement: on the train split, for an ordering in FID; judgement_test: on the test split.
        published: a number of the paper.
        measured: the number, or the advantage of what is said to be better; low, high: its 95% interval.
        seeds, by_seed: how many seeds there are (0: the claim is of none), and the advantage for each.
        split: of the data set, which FID is taken against.
    """

    topic: Topic
    claim: str
    judgement: Judgement
    judgement_test: Judgement | None = None
    published: float = math.nan
    measured: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seeds: int = 0
    by_seed: Sequence[float] = ()
    split: str = ""

    @property
    def kind(self) -> Kind:
        """Whether it is an ordering or a number."""
        return Kind.NUMBER if self.topic is Topic.NUMBER else Kind.ORDERING


def reproduction(tables: Mapping[str, Sequence[Row]], larger: Sequence[Row], cifar10: bool) -> list[Claim]:
    """Return all claims.

    Args:
        tables: the rows of each table by its number; of Table 4 the ViT and then the GET.
        larger: a GET and the larger ViT that it is said to match.
        cifar10: whether numbers compare with the paper's.
    """
    return [
        *table4_orderings(tables.get("4", ())),
        *larger_vit(larger),
        *falls_with_size(tables.get("2", ())),
        *improves_with_iterations([*tables.get("2", ()), *tables.get("3", ())]),
        *conditioning(tables.get("6", ())),
        *numbers(tables, cifar10),
    ]


def read_claims(settings: str | Path, costs: str | Path) -> list[Claim]:
    """Return the claims on the rows of a settings file.

    Raises:
        UserError: a score file, or the file of `costs`, is missing, damaged or another's.
    """
    content = read_json(settings)
    tables = {number: read_rows(rows, costs) for number, rows in content["tables"].items()}
    return reproduction(tables, read_rows(content["larger"], costs), content["cifar10"])


# ---------- numbers


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
                    Topic.NUMBER,
                    str(entry),
                    Judgement(Verdict.NOT_RUN if cifar10 else Verdict.NOT_COMPARABLE),
                    published=value / UNITS.get(column, 1),
                    split="test" if column == "fid" else "",
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
        error = Z95 * sd / math.sqrt(len(row.runs))
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
        return _cost(row, column, mode)[0], 0.0
    values = pd.Series([run.of(None)[SCORES[column]] for run in row.runs], dtype=float)
    return float(values.mean(skipna=False)), float(values.std())


def _cost(row: Row, column: str, mode: Mode = Mode.PLAIN) -> tuple[float, float, float]:
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


# ---------- orderings


def ordering(
    topic: Topic,
    claim: str,
    better: Row,
    worse: Row,
    score: Literal["fid_train", "is"] = "fid_train",
    variants: Variants = (None, None),
) -> Claim:
    """Return the claim that `better` has the better `score` (FID: lower, IS: higher)."""
    found = advantage(better, worse, score, variants)
    low, high = found.interval
    in_fid = score == "fid_train"
    return Claim(
        topic,
        claim,
        _judge(found),
        _judge(advantage(better, worse, "fid_test", variants)) if in_fid else None,
        measured=found.value,
        low=low,
        high=high,
        seeds=len(found.by_seed),
        by_seed=found.by_seed,
        split="train" if in_fid else "",
    )


def _judge(found: Advantage) -> Judgement:
    verdict = FROM_ADVANTAGE[found.verdict]
    return Judgement(verdict, len(found.by_seed) == 1 and verdict is not Verdict.NO_SCORE)


def _not_run(topic: Topic, claim: str) -> list[Claim]:
    return [Claim(topic, claim, Judgement(Verdict.NOT_RUN))]


def table4_orderings(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim per column of Table 4, and one for all: the small GET beats the larger ViT."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run(Topic.EVERY_COLUMN, "Table 4: a GET beats a larger ViT in every column")
    vit, get = rows
    beats = f"Table 4: {get.label} beats {vit.label} in"
    claims = [
        ordering(Topic.COLUMN, f"{beats} FID", get, vit),
        ordering(Topic.COLUMN, f"{beats} IS", get, vit, "is"),
    ]
    for column, sign in (("parameters", -1), ("macs", -1), ("training_memory", -1), ("training_speed", 1)):
        # costs have no seeds; of quartiles, the interval is that of all differences
        (ours, *mine), (theirs, *others) = _cost(get, column), _cost(vit, column)
        ends = sorted(sign * (one - other) for one in mine for other in others)
        found = Advantage(sign * (ours - theirs), 0.0, [ends[0], ends[-1]])
        judgement = Judgement(FROM_ADVANTAGE[found.verdict])
        claim = Claim(Topic.COLUMN, f"{beats} {NAMES[column]}", judgement, measured=found.value)
        claims.append(replace(claim, low=ends[0], high=ends[-1]))
    worst = max((claim.judgement for claim in claims), key=support)
    return [*claims, Claim(Topic.EVERY_COLUMN, f"{beats} every column", worst)]


def larger_vit(rows: Sequence[Row]) -> list[Claim]:
    """Return the claim that a GET matches a larger ViT: its FID is no higher."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run(Topic.LARGER_VIT, "a GET matches a ViT of five times its size")
    get, vit = rows
    ratio = _parameters(vit) / _parameters(get)
    claim = f"{get.label} matches {vit.label} in FID, {ratio:.1f} times its size"
    return [ordering(Topic.LARGER_VIT, claim, get, vit)]


def falls_with_size(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim for each step up the ladder of Table 2, and for its longer training and larger batch."""
    run = [row for row in rows if row.runs]
    # the ladder: rows trained as long as the first, with its batch
    alike = [row for row in run if (_steps(row), row.batch) == (_steps(run[0]), run[0].batch)]
    ladder = sorted(alike, key=_parameters)
    claims = [
        ordering(Topic.SIZE, f"Table 2: FID falls with size: {large.label} below {small.label}", large, small)
        for small, large in pairwise(ladder)
    ]
    # the others, each against the row of its size
    for row in run:
        bases = [base for base in ladder if _parameters(base) == _parameters(row)]
        for base in bases if row not in ladder else []:
            longer, larger = _steps(row) / _steps(base), row.batch / base.batch
            change = (
                f"training {longer:g} times as long" if longer != 1 else f"a batch {larger:g} times as large"
            )
            claim = f"Table 2: {change} lowers the FID of {base.label}"
            claims.append(ordering(Topic.LONGER, claim, row, base))
    return claims or _not_run(Topic.SIZE, "Table 2: FID falls with size")


def _steps(row: Row) -> int:
    return row.runs[0].step or 0


def _parameters(row: Row) -> int:
    return row.runs[0].parameters or 0


def improves_with_iterations(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim per GET: FID at the trained number of iterations is below that at two."""
    claims = []
    different = {(row.student, _steps(row)): row for row in rows if row.runs}
    for row in different.values():
        first = row.runs[0]
        few, many = (Variant(Rule.LOWEST_RESIDUAL, count) for count in (2, first.iterations))
        if {str(few), str(many)} <= first.scores.keys() and few != many:
            claim = f"Figure 3a: FID of {row.label} improves from 2 to {first.iterations} iterations"
            claims.append(ordering(Topic.ITERATIONS, claim, row, row, variants=(many, few)))
    return claims or _not_run(Topic.ITERATIONS, "Figure 3a: FID improves from 2 to 6 iterations")


def conditioning(rows: Sequence[Row]) -> list[Claim]:
    """Return the claim of Table 6 that compares students of the same pairs: injection beats AdaLN-Zero."""
    claim = "Table 6: injection beats AdaLN-Zero"
    by_kind = {row.runs[0].model.conditioning: row for row in rows if row.runs and row.runs[0].model}
    ours, theirs = by_kind.get("injection"), by_kind.get("adaln-zero")
    if ours is None or theirs is None:
        return _not_run(Topic.CONDITIONING, claim)
    return [ordering(Topic.CONDITIONING, claim, ours, theirs)]


# ---------- as files

CSV = [
    "claim", "kind", "published", "measured", "low", "high", "seeds", "by_seed", "split",
    "difference_percent", "verdict", "verdict_test",
]  # fmt: skip


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """Return the claims with the columns of reproduction.csv."""
    lines = [
        vars(claim)
        | {
            "kind": claim.kind.value,
            "seeds": claim.seeds or math.nan,
            "by_seed": ", ".join(f"{value:.2f}" for value in claim.by_seed),
            "difference_percent": 100 * (claim.measured / claim.published - 1),
            "verdict": str(claim.judgement),
            "verdict_test": str(claim.judgement_test or ""),
        }
        for claim in claims
    ]
    return pd.DataFrame(lines, columns=CSV)


def _cell(name: str, write: Callable[[Any], str] = amount) -> Cell:
    return lambda line: "" if missing(line[name]) else write(line[name])


COLUMNS = {
    Kind.ORDERING: {
        "claim": _cell("claim", str),
        "verdict": _cell("verdict", str),
        "measured difference": _cell("measured"),
        "low": _cell("low"),
        "high": _cell("high"),
        "seeds": _cell("seeds", "{:.0f}".format),
        "by seed": _cell("by_seed", str),
        "verdict on test": _cell("verdict_test", str),
    },
    Kind.NUMBER: {
        "claim": _cell("claim", str),
        "published": _cell("published"),
        "measured": _cell("measured"),
        "difference (%)": _cell("difference_percent", "{:+.1f}".format),
        "verdict": _cell("verdict", str),
    },
}
WORDS = ("claim", "verdict", "verdict on test")


def claims_table(claims: Sequence[Claim], kind: Kind) -> Table:
    """Return what a reader wants of one kind of claims."""
    lines = claims_frame([claim for claim in claims if claim.kind is kind])
    return Table(as_text(lines, COLUMNS[kind]), WORDS, SIGNS)


def write_reproduction(claims: Sequence[Claim], caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write the claims as paths['csv'], and for reading as paths['md'] and paths['html']."""
    blocks: list[Block] = [
        Heading("Orderings"),
        claims_table(claims, Kind.ORDERING),
        Heading("Published numbers"),
        claims_table(claims, Kind.NUMBER),
        Note(caption),
    ]
    texts = {
        "csv": documents.csv(claims_frame(claims)),
        "md": documents.markdown(blocks),
        "html": documents.html("Claims of the paper", blocks),
    }
    write_texts(texts, paths)
