"""The paper's tables, as pure functions of scores, costs and published numbers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from get.paper import pages
from get.paper.published import CHECKPOINTED, details, numbers_of, published
from get.paper.results import Row, frame
from get.storage.atomic import write_text

PERCENT, MEGA = 100, 1e6
# columns that are no numbers
WORDS = ("Method", "Classes", "Measured on", "Class enters by", "Teacher", "Trajectory")


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


def _measured(rows: Sequence[Row], table: str) -> pd.DataFrame:
    return with_published(frame(rows), [row.published for row in rows if row.runs], table)


def table1(rows: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return Table 1: one-step students, their teachers, and the ends of the scale.

    Args:
        rows: in the order of the table.
        cifar10: append the paper's rows, which are for CIFAR-10.
    """
    return _append_published(_measured(rows, "paper table 1"), "paper table 1", cifar10, False)


def table2(rows: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return Table 2: sizes, longer training, larger batch."""
    return _measured(rows, "paper table 2")


def table3(rows: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return Table 3: class-conditional students; with the paper's other methods as for Table 1."""
    return _append_published(_measured(rows, "paper table 3"), "paper table 3", cifar10, True)


def table4(rows: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return Table 4: quality and cost; a student that can trade time for memory has a second row, O(1).

    Columns beside those of `measured`: `macs` (forward, one image), `training_memory` (bytes, peak),
    `training_speed` (iterations per second), and `device`. A row without costs has none of them.
    """
    lines, names = [], []
    for (_, line), row in zip(frame(rows).iterrows(), (row for row in rows if row.runs), strict=True):
        costs: Mapping[str, Any] = row.costs or {"training": {}, "macs": np.nan, "device": None}
        for mode in costs["training"] or {"plain": None}:
            spent = costs["training"].get(mode, {})
            speed = spent.get("iterations_per_second", {})
            lines.append(
                {
                    **line,
                    "method": row.label + (", O(1) memory" if mode == "checkpointed" else ""),
                    "device": costs["device"],
                    "macs": costs["macs"],
                    "training_memory": spent.get("peak_memory_bytes", np.nan),
                    "training_speed": speed.get("median", np.nan),
                    "training_speed_low": speed.get("low", np.nan),
                    "training_speed_high": speed.get("high", np.nan),
                }
            )
            names.append(row.published and row.published + (CHECKPOINTED if mode == "checkpointed" else ""))
    return with_published(pd.DataFrame(lines), names, "paper table 4")


def table5(rows: Sequence[Row], cifar10: bool, training: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return Table 5: what training asks for, ours and the paper's list of methods.

    Args:
        rows: the students; the batch of the first counts as 1x.
        cifar10: give the scores of the published rows, which are for CIFAR-10.
        training: by student, 'pairs', 'nfe' (teacher evaluations for each) and 'teacher'.
    """
    found = _measured(rows, "paper table 5")
    about = [training[row.student] for row in rows if row.runs]
    found["batch_factor"] = [row.batch / rows[0].batch for row in rows if row.runs]
    found["teacher"] = [student["teacher"] for student in about]
    found["teacher_evaluations"] = [float(student["pairs"] * student["nfe"]) for student in about]
    found = found.assign(phases="1", models=1, trajectory="no")
    paper = published("paper table 5")
    theirs = pd.DataFrame([details(text) for text in paper["detail"]])
    theirs["method"], theirs["source"] = paper["method"], "published: " + paper["source"]
    if cifar10:
        theirs["fid_published"], theirs["is_published"] = paper["fid"], paper["is"]
    return pd.concat([found, theirs], ignore_index=True)


def table6(rows: Sequence[Row], cifar10: bool) -> pd.DataFrame:
    """Return Table 6: how the class comes in."""
    return _measured(rows, "paper table 6")


TABLES: dict[str, Callable[..., pd.DataFrame]] = {
    "1": table1,
    "2": table2,
    "3": table3,
    "4": table4,
    "5": table5,
    "6": table6,
}


def _append_published(found: pd.DataFrame, table: str, cifar10: bool, conditional: bool) -> pd.DataFrame:
    if not cifar10:
        return found
    rows = published(table).rename(columns={"fid": "fid_published", "is": "is_published"})
    rows["source"], rows["conditional"] = "published: " + rows["source"], conditional
    keep = ["method", "conditional", "nfe", "fid_published", "is_published", "source"]
    return pd.concat([found, rows[keep]], ignore_index=True)


# ---------- as a reader sees it

Cell = Callable[[pd.Series], str]


def number(name: str, digits: int = 0, unit: float = 1) -> Cell:
    """Return a cell that shows column `name`, in units of `unit`, with thousands separated; '-' for none."""

    def cell(row: pd.Series) -> str:
        value = row.get(name, np.nan)
        return "-" if pd.isna(value) else fixed(value / unit, digits)

    return cell


def plus_minus(name: str, digits: int = 2) -> Cell:
    """Return a cell that shows a score and its standard deviation; one seed is marked by its brackets."""

    def cell(row: pd.Series) -> str:
        value, sd = row.get(name, np.nan), row.get(f"{name}_sd", np.nan)
        if pd.isna(value):
            return "-"
        spread = f"± {sd:.{digits}f}"
        return f"{fixed(value, digits)} {spread if row['seeds'] > 1 else f'({spread})'}"

    return cell


def fixed(value: float, digits: int) -> str:
    """Return a number with thousands separated; what rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def text(name: str) -> Cell:
    """Return a cell that shows a word."""
    return lambda row: "-" if pd.isna(row.get(name)) else str(row[name])


def signed(name: str) -> Cell:
    """Return a cell that shows a signed percentage."""
    return lambda row: "-" if pd.isna(row.get(name)) else f"{row[name]:+.1f}%"


def _speed(row: pd.Series) -> str:
    """Return a speed of training and its quartiles."""
    names = ("training_speed", "training_speed_low", "training_speed_high")
    if any(pd.isna(row.get(name, np.nan)) for name in names):
        return "-"
    median, low, high = (fixed(row[name], 1) for name in names)
    return f"{median} ({low} to {high})"


def _stuck(row: pd.Series) -> bool:
    return isinstance(row.get("note"), str) and bool(row["note"])


def _classes(row: pd.Series) -> str:
    return "-" if pd.isna(row["conditional"]) else "given" if row["conditional"] else "none"


_ENTERS = {"none": "not at all", "injection": "injection to q, k, v", "adaln-zero": "AdaLN-Zero"}
_FID = {"FID (train)": plus_minus("fid_train"), "FID (test)": plus_minus("fid_test")}
_PAPER = {
    "FID (paper)": number("fid_published", 2),
    "IS (paper)": number("is_published", 2),
    "FID (test) to paper": signed("fid_difference"),
    "IS to paper": signed("is_difference"),
}
_COSTS_PAPER = {
    "MACs (paper, M)": number("macs_published", 2, MEGA),
    "Memory (paper, MB)": number("training_memory_published", 1, MEGA),
    "Speed (paper, it/s)": number("training_speed_published", 2),
}
_SIZE = {"Parameters": number("parameters")}
_RUN = {"Steps": number("steps"), "Batch": number("batch")}
_SCORES = {**_FID, "IS": plus_minus("is")}
_SEEDS = {"Seeds": number("seeds")}
_METHOD: dict[str, Cell] = {"Method": lambda row: row["method"] + (" (stuck)" if _stuck(row) else "")}
COLUMNS: dict[str, dict[str, Cell]] = {
    "1": {
        **_METHOD,
        "Classes": _classes,
        "NFE": number("nfe"),
        "Images": number("samples"),
        **_SIZE,
        "Steps": number("steps"),
        **_SCORES,
        "Precision": number("precision", 2),
        "Recall": number("recall", 2),
        **_SEEDS,
        **_PAPER,
    },
    "2": {**_METHOD, **_SIZE, **_RUN, **_SCORES, **_SEEDS, **_PAPER},
    "3": {**_METHOD, "NFE": number("nfe"), **_SIZE, **_RUN, **_SCORES, **_SEEDS, **_PAPER},
    "4": {
        **_METHOD,
        **_SCORES,
        **_SIZE,
        "MACs (M)": number("macs", 2, MEGA),
        "Training memory (MB)": number("training_memory", 1, MEGA),
        "Training speed (it/s)": _speed,
        "Batch": number("batch"),
        "Measured on": text("device"),
        **_SEEDS,
        **_PAPER,
        **_COSTS_PAPER,
    },
    "5": {
        **_METHOD,
        "Batch": lambda row: "-" if pd.isna(row["batch_factor"]) else f"{row['batch_factor']:g}x",
        "Phases": text("phases"),
        "Models": number("models"),
        "Trajectory": text("trajectory"),
        "Teacher": text("teacher"),
        "Teacher evaluations (M)": number("teacher_evaluations", 1, MEGA),
        "FID (train)": plus_minus("fid_train"),
        **{name: _PAPER[name] for name in ("FID (paper)", "IS (paper)")},
    },
    "6": {
        **_METHOD,
        "Class enters by": lambda row: _ENTERS.get(row["conditioning"], "-"),
        **_SIZE,
        "Steps": number("steps"),
        **_SCORES,
        **_SEEDS,
        **_PAPER,
    },
}


def readable(table: pd.DataFrame, number: str) -> pd.DataFrame:
    """Return what a reader wants of Table `number`, as text; the paper's columns only where it has any."""
    shown = as_text(table, COLUMNS[number])
    empty = [name for name in (*_PAPER, *_COSTS_PAPER) if name in shown and (shown[name] == "-").all()]
    return shown.drop(columns=empty)


def as_text(table: pd.DataFrame, columns: Mapping[str, Cell]) -> pd.DataFrame:
    """Return the `columns` of a table as a reader sees them."""
    return pd.DataFrame({name: [cell(row) for _, row in table.iterrows()] for name, cell in columns.items()})


def write_table(
    table: pd.DataFrame, shown: pd.DataFrame, caption: str, label: str, paths: Mapping[str, str | Path]
) -> None:
    """Write a table in several formats.

    Args:
        table: all columns, for the file paths['csv'].
        shown: the readable columns, for paths['md'], paths['tex'] (booktabs) and paths['html'].
        caption, label: of the readable ones; the label ends in the table's name ('tab:table1').
        paths: the files, by format.
    """
    left = [column in WORDS for column in shown]
    title = label.rpartition(":")[2].replace("table", "Table ")
    texts = {
        "csv": table.to_csv(index=False, float_format="%.6g"),
        "md": f"{markdown(shown, left)}\n\n{caption}\n",
        "tex": latex(shown, caption, label, "".join("l" if words else "r" for words in left)),
        "html": pages.page(title, pages.table(shown, left), pages.paragraph(caption, "note")),
    }
    for kind, path in paths.items():
        write_text(path, texts[kind])


def markdown(shown: pd.DataFrame, left: Sequence[bool]) -> str:
    """Return a Markdown table of texts; `left` says which columns are words, the others are numbers."""
    escaped = shown.map(lambda words: words.replace("|", r"\|"))
    align = ["left" if words else "right" for words in left]
    return escaped.to_markdown(index=False, disable_numparse=True, colalign=align if len(shown) else None)


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"±": r"$\pm$", "<": r"$<$", ">": r"$>$"}


def latex(shown: pd.DataFrame, caption: str, label: str, columns: str) -> str:
    """Return a table environment (packages booktabs and graphicx), no wider than the text."""

    def escaped(words: str) -> str:
        return "".join(_LATEX.get(character, character) for character in words)

    lines = [list(shown.columns), *shown.to_numpy().tolist()]
    head, *body = [" & ".join(escaped(cell) for cell in line) + r" \\" for line in lines]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{{label}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )
