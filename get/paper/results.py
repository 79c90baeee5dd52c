"""Rows of results: what tables, figures and claims read from the files that scoring and measuring left.

Settings files (`results/settings/paper/*.json`) list the rows of each table and figure:
`student` and `label` (what to call it), `step`, `batch`, `published` (name of the paper's row, or null), and
`scores`, a score file per seed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from get.storage.errors import UserError
from get.storage.places import require_place
from get.storage.reading import NUMBER, read_json, reading, require, require_numbers

Scores = Mapping[str, Any]  # the JSON of one score file
Costs = Mapping[str, Any]  # the entry of one student in the JSON of `costs`

Z95 = 1.96  # standard deviations to either side of a 95% interval
AVERAGED = (
    "fid_train", "fid_test", "is", "is_split_sd", "kid_train", "kid_train_sd", "kid_test", "kid_test_sd",
    "precision", "recall", "l1_held_out", "nearest_train",
)  # fmt: skip
SPREAD = ("fid_train", "fid_test", "is")  # whose standard deviation over seeds is given
SCORED = ("samples", *SPREAD, *(f"{name}_sd" for name in SPREAD), "fid_train_low", "fid_train_high")
SCORED += ("fid_test_low", "fid_test_high")  # what every variant has
RUN = {"scores": dict, "bootstrap": dict, "headline": str, "conditional": bool | None, "nfe": int | None}
STUDENT = {"model": dict, "step": int, "seed": int, "parameters": int, "plateau": bool}  # and of a student
MODEL = {"family": str, "conditioning": str}
COUNTED = {"parameters": NUMBER, "macs": NUMBER, "training_flops": NUMBER, "training": dict, "sampling": dict}
SPENT = {"iterations_per_second": dict, "peak_memory_bytes": NUMBER}
TIMES = {"median": NUMBER, "low": NUMBER, "high": NUMBER}
HISTORY = ["step", "loss", "gradient norm"]  # its columns


@dataclass(frozen=True)
class Row:
    """One (student, step), or another source of images: what it is called, and its scores, one per seed."""

    label: str
    runs: Sequence[Scores]
    student: str = ""
    batch: int = 0  # 0 where nothing was trained
    published: str | None = None
    costs: Costs | None = None


def read_rows(entries: Iterable[Mapping[str, Any]], costs: Mapping[str, Costs] | None = None) -> list[Row]:
    """Read the rows that a settings file lists; `costs` by student (see `read_costs`), where measured.

    Raises:
        UserError: a score file is missing, damaged or another's; or the costs are of other students.
    """
    return [
        Row(
            label=entry["label"],
            runs=(runs := [read_scores(path) for path in entry["scores"]]),
            student=entry.get("student", ""),
            batch=entry.get("batch", 0),
            published=entry.get("published"),
            costs=_costs_of(entry, runs, costs) if costs and "student" in entry else None,
        )
        for entry in entries
    ]


def _costs_of(entry: Mapping[str, Any], runs: Sequence[Scores], costs: Mapping[str, Costs]) -> Costs | None:
    """Return the costs of the student of a row, which must have as many parameters as the scored one."""
    found = costs.get(entry["student"])
    for run, path in zip(runs, entry["scores"], strict=True):
        if found is None or found["parameters"] != run["parameters"]:
            measured = next(iter(costs.values()))["path"]
            raise UserError(f"{measured} has no costs of the student that {path} is of", measured, path)
    return found


def read_scores(path: str | Path) -> Scores:
    """Read a score file.

    Raises:
        UserError: missing, damaged, no score file, or put in the place of another.
    """
    with reading(path, "score file"):
        content = read_json(path)
        require(content, RUN)
        if content["headline"] not in content["scores"]:
            raise ValueError(f"no scores of {content['headline']}")
        for variant, scores in content["scores"].items():
            require(scores, dict.fromkeys(SCORED, NUMBER))
            require(scores, dict.fromkeys(scores, NUMBER))
            require(content["bootstrap"].get(variant), dict.fromkeys(SPREAD, list))
            for name in SPREAD:
                require_numbers(content["bootstrap"][variant][name], name)
        if "model" in content or str(content.get("place")).startswith("students/"):
            require(content, STUDENT)
            require(content["model"], MODEL)
            if content["step"] < 1 or content["parameters"] < 1:
                raise ValueError("no step, or no parameters")
            for name in ("residuals", "changes"):
                require_numbers(content.get(name), name)
        require_place(path, content.get("place"))
    return content


def read_costs(path: str | Path) -> dict[str, Costs]:
    """Read the costs of every student by name; each says on which `device` it was measured, and its `path`.

    Raises:
        UserError: missing, damaged or no costs.
    """
    with reading(path, "file of costs"):
        content = read_json(path)
        require(content, {"device": str, "students": dict})
        for costs in content["students"].values():
            require(costs, COUNTED)
            for times in costs["sampling"].values():
                require(times, TIMES)
            for spent in costs["training"].values():
                require(spent, SPENT)
                require(spent["iterations_per_second"], TIMES)
    shared = {"device": content["device"], "path": str(path)}
    return {name: {**costs, **shared} for name, costs in content["students"].items()}


def read_history(path: str | Path) -> dict[str, Any]:
    """Read the history of a training.

    Raises:
        UserError: missing, damaged or no history.
    """
    with reading(path, "history of a training"):
        content = read_json(path)
        require(content, {"columns": list, "rows": list})
        if content["columns"] != HISTORY:
            raise ValueError(f"columns are {content['columns']}")
        for row in content["rows"]:
            require_numbers(row, "rows")
            if len(row) != len(HISTORY):
                raise ValueError(f"rows are {row}")
    return content


def measured(row: Row, variant: str | None = None) -> dict[str, Any]:
    """Return one row as named values: means over seeds, how sure they are, and what the row is.

    `fid_train_sd`, `fid_test_sd` and `is_sd` are one standard deviation: over seeds where there are several,
    over bootstrap resamples of the samples for one seed; `sd_over` says which. `_low` and `_high` bound the
    95% interval of FID's bootstrap, for one seed. Images of a split of the data (`split` in their file) have
    no distance to that split, which would be one to themselves.

    Args:
        row: with at least one run.
        variant: of the samples ('lowest-residual-1', ...); left out, each run's headline.
    """
    first = row.runs[0]
    scores = pd.DataFrame([run["scores"][variant or run["headline"]] for run in row.runs])
    several, model = len(row.runs) > 1, first.get("model", {})
    found: dict[str, Any] = {
        "method": row.label,
        "student": row.student,
        "family": model.get("family"),
        "conditioning": model.get("conditioning"),
        "conditional": first["conditional"],
        "nfe": first["nfe"],
        "parameters": first.get("parameters"),
        "steps": first.get("step"),
        "batch": row.batch or None,
        "seeds": len(row.runs),
        "samples": scores["samples"].min(),
        **scores.reindex(columns=list(AVERAGED)).mean(),
        "fid_train_last": _last(row.runs),
    }
    for name in SPREAD:
        found[f"{name}_sd"] = scores[name].std() if several else scores[f"{name}_sd"].item()
    for name in ("fid_train", "fid_test"):
        for end in ("low", "high"):
            found[f"{name}_{end}"] = np.nan if several else scores[f"{name}_{end}"].item()
    own = first.get("split")
    found |= {name: np.nan for name in found if own and name.startswith((f"fid_{own}", f"kid_{own}"))}
    found["sd_over"] = "seeds" if several else "bootstrap"
    stuck = any(run.get("plateau") for run in row.runs)
    found["note"] = "never left the mean-image plateau" if stuck else ""
    found["training_flops"] = np.nan
    if row.costs and found["steps"]:
        found["training_flops"] = row.costs["training_flops"] * row.batch * found["steps"]
    return found


def _last(runs: Iterable[Scores]) -> float:
    """Return the mean FID (train) of the plain last state at the trained iterations; NaN without a state."""
    names = [f"last-{run.get('model', {}).get('iterations')}" for run in runs]
    values = [run["scores"].get(name, {}).get("fid_train") for name, run in zip(names, runs, strict=True)]
    return float(np.mean([value for value in values if value is not None] or np.nan))


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return `measured` of every row that has been run, one line each."""
    return pd.DataFrame([measured(row) for row in rows if row.runs])


