"""Studies: what the paper lacks, each as a table, a text computed from it, and a figure.

A study compares ways of doing one thing. Its table has a line for each way, with the change of FID to the way
that it is compared with; where the interval of that change (see `results.Advantage`) holds zero or the seeds
disagree, it is undecided. The text says what the table shows of these students, and no more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from get.paper import figures, pages
from get.paper.figures import Paths
from get.paper.results import Row, advantage, measured
from get.paper.tables import Cell, as_text, fixed, markdown, number, plus_minus, text
from get.storage.atomic import write_text

RULES = {"lowest-residual": "lowest residual", "last": "last state"}
INITIAL = {"independent": "one for each sample", "shared": "one for all samples", "zeros": "zero"}
SOLVERS = {"plain": "plain", "anderson": "Anderson, ridge 1e-4", "anderson-ridge": "Anderson, ridge 1e-2"}
TURNS = {"better": "lower", "worse": "higher", "undecided": "undecided", "no score": "not known"}
Settings = Mapping[str, Any]  # of a study, from its settings file


@dataclass(frozen=True)
class Way:
    """One way of doing it: what it is called, its scores, the variant of the samples, further columns."""

    name: str
    row: Row
    variant: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def compared(student: str, way: Way, other: Way | None = None) -> dict[str, Any]:
    """Return the line of one way: `results.measured`, and the change of FID to the `other` way, if any."""
    found = measured(way.row, way.variant) | {"student": student, "way": way.name, **way.columns}
    if other is None:
        return found
    gain = advantage(way.row, other.row, "fid_train", (way.variant, other.variant))
    low, high = gain.interval
    change = {"to": other.name, "change": -gain.value, "change_low": -high, "change_high": -low}
    return found | change | {"turn": TURNS[gain.verdict]}


# ---------- from rows to lines: the settings of a study say what rows are not told by their scores


def states(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare the last state with the one after the smallest residual; a GET per row."""
    lines = []
    for row in rows:
        count = row.runs[0]["model"]["iterations"]
        lowest, last = (Way(name, row, f"{rule}-{count}") for rule, name in RULES.items())
        lines += [compared(row.label, lowest), compared(row.label, last, lowest)]
    return pd.DataFrame(lines)


