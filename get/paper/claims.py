"""Reproduction: a line for each claim of the paper, with what was measured and a verdict.

A number is reproduced where it agrees within 3% or two standard deviations over seeds, whichever is more; one
seed gives 'single run' instead of a verdict. Its reference split is the test split, which the published code
computes by default (the paper does not say).

An ordering in FID is judged on the train split, which has more images; `verdict_test` is the verdict on the
test split. It is reproduced (or not) where every seed and the whole 95% interval are on one side of zero;
else it is 'undecided'. The interval comes from paired bootstrap resamples of the samples and from the scatter
of the seeds (see `results.Advantage`). One seed has no scatter, and a verdict from it says so.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from get.paper import pages
from get.paper.published import CHECKPOINTED, numbers_of, published
from get.paper.results import Z95, Advantage, Row, advantage
from get.paper.tables import MEGA, fixed, markdown
from get.storage.atomic import write_text

TOLERANCE = 0.03
TABLES = ("1", "2", "3", "4", "6")
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
VERDICTS = {  # on a claim, by whether what it says is better is better
    "better": "reproduced", "worse": "not reproduced", "undecided": "undecided", "no score": "no score",
}  # fmt: skip
SUPPORT = (  # verdicts, from the one that supports a claim best to the one that refutes it
    "reproduced", "reproduced (single run)", "undecided", "undecided (single run)", "not run", "no score",
    "not reproduced (single run)", "not reproduced",
)  # fmt: skip
DISAGREES = {  # numbers that the paper itself gives in two ways
    "Table 2: GET-Tiny-4xIters, parameters": "not comparable (the paper gives 8.6M for the same model)",
}
COLUMNS = [
    "claim", "kind", "published", "measured", "low", "high", "seeds", "by_seed", "split",
    "difference_percent", "verdict", "verdict_test",
]  # fmt: skip
READABLE = {  # what a reader sees of each kind of claim, and what it is called
    "ordering": {
        "claim": "claim", "verdict": "verdict", "measured": "measured difference", "low": "low",
        "high": "high", "seeds": "seeds", "by_seed": "by seed", "verdict_test": "verdict on test",
    },
    "number": {
        "claim": "claim", "published": "published", "measured": "measured",
        "difference_percent": "difference (%)", "verdict": "verdict",
    },
}  # fmt: skip
HEADINGS = {"ordering": "Orderings", "number": "Published numbers"}
WORDS = ("claim", "verdict", "verdict_test")  # columns that are no numbers


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


def write_reproduction(claims: pd.DataFrame, caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write the claims as paths['csv'], and for reading as paths['md'] and paths['html']."""
    readable = {HEADINGS[kind]: shown(claims, kind) for kind in READABLE}
    text = [f"## {title}\n\n{markdown(found, left)}" for title, (found, left) in readable.items()]
    html = [
        part
        for title, (found, left) in readable.items()
        for part in (pages.heading(title), pages.table(found, left))
    ]
    texts = {
        "csv": claims.to_csv(index=False, float_format="%.6g"),
        "md": "\n\n".join([*text, caption]) + "\n",
        "html": pages.page("Claims of the paper", *html, pages.paragraph(caption, "note")),
    }
    for kind, path in paths.items():
        write_text(path, texts[kind])


def shown(claims: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, list[bool]]:
    """Return what a reader wants of one kind of claims, as text, and which columns are words."""
    names, found = READABLE[kind], claims[claims["kind"] == kind]
    table = pd.DataFrame({title: found[name].map(_cells(name)) for name, title in names.items()})
    return table, [name in WORDS for name in names]


def _cells(name: str) -> Callable[[Any], str]:
    write = {"seeds": "{:.0f}".format, "difference_percent": "{:+.1f}".format}.get(name, amount)
    return lambda value: value if isinstance(value, str) else "" if pd.isna(value) else write(value)


