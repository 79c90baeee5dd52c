"""Claims that set a GET against a ViT: at equal steps, equal training compute, equal sampling time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from get.paper.claims import Claim, Judgement, Topic, Verdict
from get.paper.orderings import ordering
from get.paper.results import Row, Scores
from get.storage.variants import Rule, Variant

Milestones = Sequence[Row]  # of one student, a row each, by step
NO_LONGER = 1.02  # a time within this factor of another is as short


def versus(pairs: Sequence[tuple[Milestones, Milestones]]) -> Iterator[Claim]:
    """Yield three claims for each GET and ViT, given their milestones: the GET has the lower FID."""
    for get, vit in pairs:
        gets, vits = ([row for row in rows if row.runs] for rows in (get, vit))
        if gets and vits:
            yield from (claim(gets, vits) for claim in (at_equal_steps, at_equal_compute, at_equal_time))


def at_equal_steps(gets: Milestones, vits: Milestones) -> Claim:
    """Return the claim at the last step that both have."""
    at = "equal steps"
    pair = last_common(gets, vits)
    if pair is None:
        return _not_run(gets, vits, at, "no milestone of both")
    get, vit = pair
    return ordering(Topic.VERSUS, _words(get, vit, f"{at} ({get.steps:,})"), get, vit, at=at)


def at_equal_compute(gets: Milestones, vits: Milestones) -> Claim:
    """Return the claim at the training compute of the one that has less, the other between its milestones."""
    at = "equal training compute"
    computes = [training_flops(rows[-1]) for rows in (gets, vits)]
    least = min(computes)
    if any(map(math.isnan, computes)):
        return _not_run(gets, vits, at, "costs were not measured")
    found = [at_compute(rows, least) for rows in (gets, vits)]
    if None in found:
        return _not_run(gets, vits, at, "no milestones about it")
    get, vit = (row for row in found if row)
    return ordering(Topic.VERSUS, _words(get, vit, f"{at} ({least:.2g} FLOP)"), get, vit, at=at)


def at_equal_time(gets: Milestones, vits: Milestones) -> Claim:
    """Return the claim at the last common step, the GET with as many iterations as take no longer."""
    at = "equal sampling time"
    pair = last_common(gets, vits)
    times = [row.costs.sampling for row in pair or () if row.costs and 1 in row.costs.sampling]
    if pair is None or len(times) < 2:
        return _not_run(gets, vits, at, "no milestone of both, or no costs")
    get, vit = pair
    limit = NO_LONGER * times[1][1].median
    variants = {count: Variant(Rule.LOWEST_RESIDUAL, count) for count in times[0]}
    fitting = [
        count for count, variant in variants.items()
        if times[0][count].median <= limit and str(variant) in get.runs[0].scores
    ]  # fmt: skip
    if not fitting:
        longer = times[0][1].median / times[1][1].median
        return _not_run(gets, vits, at, f"one iteration of the GET takes {longer:.1f} times as long")
    count = max(fitting)
    words = _words(get, vit, f"{at} ({count} iteration{'s' * (count > 1)})")
    return ordering(Topic.VERSUS, words, get, vit, variants=(variants[count], None), at=at)


def last_common(gets: Milestones, vits: Milestones) -> tuple[Row, Row] | None:
    """Return the rows of the last step that both have."""
    ours, theirs = ({row.steps: row for row in rows} for rows in (gets, vits))
    common = ours.keys() & theirs.keys()
    return (ours[max(common)], theirs[max(common)]) if common else None


def training_flops(row: Row) -> float:
    """Return the operations of the training of a row; NaN where they were not measured."""
    return row.costs.training_flops * row.batch * row.steps if row.costs else math.nan


def at_compute(rows: Milestones, flops: float) -> Row | None:
    """Return a student at a training compute: between two milestones, scores follow a power law of it."""
    computes = [training_flops(row) for row in rows]
    for place, compute in enumerate(computes):
        if math.isclose(compute, flops):
            return rows[place]
        if compute > flops:
            if not place:
                return None
            before, after = rows[place - 1], rows[place]
            share = math.log(flops / computes[place - 1]) / math.log(compute / computes[place - 1])
            seeds = {run.seed: run for run in before.runs}
            runs = [between(seeds[run.seed], run, share) for run in after.runs if run.seed in seeds]
            return replace(after, runs=runs) if runs else None
    return None


def between(one: Scores, other: Scores, share: float) -> Scores:
    """Return the headline scores between two of a run, `share` of the way to the other."""
    name, before = other.headline, one.of(None)
    scores = {
        key: float(_weighted(before[key], value, share))
        for key, value in other.of(None).items()
        if key in before
    }
    resampled = {
        key: _weighted(one.resamples(None)[key], values, share).tolist()
        for key, values in other.resamples(None).items()
    }
    return other.model_copy(update={"scores": {name: scores}, "bootstrap": {name: resampled}})


def _weighted(one: ArrayLike, other: ArrayLike, share: float) -> NDArray[np.float64]:
    """Return the weighted geometric mean; the arithmetic one of what is not positive."""
    a, b = np.asarray(one, float), np.asarray(other, float)
    positive = (a > 0) & (b > 0)
    logarithms = [np.log(np.where(positive, values, 1)) for values in (a, b)]
    geometric = np.exp((1 - share) * logarithms[0] + share * logarithms[1])
    return np.where(positive, geometric, (1 - share) * a + share * b)


def _words(get: Row, vit: Row, at: str) -> str:
    return f"{get.label} has a lower FID than {vit.label} at {at}"


def _not_run(gets: Milestones, vits: Milestones, at: str, why: str) -> Claim:
    get, vit = gets[-1], vits[-1]
    name = f"{Topic.VERSUS}/{get.student}/{vit.student}/{at}".replace(" ", "-")
    return Claim(name, Topic.VERSUS, f"{_words(get, vit, at)} ({why})", Judgement(Verdict.NOT_RUN), at=at)
