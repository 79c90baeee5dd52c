"""The paper's tables, as pure functions of score files and published numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from get.files import atomic
from get.paper.published import published

Scores = Mapping[str, Any]  # the JSON of one score file


@dataclass(frozen=True)
class Entry:
    """One row: what the table calls it, and its score files, one per seed."""

    method: str
    runs: Sequence[Scores]


AVERAGED = (
    "fid_train", "fid_test", "is", "is_sd", "kid_train", "kid_train_sd", "kid_test", "kid_test_sd",
    "precision", "recall", "l1_held_out", "nearest_train",
)  # fmt: skip


def measured_row(entry: Entry) -> dict[str, Any]:
    """Return one row: means over seeds of the headline scores, how sure they are, and what the row is.

    `fid_train_sd` and `fid_test_sd` are one standard deviation: over bootstrap resamples of the samples where
    there is one seed, over seeds where there are several; `sd_over` says which. `_low` and `_high` bound the
    95% interval of the bootstrap, for one seed.
    """
    first = entry.runs[0]
    headlines = pd.DataFrame([run["scores"][run["headline"]] for run in entry.runs])
    several = len(entry.runs) > 1
    row: dict[str, Any] = {
        "method": entry.method,
        "conditional": first["conditional"],
        "nfe": first["nfe"],
        "parameters": first.get("parameters"),
        "steps": first.get("step"),
        "seeds": len(entry.runs),
        "samples": headlines["samples"].min(),
        **headlines.reindex(columns=list(AVERAGED)).mean(),
        "fid_train_last": _variant(entry.runs, "last", "fid_train"),
    }
    for name in ("fid_train", "fid_test"):
        row[f"{name}_sd"] = headlines[name].std() if several else headlines[f"{name}_sd"].item()
        for end in ("low", "high"):
            row[f"{name}_{end}"] = np.nan if several else headlines[f"{name}_{end}"].item()
    stuck = any(run.get("plateau") for run in entry.runs)
    row["sd_over"] = "seeds" if several else "bootstrap"
    return {**row, "note": "never left the mean-image plateau" if stuck else "", "source": "measured"}


def _variant(runs: Iterable[Scores], rule: str, score: str) -> float:
    """Return the mean over runs of a score under the state rule `rule` at the trained iterations."""
    values = [
        run["scores"][name][score]
        for run in runs
        for name in run["scores"]
        if name == f"{rule}-{run.get('model', {}).get('iterations')}"
    ]
    return float(np.mean(values)) if values else np.nan


def table1(entries: Sequence[Entry], with_published: bool) -> pd.DataFrame:
    """Return Table 1: one-step students, their teachers, and the ends of the scale; a row per entry.

    Args:
        entries: in the order of the rows.
        with_published: append the paper's rows (only where the data set is the paper's).
    """
    table = pd.DataFrame([measured_row(entry) for entry in entries])
    if with_published:
        rows = published("paper table 1").rename(columns={"fid": "fid_published"})
        rows["source"] = "published: " + rows["source"]
        rows["conditional"] = False
        keep = ["method", "conditional", "nfe", "fid_published", "is", "source"]
        table = pd.concat([table, rows[keep]], ignore_index=True)
    return table


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of Table 1 that a reader wants, as text: one standard deviation as plus-minus."""

    def fid(row: pd.Series, split: str) -> str:
        value, sd = row[f"fid_{split}"], row[f"fid_{split}_sd"]
        # a set against itself comes out as -0.00
        return "-" if pd.isna(value) else f"{abs(value):.2f} ± {sd:.2f}"

    def number(value: float, digits: int) -> str:
        return "-" if pd.isna(value) else f"{value:.{digits}f}"

    rows = []
    for _, row in table.iterrows():
        text = {
            "Method": row["method"],
            "Classes": "-" if pd.isna(row["conditional"]) else "given" if row["conditional"] else "none",
            "NFE": number(row["nfe"], 0),
            "Parameters": "-" if pd.isna(row["parameters"]) else f"{int(row['parameters']):,}",
            "FID (train)": fid(row, "train"),
            "FID (test)": fid(row, "test"),
        }
        if "fid_published" in table:
            text["FID (published)"] = number(row["fid_published"], 2)
        text |= {
            "IS": number(row["is"], 2),
            "Precision": number(row["precision"], 2),
            "Recall": number(row["recall"], 2),
            "Seeds": "-" if pd.isna(row["seeds"]) else str(int(row["seeds"])),
        }
        rows.append(text)
    return pd.DataFrame(rows)


def write_table(
    table: pd.DataFrame, shown: pd.DataFrame, caption: str, label: str, paths: Mapping[str, str | Path]
) -> None:
    """Write a table three times.

    Args:
        table: all columns, for the file paths['csv'].
        shown: the readable columns, for paths['md'] and paths['tex'] (booktabs).
        caption, label: of the readable ones.
        paths: the three files.
    """
    texts = {"csv": table.to_csv(index=False, float_format="%.6g")}
    words = ("Method", "Classes")
    right = ["left" if column in words else "right" for column in shown]
    markdown = shown.to_markdown(index=False, disable_numparse=True, colalign=right)
    texts["md"] = f"{markdown}\n\n{caption}\n"
    styler = shown.style.hide(axis="index").format(escape="latex")
    columns = "".join("l" if column in words else "r" for column in shown)
    latex = styler.to_latex(
        hrules=True, caption=caption, label=label, column_format=columns, position_float="centering"
    )
    texts["tex"] = latex.replace("±", r"$\pm$")
    for kind, text in texts.items():
        with atomic(paths[kind]) as temporary:
            temporary.write_text(text)