def amount(value: float) -> str:
    """Return a number as a reader wants it: 8.64M, 28,416, 3.62."""
    for unit, letter in ((1e9, "G"), (MEGA, "M")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{letter}"
    return fixed(value, 0 if abs(value) >= 1000 else 2)


# ---------- numbers


def numbers(tables: Mapping[str, Sequence[Row]], cifar10: bool) -> Iterable[dict[str, Any]]:
    """Yield a line for every number that the paper's tables give of a GET or ViT."""
    for table in TABLES:
        rows = {row.published: row for row in tables.get(table, ()) if row.runs}
        paper = published(f"paper table {table}")
        for _, line in paper[paper["method"].str.startswith(("GET", "ViT"))].iterrows():
            for column, value in numbers_of(line).items():
                claim = f"Table {table}: {line['method']}, {NAMES[column]}"
                row = rows.get(line["method"].removesuffix(CHECKPOINTED))
                value /= UNITS.get(column, 1)
                yield _number(claim, column, value, row, cifar10, line["method"].endswith(CHECKPOINTED))


def _number(
    claim: str, column: str, value: float, row: Row | None, cifar10: bool, checkpointed: bool
) -> dict[str, Any]:
    found = {"claim": claim, "kind": "number", "published": value, "split": "test" if column == "fid" else ""}
    if not cifar10:
        return found | {"verdict": "not comparable"}
    if row is None:
        return found | {"verdict": "not run"}
    measured, sd = _measured(row, column, checkpointed)
    if not math.isfinite(measured):
        return found | {"verdict": "no score"}
    found |= {"measured": measured, "difference_percent": 100 * (measured / value - 1)}
    if column in HARDWARE:
        return found | {"verdict": "not comparable (other hardware)"}
    if column in SCORES:
        error = Z95 * sd / math.sqrt(len(row.runs))
        found |= {"seeds": len(row.runs), "low": measured - error, "high": measured + error}
        if len(row.runs) == 1:
            return found | {"verdict": "single run"}
    close = abs(measured - value) <= max(TOLERANCE * value, 2 * sd)
    return found | {"verdict": DISAGREES.get(claim, "reproduced" if close else "not reproduced")}


def _measured(row: Row, column: str, checkpointed: bool) -> tuple[float, float]:
    """Return a measured number, and its standard deviation over seeds (NaN for one seed, 0 for costs)."""
    if column not in SCORES:
        return _cost(row, column, checkpointed)[0], 0.0
    values = pd.Series([run["scores"][run["headline"]][SCORES[column]] for run in row.runs], dtype=float)
    return float(values.mean(skipna=False)), float(values.std())


def _cost(row: Row, column: str, checkpointed: bool = False) -> tuple[float, float, float]:
    """Return a cost in `UNITS` and the ends of its interval: quartiles of the speed, else the cost itself."""
    costs = row.costs or {}
    spent = costs.get("training", {}).get("checkpointed" if checkpointed else "plain", {})
    if column == "training_speed":
        speed = spent.get("iterations_per_second", {})
        middle, low, high = (float(speed.get(name, math.nan)) for name in ("median", "low", "high"))
        return middle, low, high
    found = spent.get("peak_memory_bytes") if column == "training_memory" else costs.get(column)
    value = math.nan if found is None else found / UNITS.get(column, 1)
    return value, value, value


# ---------- orderings


def ordering(
    claim: str,
    better: Row,
    worse: Row,
    score: Literal["fid_train", "is"] = "fid_train",
    variants: tuple[str | None, str | None] = (None, None),
) -> dict[str, Any]:
    """Return the line of the claim that `better` has the better `score` (FID: lower, IS: higher).

    `measured` is the advantage of `better`: positive is as claimed.
    """
    found = advantage(better, worse, score, variants)
    low, high = found.interval
    line: dict[str, Any] = {"claim": claim, "kind": "ordering", "verdict": _verdict(found)}
    line |= {"measured": found.value, "low": low, "high": high, "seeds": len(found.by_seed)}
    line["by_seed"] = ", ".join(f"{value:.2f}" for value in found.by_seed)
    if score == "fid_train":
        line |= {"split": "train", "verdict_test": _verdict(advantage(better, worse, "fid_test", variants))}
    return line


def _verdict(found: Advantage) -> str:
    verdict = VERDICTS[found.verdict]
    single = len(found.by_seed) == 1 and verdict != "no score"
    return verdict + (" (single run)" if single else "")


def _not_run(claim: str) -> list[dict[str, Any]]:
    return [{"claim": claim, "kind": "ordering", "verdict": "not run"}]


def table4_orderings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line per column of Table 4, and one for all: the small GET beats the larger ViT."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run("Table 4: a GET beats a larger ViT in every column")
    vit, get = rows
    what = f"Table 4: {get.label} beats {vit.label}"
    lines = [ordering(f"{what} in FID", get, vit), ordering(f"{what} in IS", get, vit, "is")]
    for column, sign in (("parameters", -1), ("macs", -1), ("training_memory", -1), ("training_speed", 1)):
        (ours, *mine), (theirs, *others) = _cost(get, column), _cost(vit, column)
        ends = sorted(sign * (one - other) for one in mine for other in others)
        found = Advantage(sign * (ours - theirs), 0.0, [ends[0], ends[-1]])
        line = {"claim": f"{what} in {NAMES[column]}", "kind": "ordering", "measured": found.value}
        lines.append(line | {"low": ends[0], "high": ends[-1], "verdict": VERDICTS[found.verdict]})
    together = max((line["verdict"] for line in lines), key=SUPPORT.index)
    return [*lines, {"claim": f"{what} in every column", "kind": "ordering", "verdict": together}]


def larger_vit(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the line of the claim that a GET matches a larger ViT: its FID is no higher."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run("a GET matches a ViT of five times its size")
    get, vit = rows
    ratio = vit.runs[0]["parameters"] / get.runs[0]["parameters"]
    return [ordering(f"{get.label} matches {vit.label} in FID, {ratio:.1f} times its size", get, vit)]


def falls_with_size(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line for each step up the ladder of Table 2, and for its longer training and larger batch."""
    run = [row for row in rows if row.runs]
    if not run:
        return _not_run("Table 2: FID falls with size")
    first = run[0]
    alike = [row for row in run if (_step(row), row.batch) == (_step(first), first.batch)]
    ladder = sorted(alike, key=lambda row: row.runs[0]["parameters"])
    lines = [
        ordering(f"Table 2: FID falls with size: {large.label} below {small.label}", large, small)
        for small, large in pairwise(ladder)
    ]
    for row in run:
        bases = [base for base in ladder if base.runs[0]["parameters"] == row.runs[0]["parameters"]]
        for base in bases if row not in ladder else []:
            longer, larger = _step(row) / _step(base), row.batch / base.batch
            change = (
                f"training {longer:g} times as long" if longer != 1 else f"a batch {larger:g} times as large"
            )
            lines.append(ordering(f"Table 2: {change} lowers the FID of {base.label}", row, base))
    return lines or _not_run("Table 2: FID falls with size")


def _step(row: Row) -> int:
    return int(row.runs[0]["step"])


def improves_with_iterations(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line per GET: FID at the trained number of iterations is below that at two."""
    lines = []
    different = {(row.student, _step(row)): row for row in rows if row.runs}
    for row in different.values():
        model = row.runs[0]["model"]
        few, many = "lowest-residual-2", f"lowest-residual-{model.get('iterations')}"
        if {few, many} <= row.runs[0]["scores"].keys() and few != many:
            claim = f"Figure 3a: FID of {row.label} improves from 2 to {model['iterations']} iterations"
            lines.append(ordering(claim, row, row, variants=(many, few)))
    return lines or _not_run("Figure 3a: FID improves from 2 to 6 iterations")


def conditioning(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the line of Table 6 that compares students of the same pairs: injection beats AdaLN-Zero."""
    claim = "Table 6: injection beats AdaLN-Zero"
    by_kind = {row.runs[0]["model"]["conditioning"]: row for row in rows if row.runs}
    ours, theirs = by_kind.get("injection"), by_kind.get("adaln-zero")
    return [ordering(claim, ours, theirs)] if ours and theirs else _not_run(claim)