def initial(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare initial states; a GET per row. `apart`: how far its images are from those of the first way."""
    lines = []
    for row in rows:
        apart = {kind: _mean(run["apart"][kind] for run in row.runs) for kind in INITIAL}
        first, *others = (Way(name, row, kind, {"apart": apart[kind]}) for kind, name in INITIAL.items())
        lines += [compared(row.label, first), *(compared(row.label, way, first) for way in others)]
    return pd.DataFrame(lines)


def solvers(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare solvers at equal `evaluations`; a GET per row. `residual`: that of the last evaluation."""
    lines = []
    for row in rows:
        for count in settings["evaluations"]:
            plain, *others = (_solved(row, kind, count) for kind in SOLVERS)
            first = compared(row.label, plain)
            beside = {"plain": first["fid_train"], "plain_sd": first["fid_train_sd"]}
            beside["plain_residual"] = first["residual"]
            lines += [first, *(compared(row.label, way, plain) | beside for way in others)]
    return pd.DataFrame(lines)


def _solved(row: Row, kind: str, count: int) -> Way:
    residual = _mean(run["residuals"][kind][count - 1] for run in row.runs)
    return Way(SOLVERS[kind], row, f"{kind}-{count}", {"evaluations": count, "residual": residual})


def gradients(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare gradients; rows, for each of the `rates`: unrolled of all states, of the last, implicit."""
    lines = []
    for rate, group in _by_rate(rows, settings):
        every, last, implicit = (Way(row.label, row, None, {"lr": rate}) for row in group)
        for way, other in ((every, None), (last, every), (implicit, last)):
            lines.append(compared(settings["student"], way, other))
    return pd.DataFrame(lines)


def supervision(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare supervision, decoded by either rule; rows, for each of the `rates`: all states, the last."""
    lines = []
    for rate, group in _by_rate(rows, settings):
        for rule, name in RULES.items():
            variants = (f"{rule}-{row.runs[0]['model']['iterations']}" for row in group)
            columns = {"lr": rate, "decoded": name}
            every, last = (
                Way(row.label, row, each, columns) for row, each in zip(group, variants, strict=True)
            )
            lines += [compared(settings["student"], every), compared(settings["student"], last, every)]
    return pd.DataFrame(lines)


def _by_rate(rows: Sequence[Row], settings: Settings) -> Iterable[tuple[float, Sequence[Row]]]:
    each = len(rows) // len(settings["rates"])
    for place, rate in enumerate(settings["rates"]):
        yield rate, rows[place * each : (place + 1) * each]


def pairs(rows: Sequence[Row], settings: Settings) -> pd.DataFrame:
    """Compare numbers of pairs, each with the number before; rows: in the order of `settings['pairs']`."""
    ways = [Way(row.label, row, None, {"pairs": n}) for row, n in zip(rows, settings["pairs"], strict=True)]
    steps = pairwise([None, *ways])
    return pd.DataFrame([compared(settings["student"], way, before) for before, way in steps if way])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


# ---------- from lines to text


def told(lines: pd.DataFrame, name: str = "student") -> str:
    """Return for which lines (by the column `name`) FID is lower, higher, or undecided, with the changes."""
    parts = []
    for turn in TURNS.values():
        those = lines[lines["turn"] == turn]
        changed = [f"{row[name]}{_stuck(row)} ({_change(row)})" for _, row in those.iterrows()]
        if changed:
            parts.append(f"{turn} for {', '.join(changed)}")
    return f"FID is {'; '.join(parts)}"


def _stuck(row: pd.Series) -> str:
    return " (stuck)" if row["note"] else ""


def _change(row: pd.Series) -> str:
    """Return a change of FID and its interval as text."""
    if pd.isna(row.get("change")):
        return "-"
    value, low, high = (f"{row[name]:+.2f}" for name in ("change", "change_low", "change_high"))
    return f"{value}, {low} to {high}"


def of_states(found: pd.DataFrame) -> str:
    """Return what the study of states shows."""
    return f"With the last state in place of the one after the smallest residual, {told(_changed(found))}."


def of_initial(found: pd.DataFrame) -> str:
    """Return what the study of initial states shows."""
    shared, zeros = (_changed(found[found["way"] == INITIAL[kind]]) for kind in ("shared", "zeros"))
    apart = ", ".join(f"{row['apart']:.2g} ({row['student']})" for _, row in shared.iterrows())
    return (
        f"With one initial state for all samples in place of one each, {told(shared)}."
        f" With zero, {told(zeros)}. For the same noise, another initial state moves an image by"
        f" {apart} grey levels of 255 (root mean square)."
    )


def of_solvers(found: pd.DataFrame) -> str:
    """Return what the study of solvers shows."""
    parts = []
    for way, lines in _changed(found).groupby("way"):
        counts = ", ".join(
            f"{turn} in {(lines['turn'] == turn).sum()}"
            for turn in TURNS.values()
            if (lines["turn"] == turn).any()
        )
        last = lines[lines["evaluations"] == lines["evaluations"].max()]
        ratios = (
            f"{row['residual'] / row['plain_residual']:.2f} ({row['student']})" for _, row in last.iterrows()
        )
        parts.append(
            f"{way}: of {len(lines)} comparisons at equal evaluations with the plain iteration, FID is"
            f" {counts}; after {last['evaluations'].max()} the residual is that of the plain iteration times"
            f" {', '.join(ratios)}."
        )
    return " ".join(parts)


def of_gradients(found: pd.DataFrame) -> str:
    """Return what the study of gradients shows."""
    parts = []
    for rate, lines in found.groupby("lr"):
        last, implicit = (lines.iloc[[n]] for n in (1, 2))
        parts.append(
            f"At a learning rate of {rate:g}, with unrolled gradients of the last state in place of all,"
            f" {told(last)}; with the implicit gradient of the last state in place of the unrolled one,"
            f" {told(implicit)}."
        )
    return " ".join(parts)


def of_supervision(found: pd.DataFrame) -> str:
    """Return what the study of supervision shows."""
    parts = [
        f"at a learning rate of {rate:g} and with the {rule} decoded, {told(lines)}"
        for (rate, rule), lines in _changed(found).groupby(["lr", "decoded"])
    ]
    return f"With the last state supervised alone in place of all: {'; '.join(parts)}."


def of_pairs(found: pd.DataFrame) -> str:
    """Return what the study of pairs shows."""
    first, last = found.iloc[0], found.iloc[-1]
    ends = (f"{fixed(row['fid_train'], 1)} with {row['way']}" for row in (first, last))
    errors = (f"{row['l1_held_out']:.3f}" for row in (first, last))
    steps = _changed(found)
    steps = steps.assign(step=steps["to"].str.removesuffix(" pairs") + " to " + steps["way"])
    return (
        f"At equal training, FID is {' and '.join(ends)}; the L1 error on noise kept from training is"
        f" {' and '.join(errors)}. From one number to the next, {told(steps, 'step')}."
    )


def _changed(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["to"].notna()]


# ---------- the studies, and what is written of each

CHANGE: dict[str, Cell] = {"Change of FID (interval)": _change, "FID is": text("turn")}
FIDS: dict[str, Cell] = {"FID (train)": plus_minus("fid_train"), "FID (test)": plus_minus("fid_test")}
SEEDS: dict[str, Cell] = {"Seeds": number("seeds")}
STUDENT: dict[str, Cell] = {"Student": text("student")}
WAY: dict[str, Cell] = {**STUDENT, "Way": lambda row: row["way"] + _stuck(row)}
RATE: dict[str, Cell] = {"Learning rate": lambda row: f"{row['lr']:g}"}
ALL = {**FIDS, **CHANGE, **SEEDS}
OF_SOLVERS: dict[str, Cell] = {  # a line has both ways
    **STUDENT,
    "Solver": text("way"),
    "Evaluations": number("evaluations"),
    "Residual": number("residual", 1),
    "Residual, plain": number("plain_residual", 1),
    "FID (train)": plus_minus("fid_train"),
    "FID (train), plain": plus_minus("plain"),
}
WORDS = ("Student", "Way", "Solver", "Decoded", "FID is")


@dataclass(frozen=True)
class Study:
    """A study: how rows become lines, text, and figure; the columns of the readable table."""

    lines: Callable[[Sequence[Row], Settings], pd.DataFrame]
    text: Callable[[pd.DataFrame], str]
    draw: Callable[[pd.DataFrame, Paths], None]
    columns: Mapping[str, Cell]


STUDIES = {
    "states": Study(states, of_states, figures.changes, WAY | ALL),
    "initial": Study(
        initial,
        of_initial,
        figures.changes,
        {**WAY, "Images differ by (of 255)": number("apart", 2), **ALL},
    ),
    "solvers": Study(
        solvers,
        of_solvers,
        figures.over_evaluations,
        {**OF_SOLVERS, **CHANGE, **SEEDS},
    ),
    "gradients": Study(gradients, of_gradients, figures.levels, WAY | RATE | ALL),
    "supervision": Study(
        supervision,
        of_supervision,
        figures.levels,
        {**WAY, **RATE, "Decoded": text("decoded"), **ALL},
    ),
    "pairs": Study(
        pairs,
        of_pairs,
        figures.over_pairs,
        {**WAY, "L1 error (held out)": number("l1_held_out", 3), **ALL},
    ),
}


def write_study(
    name: str,
    rows: Sequence[Row],
    settings: Settings,
    *,
    title: str,
    caption: str,
    paths: Mapping[str, str | Path],
) -> None:
    """Write a study.

    Args:
        name: one of `STUDIES`; rows, settings: see there.
        title, caption: above and below text and table.
        paths: the table as 'csv', text and table as 'md' and 'html', the figure as 'pdf' and 'png'.
    """
    study = STUDIES[name]
    found = study.lines(rows, settings)
    shown = as_text(_changed(found) if "Solver" in study.columns else found, study.columns)
    left, words = [column in WORDS for column in shown], study.text(found)
    parts = [pages.paragraph(words), pages.table(shown, left), pages.paragraph(caption, "note")]
    write_text(paths["csv"], found.to_csv(index=False, float_format="%.6g"))
    write_text(paths["md"], f"## {title}\n\n{words}\n\n{markdown(shown, left)}\n\n{caption}\n")
    write_text(paths["html"], pages.page(title, *parts))
    study.draw(found, [paths["pdf"], paths["png"]])