def over_iterations(rows: Iterable[Row]) -> pd.DataFrame:
    """Return `measured` of every row at every number of iterations it was sampled with.

    The columns `iterations` (1 for ViT) and `seconds` per image (NaN where not measured) are added.
    """
    lines = []
    for row in rows:
        if not row.runs:
            continue
        variants = [name for name in row.runs[0]["scores"] if not name.startswith("last-")]
        for variant in variants:
            count = variant.removeprefix("lowest-residual-")
            line = measured(row, variant) | {"iterations": int(count) if count.isdigit() else 1}
            times = row.costs["sampling"] if row.costs else {}
            line["seconds"] = times.get(str(line["iterations"]), {}).get("median", np.nan)
            lines.append(line)
    return pd.DataFrame(lines).sort_values("iterations", kind="stable") if lines else pd.DataFrame()


@dataclass(frozen=True)
class Advantage:
    """How much better one row is than another, and how sure that is.

    Args:
        value: mean difference over the seeds that both have, positive if better (lower FID, higher IS).
        error: standard deviation of `value`. Over paired bootstrap resamples of the samples; of several seeds
            the standard error of their mean is added in squares, which is on the careful side: the scatter of
            the seeds holds sampling noise too.
        by_seed: the difference of each seed.
    """

    value: float
    error: float
    by_seed: Sequence[float]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of `value`."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error

    @property
    def verdict(self) -> Literal["better", "worse", "undecided", "no score"]:
        """On which side of zero the whole interval and every seed are, if they are on one."""
        low, high = self.interval
        low, high = min(low, *self.by_seed), max(high, *self.by_seed)
        if not (math.isfinite(low) and math.isfinite(high)):
            return "no score"
        return "better" if low > 0 else "worse" if high < 0 else "undecided"


def advantage(
    better: Row, worse: Row, score: str, variants: tuple[str | None, str | None] = (None, None)
) -> Advantage:
    """Return by how much `better` has the better `score`; runs of one seed saw the same noise and are paired.

    Args:
        better, worse: with runs; where they have no seed in common, runs are paired in their order.
        score: 'is' or 'fid_<split>'.
        variants: of the samples of each; None is the headline.
    """
    ours, theirs = ({run.get("seed", n): run for n, run in enumerate(row.runs)} for row in (better, worse))
    common = ours.keys() & theirs.keys()
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(common)] or list(
        zip(better.runs, worse.runs, strict=False)
    )
    sign = -1 if score.startswith("fid") else 1
    values, resampled = [], []
    for runs in pairs:
        names = [variant or run["headline"] for run, variant in zip(runs, variants, strict=True)]
        one, other = (run["scores"][name][score] for run, name in zip(runs, names, strict=True))
        values.append(sign * (one - other))
        one, other = (np.array(run["bootstrap"][name][score]) for run, name in zip(runs, names, strict=True))
        resampled.append(sign * (one - other))
    sampling = np.mean(resampled, axis=0).std(ddof=1)
    training = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Advantage(float(np.mean(values)), math.hypot(sampling, training), values)
