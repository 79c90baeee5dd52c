"""The paper's tables, as pure functions of scores, costs and published numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from get.paper import documents
from get.paper.cells import (
    MEGA,
    Cell,
    Line,
    marks,
    missing,
    number,
    operations,
    percent,
    plus_minus,
    text,
    with_quartiles,
    with_warnings,
)
from get.paper.documents import Note, Table, as_text, records, write_texts
from get.paper.published import CHECKPOINTED, details, numbers_of, published
from get.paper.results import Mode, Row
from get.paper.statistics import frame, row_statistics

PERCENT = 100
HOUR = 3600  # seconds
QUOTED = "The paper's, quoted, for CIFAR-10:"
# what the paper gives of a row, and our column to compare with: its code's FID is against the test split
COMPARED = {
    "fid": "fid_test",
    "is": "is",
    "parameters": "parameters",
    "macs": "macs",
    "training_memory": "training_memory",
    "training_speed": "training_speed",
}


def with_published(found: pd.DataFrame, names: Sequence[str | None], table: str) -> pd.DataFrame:
    """Return measured rows with the paper's numbers of `table` beside them.

    Adds, for each of `COMPARED`, `<name>_published` and the difference to it in percent, `<name>_difference`.

    Args:
        found: a line per row.
        names: what each row is called in the paper's table; None for what is not there.
    """
    paper = {line["method"]: numbers_of(line) for _, line in published(table)[::-1].iterrows()}
    for column, ours in COMPARED.items():
        if ours in found:
            theirs = [paper.get(name or "", {}).get(column, np.nan) for name in names]
            found[f"{column}_published"] = theirs
            found[f"{column}_difference"] = PERCENT * (found[ours] / found[f"{column}_published"] - 1)
    return found.assign(source="measured")


def _beside_paper(rows: Sequence[Row], table: str) -> pd.DataFrame:
    return with_published(frame(rows), [row.published for row in rows if row.runs], table)


def _with_paper_rows(rows: Sequence[Row], table: str, conditional: bool) -> pd.DataFrame:
    """Return measured rows, and below them all rows of the paper's `table`."""
    paper = published(table).rename(columns={"fid": "fid_published", "is": "is_published"})
    paper["source"], paper["conditional"] = "published: " + paper["source"], conditional
    keep = ["method", "conditional", "nfe", "fid_published", "is_published", "source"]
    return pd.concat([_beside_paper(rows, table), paper[keep]], ignore_index=True)


def table1(rows: Sequence[Row], *, cifar10: bool) -> pd.DataFrame:
    """Return Table 1: one-step students, their teachers, and the ends of the scale.

    Args:
        rows: in the order of the table.
        cifar10: append the paper's rows, which are for CIFAR-10.
    """
    table = "paper table 1"
    return _with_paper_rows(rows, table, conditional=False) if cifar10 else _beside_paper(rows, table)


def table2(rows: Sequence[Row]) -> pd.DataFrame:
    """Return Table 2: sizes, longer training, larger batch."""
    return _beside_paper(rows, "paper table 2")


def table3(rows: Sequence[Row], *, cifar10: bool) -> pd.DataFrame:
    """Return Table 3: class-conditional students; with the paper's other methods as for Table 1."""
    table = "paper table 3"
    return _with_paper_rows(rows, table, conditional=True) if cifar10 else _beside_paper(rows, table)


def table4(rows: Sequence[Row]) -> pd.DataFrame:
    """Return Table 4: quality and cost; a student that can trade time for memory has a second row, O(1).

    Columns beside those of `row_statistics`: `macs` (forward, one image), `training_memory` (bytes, peak),
    `training_speed` (iterations per second), and `device`. A row without costs has none of them.
    """
    lines, names = [], []
    for row in rows:
        line = row_statistics(row) if row.runs else {}
        for mode in (row.costs.training if row.costs else [Mode.PLAIN]) if line else ():
            o1 = mode is Mode.CHECKPOINTED
            label = row.label + (", O(1) memory" if o1 else "")
            lines.append(line | {"method": label, "device": row.device} | _training_costs(row, mode))
            names.append(row.published and row.published + (CHECKPOINTED if o1 else ""))
    return with_published(pd.DataFrame(lines), names, "paper table 4")


