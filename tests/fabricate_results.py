"""Fabricated results: scores, costs and rows as the paper's tables read them, without any training."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from get.paper.results import Costs, Row, Scores
from get.paper.statistics import AVERAGED

NAN = float("nan")
GET = {"family": "get", "iterations": 6, "conditioning": "injection"}
VIT = {"family": "vit", "conditioning": "injection"}


def scores(fid: float) -> dict[str, float]:
    """Return the scores of one variant; the FID against the test split is 5 above that of the train split."""
    found = dict.fromkeys(AVERAGED, 1.0) | {"samples": 5000, "fid_train": fid, "fid_test": fid + 5}
    found |= {"fid_train_sd": 1.0, "fid_train_low": fid - 1.96, "fid_train_high": fid + 1.96}
    found |= {"fid_test_sd": 2.0, "fid_test_low": fid + 1.08, "fid_test_high": fid + 8.92}
    return found | {"is": 9.0, "is_sd": 0.1}


def content_of(variants: dict[str, float], noise: int = 0, **change: Any) -> dict[str, Any]:
    """Return the content of a score file, by the FID of each variant; the first is the headline.

    Files of the same `noise` have the same bootstrap resamples.
    """
    found = {name: scores(fid) for name, fid in variants.items()}
    drawn = np.random.default_rng(noise).standard_normal(100)
    resampled = {
        name: {score: (values[score] + drawn).tolist() for score in ("fid_train", "fid_test", "is")}
        for name, values in found.items()
    }
    content = {"headline": next(iter(variants)), "conditional": True, "nfe": 1}
    return content | {"scores": found, "bootstrap": resampled} | change


def run_content(fid: float, model: dict[str, Any] = GET, noise: int = 0, **change: Any) -> dict[str, Any]:
    """Return the content of a student's score file: an iteration lowers FID by 1, the last state adds 0.5."""
    about = {"model": model, "step": 2000, "seed": None, "parameters": 1000, "plateau": False}
    if model["family"] == "get":
        about |= {"residuals": [9.0, 3.0, 2.0], "changes": [0.5, 0.1]}
        variants = {f"lowest-residual-{k}": fid + 6 - k for k in (6, 1, 2, 10)} | {"last-6": fid + 0.5}
    else:
        about |= {"residuals": [], "changes": []}
        variants = {"one-step": fid}
    return content_of(variants, noise, **{**about, **change})


def run(fid: float, model: dict[str, Any] = GET, noise: int = 0, **change: Any) -> Scores:
    """Return a student's scores; a FID that is no number, which no file may hold, is put in afterwards."""
    found = Scores.model_validate(run_content(fid if math.isfinite(fid) else 0.0, model, noise, **change))
    for values in found.scores.values() if math.isnan(fid) else ():
        values |= {"fid_train": fid, "fid_test": fid}
    return found


def teacher_run(name: str = "teacher", fid: float = 3.0, **change: Any) -> Scores:
    """Return the scores of what is no student."""
    return Scores.model_validate(content_of({name: fid}, nfe=35) | change)


def costs(factor: float = 1.0, **change: Any) -> Costs:
    """Return the costs of a student, `factor` times as high as usual."""
    speed = {"median": 10.0 / factor, "low": 9.0 / factor, "high": 11.0 / factor}
    modes = {"plain": 2e6 * factor, "checkpointed": 1e6 * factor}
    content = {
        "parameters": 1000 * factor,
        "macs": 3e6 * factor,
        "training_flops": 1.8e7,
        "training": {
            mode: {"iterations_per_second": speed, "peak_memory_bytes": peak} for mode, peak in modes.items()
        },
        "sampling": {str(k): {"median": 1e-4 * k * factor, "low": 0, "high": 0} for k in (1, 2, 6, 10)},
    }
    return Costs.model_validate_json(json.dumps(content | change))


def row(label: str, *runs: Scores, costs: Costs | None = costs(), **rest: Any) -> Row:  # noqa: B008
    """Return a row."""
    device = "CPU, 1 thread" if costs else None
    return Row(label, runs, **{"student": label, "batch": 64, "costs": costs, "device": device, **rest})


def seeds(label: str, *fids: float, **change: Any) -> Row:
    """Return a row with a run for each FID; each seed has a noise of its own."""
    noise = change.pop("noise", 0)
    return row(label, *(run(fid, seed=seed, noise=noise + seed, **change) for seed, fid in enumerate(fids)))


def write_scores(path: Path, content: dict[str, Any]) -> Path:
    """Write a score file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def cells_of(markdown: str) -> list[list[str]]:
    """Return the cells of each line of the Markdown tables in a text."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
