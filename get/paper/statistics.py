"""Rows of results as numbers: means over seeds, how sure they are, and how much better one row is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr, stdtrit

from get.paper.results import FIDS, SPREAD, Row, Scores
from get.storage.variants import Rule, Variant

Z95 = 1.96  # standard deviations to either side of a 95% interval
AVERAGED = (
    "fid_train", "fid_test", "is", "is_split_sd", "kid_train", "kid_train_sd", "kid_test", "kid_test_sd",
    "precision", "recall", "l1_held_out", "nearest_train",
)  # fmt: skip
Variants = tuple[Variant | None, Variant | None]


def row_statistics(row: Row, variant: Variant | None = None) -> dict[str, Any]:
    """Return one row as named values: means over seeds, how sure they are, and what the row is.

    `fid_train_sd`, `fid_test_sd` and `is_sd` are one standard deviation: over seeds where there are several,
    over bootstrap resamples of the samples for one seed; `sd_over` says which. `_low` and `_high` bound the
    95% interval of FID's bootstrap, for one seed. Images of a split of the data (`split` in their file) have
    no distance to that split, which would be one to themselves. `warnings` is there only where a run has any.

    Args:
        row: with at least one run.
        variant: of the samples; left out, each run's headline.
    """
    first, several = row.runs[0], len(row.runs) > 1
    scores, model = pd.DataFrame([run.of(variant) for run in row.runs]), first.model
    # what the row is, and its means
    found: dict[str, Any] = {
        "method": row.label,
        "student": row.student,
        "family": model and model.family,
        "conditioning": model and model.conditioning,
        "conditional": first.conditional,
        "nfe": first.nfe,
        "parameters": first.parameters,
        "steps": first.step,
        "batch": row.batch or None,
        "seeds": len(row.runs),
        "samples": scores["samples"].min(),
        **scores.reindex(columns=list(AVERAGED)).mean(),
        "fid_train_last": _last_state(row.runs),
    }
    # standard deviations and intervals
    for name in SPREAD:
        if name in scores:
            found[f"{name}_sd"] = scores[name].std() if several else scores[f"{name}_sd"].item()
        else:  # features without logits have no IS
            found[f"{name}_sd"] = np.nan
    for name in FIDS:
        for end in ("low", "high"):
            found[f"{name}_{end}"] = np.nan if several else scores[f"{name}_{end}"].item()
    found |= {name: np.nan for name in found if first.split and name.startswith(_distances_to(first.split))}
    # how sure, and at what cost
    found["sd_over"] = "seeds" if several else "bootstrap"
    found["note"] = "never left the mean-image plateau" if any(run.plateau for run in row.runs) else ""
    if warnings := sorted({warning for run in row.runs for warning in run.warnings}):
        found["warnings"] = "; ".join(warnings)
    found["training_flops"] = np.nan
    if row.costs and first.step:
        found["training_flops"] = row.costs.training_flops * row.batch * first.step
    return found


def _distances_to(split: str) -> tuple[str, str]:
    return f"fid_{split}", f"kid_{split}"


def _last_state(runs: Iterable[Scores]) -> float:
    """Return the mean FID (train) of the plain last state at the trained iterations; NaN without a state."""
    names = [(run, str(Variant(Rule.LAST, run.iterations))) for run in runs]
    values = [run.scores[name]["fid_train"] for run, name in names if name in run.scores]
    return float(np.mean(values or np.nan))


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the statistics of every row that has been run, one line each."""
    return pd.DataFrame([row_statistics(row) for row in rows if row.runs])


def over_iterations(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the statistics of every row at every number of iterations it was sampled with.

    The columns `iterations` (1 for ViT) and `seconds` per image (NaN where not measured) are added.
    """
    lines = []
    for row in rows:
        variants = [Variant.parse(name) for name in row.runs[0].scores] if row.runs else []
        for variant in variants:
            if variant.kind == Rule.LAST:
                continue
            count = variant.iterations or 1
            times = row.costs.sampling.get(count) if row.costs else None
            seconds = times.median if times else np.nan
            lines.append(row_statistics(row, variant) | {"iterations": count, "seconds": seconds})
    return pd.DataFrame(lines).sort_values("iterations", kind="stable") if lines else pd.DataFrame()


@dataclass(frozen=True)
class Advantage:
    """How much better one row is than another, and how sure that is.

    Args:
        value: mean difference over the seeds that both have, positive if better (lower FID, higher IS).
        sampling: its standard deviation over paired bootstrap resamples of the samples.
        by_seed: the difference of each seed.
        scatter: standard error of `value` from the scatter of the seeds, which holds the noise of the samples
            too; None of one seed.
    """

    value: float
    sampling: float
    by_seed: Sequence[float]
    scatter: float | None = None

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the scatter."""
        return len(self.by_seed) - 1

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of `value`: Student's t of the scatter, but never narrower than by the samples."""
        half = Z95 * self.sampling
        if self.scatter:
            half = max(half, float(stdtrit(self.freedom, 0.975)) * self.scatter)
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """The probability of a difference as large where there is none: below 5% outside the interval.

        NaN of one seed, which does not tell what another would give.
        """
        if self.scatter is None or not math.isfinite(self.value):
            return math.nan
        if not self.value:
            return 1.0
        found = [2 * ndtr(-abs(self.value) / self.sampling)] if self.sampling else [0.0]
        if self.scatter:
            found.append(2 * stdtr(self.freedom, -abs(self.value) / self.scatter))
        return float(max(found))

    @property
    def verdict(self) -> "Side":
        """On which side of zero the interval is."""
        return side(*self.interval)


Side = Literal["better", "worse", "undecided", "no score"]


def side(low: float, high: float) -> Side:
    """Return on which side of zero an interval is, if the whole of it is on one."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no score"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def advantage(better: Row, worse: Row, score: str, variants: Variants = (None, None)) -> Advantage:
    """Return by how much `better` has the better `score`.

    Runs are compared seed by seed, by Student's t of their differences: those of one seed are sampled from
    the same noise, whatever the student (and see the same pairs in the same order, where batch and pairs are
    equal).

    Args:
        better, worse: with runs; where they have no seed in common, runs are paired in their order.
        score: 'is' or 'fid_<split>'.
        variants: of the samples of each; None is the headline.
    """
    sign = -1 if score.startswith("fid") else 1
    values, resampled = [], []
    for runs in _pairs(better, worse):
        one, other = (run.of(variant)[score] for run, variant in zip(runs, variants, strict=True))
        values.append(sign * (one - other))
        ours, theirs = (
            np.array(run.resamples(variant)[score]) for run, variant in zip(runs, variants, strict=True)
        )
        resampled.append(sign * (ours - theirs))
    sampling = float(np.mean(resampled, axis=0).std(ddof=1))
    scatter = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return Advantage(float(np.mean(values)), sampling, values, scatter)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979): reject those below 5% for 5% in all."""
    found, highest = [math.nan] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda each: p[each])):
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        found[index] = highest
    return found


def _pairs(one: Row, other: Row) -> list[tuple[Scores, Scores]]:
    """Return the runs of two rows in pairs: of the seeds that both have, or, without any, in their order."""
    ours, theirs = (
        {n if run.seed is None else run.seed: run for n, run in enumerate(row.runs)} for row in (one, other)
    )
    common = sorted(ours.keys() & theirs.keys())
    return [(ours[seed], theirs[seed]) for seed in common] or list(zip(one.runs, other.runs, strict=False))