def _training_costs(row: Row, mode: Mode) -> dict[str, float]:
    if row.costs is None:
        names = ("macs", "training_memory", "training_speed", "training_speed_low", "training_speed_high")
        return dict.fromkeys(names, np.nan)
    training = row.costs.training[mode]
    speed = training.iterations_per_second
    return {
        "macs": row.costs.macs,
        "training_memory": training.peak_memory_bytes,
        "training_speed": speed.median,
        "training_speed_low": speed.low,
        "training_speed_high": speed.high,
    }


def table5(rows: Sequence[Row], *, cifar10: bool, training: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return Table 5: what training asks for, ours and the paper's list of methods.

    Args:
        rows: the students; the batch of the first counts as 1x.
        cifar10: give the scores of the published rows, which are for CIFAR-10.
        training: by student, 'pairs' (how many were made for it, if any), 'nfe' (teacher evaluations for
            each) and 'teacher'.
    """
    found = _beside_paper(rows, "paper table 5")
    about = [training[row.student] for row in _run(rows)]
    found["batch_factor"] = [row.batch / rows[0].batch for row in _run(rows)]
    found["teacher"] = [student["teacher"] for student in about]
    given = [_given(row, student) for row, student in zip(_run(rows), about, strict=True)]
    found = pd.concat([found.assign(phases="1", trajectory="no"), pd.DataFrame(given)], axis=1)
    paper = published("paper table 5")
    theirs = pd.DataFrame([details(text) for text in paper["detail"]])
    theirs["method"], theirs["source"] = paper["method"], "published: " + paper["source"]
    if cifar10:
        theirs["fid_published"], theirs["is_published"] = paper["fid"], paper["is"]
    return pd.concat([found, theirs], ignore_index=True)


def _run(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.runs]


def _given(row: Row, about: Mapping[str, Any]) -> dict[str, float]:
    """Return the ledger of a row: what one run of it was given, pairs included that others share."""
    steps, costs = row.runs[0].step or 0, row.costs
    images = row.batch * steps
    found = {"images": images, "teacher_evaluations": float(about["pairs"] * about["nfe"]), "models": 1.0}
    if costs:
        found["teacher_evaluations"] += images * costs.teacher_evaluations
        found["models"] = costs.networks
    if costs and Mode.PLAIN in costs.training:
        found["training_seconds"] = steps / costs.training[Mode.PLAIN].iterations_per_second.median
    return found


def table6(rows: Sequence[Row]) -> pd.DataFrame:
    """Return Table 6: how the class comes in."""
    return _beside_paper(rows, "paper table 6")


# ---------- as a reader sees them


def _classes(line: Line) -> str:
    return "-" if missing(line["conditional"]) else "given" if line["conditional"] else "none"


def _batch_factor(line: Line) -> str:
    return "-" if missing(line["batch_factor"]) else f"{line['batch_factor']:g}x"


_ENTERS = {"none": "not at all", "injection": "injection to q, k, v", "adaln-zero": "AdaLN-Zero"}
# columns that are no numbers
WORDS = ("Method", "Classes", "Measured on", "Class enters by", "Teacher", "Trajectory")
_PAPER = {  # columns that are shown only where they hold a number
    "FID (paper)": number("fid_published", 2),
    "IS (paper)": number("is_published", 2),
    "FID (test) to paper": percent("fid_difference"),
    "IS to paper": percent("is_difference"),
}
_COSTS_PAPER = {
    "MACs (paper, M)": number("macs_published", 2, MEGA),
    "Memory (paper, MB)": number("training_memory_published", 1, MEGA),
    "Speed (paper, it/s)": number("training_speed_published", 2),
}
_METHOD: dict[str, Cell] = {"Method": lambda line: line["method"] + marks(line)}
_NFE = {"NFE": number("nfe")}
_SIZE = {"Parameters": number("parameters")}
_STEPS = {"Steps": number("steps")}
_BATCH = {"Batch": number("batch")}
_SCORES = {
    "FID (train)": plus_minus("fid_train"),
    "FID (test)": plus_minus("fid_test"),
    "IS": plus_minus("is"),
}
_SEEDS = {"Seeds": number("seeds")}


@dataclass(frozen=True)
class PaperTable:
    """A table: its lines as a function of rows (and of the `arguments` in its settings), and its columns."""

    lines: Callable[..., pd.DataFrame]
    columns: Mapping[str, Cell]


TABLES = {
    "1": PaperTable(
        table1,
        {
            **_METHOD,
            "Classes": _classes,
            **_NFE,
            "Images": number("samples"),
            **_SIZE,
            **_STEPS,
            **_SEEDS,
            **_SCORES,
            "Precision": number("precision", 2),
            "Recall": number("recall", 2),
            **_PAPER,
        },
    ),
    "2": PaperTable(table2, _METHOD | _SIZE | _STEPS | _BATCH | _SEEDS | _SCORES | _PAPER),
    "3": PaperTable(table3, _METHOD | _NFE | _SIZE | _STEPS | _BATCH | _SEEDS | _SCORES | _PAPER),
    "4": PaperTable(
        table4,
        {
            **_METHOD,
            **_SEEDS,
            **_SCORES,
            **_SIZE,
            "MACs (M)": number("macs", 2, MEGA),
            "Training memory (MB)": number("training_memory", 1, MEGA),
            "Training speed (it/s)": with_quartiles("training_speed"),
            **_BATCH,
            "Measured on": text("device"),
            **_PAPER,
            **_COSTS_PAPER,
        },
    ),
    "5": PaperTable(
        table5,
        {
            **_METHOD,
            "Batch": _batch_factor,
            "Phases": text("phases"),
            "Models": number("models"),
            "Trajectory": text("trajectory"),
            "Teacher": text("teacher"),
            "Teacher evaluations (M)": number("teacher_evaluations", 1, MEGA),
            "Images seen (M)": number("images", 1, MEGA),
            "Training FLOP": operations("training_flops"),
            "Training time (h)": lambda line: (
                "-" if missing(line.get("training_seconds")) else f"{line['training_seconds'] / HOUR:.2g}"
            ),
            "FID (train)": _SCORES["FID (train)"],
            "FID (paper)": _PAPER["FID (paper)"],
            "IS (paper)": _PAPER["IS (paper)"],
        },
    ),
    "6": PaperTable(
        table6,
        {
            **_METHOD,
            "Class enters by": lambda line: _ENTERS.get(line["conditioning"], "-"),
            **_SIZE,
            **_STEPS,
            **_SEEDS,
            **_SCORES,
            **_PAPER,
        },
    ),
}


def readable(lines: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what a reader wants of Table `name`, as text; IS and the paper's columns where it has any.

    A line of its own divides measured rows from published ones.
    """
    cells = as_text(lines, TABLES[name].columns)
    may_lack = ["IS", *_PAPER, *_COSTS_PAPER]
    empty = [column for column in may_lack if column in cells and (cells[column] == "-").all()]
    cells = cells.drop(columns=empty)
    measured = cells[lines["source"] == "measured"] if len(cells) else cells
    if len(measured) == len(cells):
        return cells
    divider = pd.DataFrame([dict.fromkeys(cells, "") | {"Method": QUOTED}])
    return pd.concat([measured, divider, cells[len(measured) :]], ignore_index=True)


def write_table(lines: pd.DataFrame, name: str, caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write Table `name`: all columns as paths['csv'], the readable ones as 'md', 'tex' and 'html'."""
    table, caption = Table(readable(lines, name), WORDS), with_warnings(caption, records(lines))
    texts = {
        "csv": documents.csv(lines),
        "md": documents.markdown([table, Note(caption)]),
        "tex": documents.latex(table, caption, f"tab:table{name}"),
        "html": documents.html(f"Table {name}", [table, Note(caption)]),
    }
    write_texts(texts, paths)
