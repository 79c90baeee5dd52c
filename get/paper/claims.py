"""Reproduction: a line for each claim of the paper, with what was measured and a verdict.

A number is reproduced where it agrees within 3% or two standard deviations over seeds, whichever is more; one
seed gives 'single run' instead of a verdict. The reference split is the test split, which the published code
computes by default (the paper does not say). An ordering is judged by the sign of a difference whose 95%
interval, from the bootstrap and the spread over seeds, leaves out zero; otherwise it is 'undecided'.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from get.files import atomic
from get.paper.published import details, published, quantity
from get.paper.results import Row, estimate

TOLERANCE = 0.03
Z95 = 1.96
TABLES = ("1", "2", "3", "4", "6")
CHECKPOINTED = "-O(1)"  # ends the paper's name of a row that trades time for memory
UNITS = {"training_memory": 1e9}  # in which the paper prints a column
NAMES = {
    "fid": "FID",
    "is": "IS",
    "parameters": "parameters",
    "macs": "MACs",
    "training_memory": "training memory (bytes)",
    "training_speed": "training speed (iterations per second)",
}
HARDWARE = ("training_memory", "training_speed")  # columns that depend on the machine
COLUMNS = [
    "claim", "kind", "published", "measured", "low", "high", "seeds", "split", "difference_percent",
    "verdict",
]  # fmt: skip


def reproduction(tables: Mapping[str, Sequence[Row]], larger: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return all claims, `COLUMNS` as columns.

    Args:
        tables: the rows of each table by its number; of Table 4 the ViT and then the GET.
        larger: a GET and the larger ViT that it is said to match.
        cifar10: whether numbers compare with the paper's.
    """
    lines = table4_orderings(tables.get("4", ()))
    lines += larger_vit(larger)
    lines += falls_with_size(tables.get("2", ()))
    lines += improves_with_iterations([*tables.get("2", ()), *tables.get("3", ())])
    lines += conditioning(tables.get("6", ()))
    lines += numbers(tables, cifar10)
    return pd.DataFrame(lines, columns=COLUMNS)


