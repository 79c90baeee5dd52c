"""Published numbers, each with its source: `published.csv`."""

from pathlib import Path
from typing import Any

import pandas as pd

# what the fields of a row's 'detail' are called in our tables
DETAILS = {
    "batch": "batch_factor",
    "n_models": "models",
    "train_mem_gb_per_gpu": "training_memory",
    "train_iter_per_s": "training_speed",
}

UNITS = {"training_memory": 1e9, "training_speed": 1}  # in which the paper prints a field
CHECKPOINTED = "-O(1)"  # ends the paper's name of a row that trades time for memory


def published(table: str) -> pd.DataFrame:
    """Return the published rows of `table` (say 'paper table 1'): method, nfe, fid, is, source, ..."""
    rows = pd.read_csv(Path(__file__).with_name("published.csv"))
    return rows[rows["table"] == table].reset_index(drop=True)


def details(text: str) -> dict[str, Any]:
    """Return the fields of a row's detail ('batch=4x; phases=1; ...') by name, as numbers where they are."""
    fields = (field.split("=") for field in text.split("; "))
    return {DETAILS.get(name, name): _detail(name, value) for name, value in fields}


def _detail(name: str, value: str) -> float | str:
    if name == "trajectory":
        return {"True": "yes", "False": "no"}[value]
    if name == "phases":  # '1', or 'log2(T)'
        return value
    try:
        return float(value.removesuffix("x"))
    except ValueError:
        return value


def quantity(text: Any) -> float:
    """Return '85.2M' or '15.2G' as a number; NaN for nothing."""
    if pd.isna(text):
        return float("nan")
    return float(text[:-1]) * {"M": 1e6, "G": 1e9}[text[-1]]


def numbers_of(line: pd.Series) -> dict[str, float]:
    """Return the numbers of a published row: fid, is, parameters, macs, training_memory (bytes), _speed."""
    extra = details(line["detail"]) if isinstance(line["detail"], str) else {}
    found = {"fid": line["fid"], "is": line["is"]}
    found |= {"parameters": quantity(line["params"]), "macs": quantity(line["flops"])}
    found |= {name: extra[name] * unit for name, unit in UNITS.items() if name in extra}
    return {name: float(value) for name, value in found.items() if not pd.isna(value)}