def write_reproduction(claims: pd.DataFrame, caption: str, csv: str | Path, md: str | Path) -> None:
    """Write the claims as CSV, and for reading as Markdown."""
    with atomic(csv) as temporary:
        claims.to_csv(temporary, index=False, float_format="%.6g")
    shown = claims.drop(columns="kind").map(_cell)
    with atomic(md) as temporary:
        temporary.write_text(f"{shown.to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3g}"


# ---------- numbers


def numbers(tables: Mapping[str, Sequence[Row]], cifar10: bool) -> Iterable[dict[str, Any]]:
    """Yield a line for every number that the paper's tables give of a GET or ViT."""
    for table in TABLES:
        rows = {row.published: row for row in tables.get(table, ()) if row.runs}
        paper = published(f"paper table {table}")
        for _, line in paper[paper["method"].str.startswith(("GET", "ViT"))].iterrows():
            for column, value in _published_numbers(line):
                claim = f"Table {table}: {line['method']}, {NAMES[column]}"
                row = rows.get(line["method"].removesuffix(CHECKPOINTED))
                yield _number(claim, column, value, row, cifar10, line["method"].endswith(CHECKPOINTED))


def _published_numbers(line: pd.Series) -> Iterable[tuple[str, float]]:
    extra = details(line["detail"]) if isinstance(line["detail"], str) else {}
    columns = {"fid": line["fid"], "is": line["is"]}
    columns |= {"parameters": quantity(line["params"]), "macs": quantity(line["flops"])}
    columns |= {name: extra[name] * UNITS.get(name, 1) for name in HARDWARE if name in extra}
    return [(name, float(value)) for name, value in columns.items() if not pd.isna(value)]


def _number(
    claim: str, column: str, value: float, row: Row | None, cifar10: bool, checkpointed: bool
) -> dict[str, Any]:
    found = {"claim": claim, "kind": "number", "published": value, "split": "test" if column == "fid" else ""}
    if not cifar10:
        return found | {"verdict": "not comparable"}
    if row is None:
        return found | {"verdict": "not run"}
    measured, error, seeds = _measured(row, column, checkpointed)
    if not math.isfinite(measured):
        return found | {"verdict": "no score"}
    difference = measured / value - 1
    found |= {"measured": measured, "seeds": seeds, "difference_percent": 100 * difference}
    found |= {"low": measured - Z95 * error, "high": measured + Z95 * error}
    sd = error * math.sqrt(seeds)
    if column in HARDWARE:
        verdict = "not comparable (other hardware)"
    elif seeds == 1 and column in ("fid", "is"):
        verdict = "single run"
    else:
        close = abs(measured - value) <= max(TOLERANCE * value, 2 * sd)
        verdict = "reproduced" if close else "not reproduced"
    return found | {"verdict": verdict}


def _measured(row: Row, column: str, checkpointed: bool) -> tuple[float, float, int]:
    """Return a measured number, its standard error over seeds, and how many seeds."""
    if column in ("fid", "is"):
        score = "fid_test" if column == "fid" else "is"
        values = np.array([run["scores"][run["headline"]][score] for run in row.runs], float)
        several = len(values) > 1
        return (
            float(values.mean()),
            float(values.std(ddof=1) / math.sqrt(len(values))) if several else math.nan,
            len(values),
        )
    return _cost(row, column, checkpointed), 0.0, len(row.runs)


def _cost(row: Row, column: str, checkpointed: bool = False) -> float:
    costs = row.costs or {}
    if column in ("parameters", "macs"):
        return float(costs.get(column, math.nan))
    spent = costs.get("training", {}).get("checkpointed" if checkpointed else "plain", {})
    if column == "training_memory":
        return float(spent.get("peak_memory_bytes", math.nan))
    return float(spent.get("iterations_per_second", {}).get("median", math.nan))


# ---------- orderings


def ordering(
    claim: str,
    better: Row,
    worse: Row,
    score: str = "fid_train",
    variants: Sequence[str | None] = (None, None),
) -> dict[str, Any]:
    """Return the line of the claim that `better` has the better `score` (FID: lower, IS: higher).

    `measured` is the advantage of `better`: positive is as claimed.
    """
    found: dict[str, Any] = {"claim": claim, "kind": "ordering", "split": "train" if "fid" in score else ""}
    if not (better.runs and worse.runs):
        return found | {"verdict": "not run"}
    ours, theirs = (
        estimate(row, score, variant) for row, variant in zip((better, worse), variants, strict=True)
    )
    advantage = (theirs.value - ours.value) * (1 if "fid" in score else -1)
    error = Z95 * math.hypot(ours.error, theirs.error)
    found |= {"measured": advantage, "low": advantage - error, "high": advantage + error}
    seeds = min(ours.seeds, theirs.seeds)
    return found | {"seeds": seeds, "verdict": _sign(found["low"], found["high"], seeds)}


def _sign(low: float, high: float, seeds: int) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no score"
    verdict = "reproduced" if low > 0 else "not reproduced" if high < 0 else "undecided"
    return verdict + (" (single run)" if seeds == 1 else "")


def table4_orderings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line per column of Table 4, and one for all: the small GET beats the larger ViT."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return []
    vit, get = rows
    what = f"Table 4: {get.label} beats {vit.label}"
    lines = [
        ordering(f"{what} in {name}", get, vit, score) for name, score in (("FID", "fid_train"), ("IS", "is"))
    ]
    for column, sign in (("parameters", -1), ("macs", -1), ("training_memory", -1), ("training_speed", 1)):
        ours, theirs = _cost(get, column), _cost(vit, column)
        found: dict[str, Any] = {"claim": f"{what} in {NAMES[column]}", "kind": "ordering"}
        found |= {
            "measured": sign * (ours - theirs),
            "low": sign * (ours - theirs),
            "high": sign * (ours - theirs),
        }
        lines.append(found | {"verdict": _sign(found["low"], found["high"], 2)})
    together = max((line["verdict"] for line in lines), key=_severity)
    return [*lines, {"claim": f"{what} in every column", "kind": "ordering", "verdict": together}]


def _severity(verdict: str) -> int:
    """Order verdicts from the one that supports a claim best to the one that supports it least."""
    order = ("reproduced", "reproduced (single run)", "undecided", "not reproduced", "no score", "not run")
    return next(rank for rank, start in reversed(list(enumerate(order))) if verdict.startswith(start))


def larger_vit(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the line of the claim that a GET matches a larger ViT: its FID is no higher."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return []
    get, vit = rows
    ratio = vit.runs[0]["parameters"] / get.runs[0]["parameters"]
    return [ordering(f"{get.label} has a lower FID than {vit.label}, {ratio:.1f} times its size", get, vit)]


def falls_with_size(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line for each step up the ladder of Table 2, and for its longer training and larger batch."""
    run = [row for row in rows if row.runs]
    if not run:
        return []
    # the ladder is what was trained alike: the steps and batch of the first row
    key = [(row.runs[0]["step"], row.batch) for row in run]
    ladder = sorted(
        (row for row, same in zip(run, key, strict=True) if same == key[0]),
        key=lambda row: row.runs[0]["parameters"],
    )
    lines = [
        ordering(f"Table 2: FID falls with size: {large.label} below {small.label}", large, small)
        for small, large in pairwise(ladder)
    ]
    for row, (step, batch) in zip(run, key, strict=True):
        base = [other for other in ladder if other.runs[0]["parameters"] == row.runs[0]["parameters"]]
        if row not in ladder and base:
            change = (
                f"training {step / key[0][0]:g} times as long"
                if step != key[0][0]
                else f"a batch {batch / key[0][1]:g} times as large"
            )
            lines.append(ordering(f"Table 2: {change} lowers the FID of {base[0].label}", row, base[0]))
    return lines


def improves_with_iterations(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line per GET: FID at the trained number of iterations is below that at two."""
    lines = []
    different = {(row.student, row.runs[0]["step"]): row for row in rows if row.runs}
    for row in different.values():
        model = row.runs[0]["model"]
        few, many = "lowest-residual-2", f"lowest-residual-{model.get('iterations')}"
        if {few, many} <= row.runs[0]["scores"].keys() and few != many:
            claim = f"Figure 3a: FID of {row.label} improves from 2 to {model['iterations']} iterations"
            lines.append(ordering(claim, row, row, variants=(many, few)))
    return lines


def conditioning(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the lines of Table 6: injection beats AdaLN-Zero, and no class."""
    by_kind = {row.runs[0]["model"]["conditioning"]: row for row in rows if row.runs}
    ours = by_kind.get("injection")
    names = {"adaln-zero": "AdaLN-Zero", "none": "no class at all"}
    return [
        ordering(f"Table 6: injection beats {name}", ours, by_kind[kind])
        for kind, name in names.items()
        if ours and kind in by_kind
    ]
