"""Claims on orderings: that one row is better than another.

An ordering in FID is judged on the train split, which has more images; `judgement_test` is that on test.
It is reproduced (or not) where the whole 95% interval is on one side of zero; else it is undecided. The
interval is Student's, from the scatter of the seeds, and never narrower than that of paired bootstrap
resamples of the samples (see `statistics.Advantage`). One seed has no scatter, and a verdict from it says so.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from get.paper.claims import Claim, Judgement, Kind, Topic, Verdict, support
from get.paper.numbers import NAMES, cost
from get.paper.results import Row
from get.paper.statistics import Advantage, Variants, advantage, side
from get.storage.variants import Rule, Variant

ALIKE = 1.1  # sizes within this factor count as equal
DESIGNED = ("parameters", "macs")  # columns that the config decides

FROM_ADVANTAGE = {
    "better": Verdict.REPRODUCED,
    "worse": Verdict.NOT_REPRODUCED,
    "undecided": Verdict.UNDECIDED,
    "no score": Verdict.NO_SCORE,
}


def ordering(
    topic: Topic,
    claim: str,
    better: Row,
    worse: Row,
    score: Literal["fid_train", "is"] = "fid_train",
    variants: Variants = (None, None),
    at: str | None = None,
) -> Claim:
    """Return the claim that `better` has the better `score` (FID: lower, IS: higher).

    What both have alike is `at`; left out, it is what of steps and parameters they share.
    """
    found = advantage(better, worse, score, variants)
    low, high = found.interval
    in_fid = score == "fid_train"
    at = _alike(better, worse) if at is None else at
    claim += _on_seeds(better, worse)
    return Claim(
        _id(topic, _named(better, variants[0]), _named(worse, variants[1]), score, at),
        topic,
        claim,
        _judge(found),
        _judge(advantage(better, worse, "fid_test", variants)) if in_fid else None,
        measured=found.value,
        low=low,
        high=high,
        seeds=len(found.by_seed),
        by_seed=found.by_seed,
        split="train" if in_fid else "",
        at=at,
        p=found.p,
    )


def _on_seeds(one: Row, other: Row) -> str:
    """Return on which seeds two rows are compared, where they have not the same."""
    ours, theirs = ({run.seed for run in row.runs} for row in (one, other))
    if ours == theirs or None in ours | theirs:  # older files do not say
        return ""
    shared = len(ours & theirs)
    if not shared:
        return " (no seed in common: paired in their order)"
    return f" (on the {f'{shared} seeds' if shared > 1 else 'one seed'} that both have)"


def _id(topic: Topic, *parts: str) -> str:
    return "/".join([topic, *parts]).replace(" ", "-")


def _named(row: Row, variant: Variant | None) -> str:
    return ":".join(map(str, filter(None, [row.student, row.runs[0].step, variant])))


def _alike(one: Row, other: Row) -> str:
    """Return what two rows have in common: their weights, or their steps and (to a tenth) parameters."""
    steps, student = one.steps == other.steps, one.student == other.student
    if steps and student:
        return "equal weights"
    sizes = sorted([_parameters(one), _parameters(other)])
    shared = ["steps"] * steps + ["parameters"] * (student or sizes[1] <= ALIKE * sizes[0])
    return f"equal {' and '.join(shared)}" if shared else ""


def _judge(found: Advantage) -> Judgement:
    verdict = FROM_ADVANTAGE[found.verdict]
    return Judgement(verdict, len(found.by_seed) == 1 and verdict is not Verdict.NO_SCORE)


def _not_run(topic: Topic, claim: str) -> list[Claim]:
    return [Claim(topic, topic, claim, Judgement(Verdict.NOT_RUN))]


def table4_orderings(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim per column of Table 4, and one for all: the small GET beats the larger ViT."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run(Topic.EVERY_COLUMN, "Table 4: a GET beats a larger ViT in every column")
    vit, get = rows
    beats = f"Table 4: {get.label} beats {vit.label} in"
    claims = [ordering(Topic.COLUMN, f"{beats} FID", get, vit)]
    if all("is" in run.of(None) for row in rows for run in row.runs):
        claims.append(ordering(Topic.COLUMN, f"{beats} IS", get, vit, "is"))
    for column, sign in (("parameters", -1), ("macs", -1), ("training_memory", -1), ("training_speed", 1)):
        # costs have no seeds; of quartiles, the interval is that of all differences
        (ours, *mine), (theirs, *others) = cost(get, column), cost(vit, column)
        ends = sorted(sign * (one - other) for one in mine for other in others)
        judgement = Judgement(FROM_ADVANTAGE[side(ends[0], ends[-1])])
        claim = Claim(
            _id(Topic.COLUMN, column),
            Topic.COLUMN,
            f"{beats} {NAMES[column]}",
            judgement,
            measured=sign * (ours - theirs),
            low=ends[0],
            high=ends[-1],
            kind=Kind.DESIGN if column in DESIGNED else Kind.ORDERING,
            at=_alike(get, vit),
        )
        claims.append(claim)
    every = f"{beats} every column"
    worst = max((claim.judgement for claim in claims), key=support)
    return [*claims, Claim(Topic.EVERY_COLUMN, Topic.EVERY_COLUMN, every, worst, kind=Kind.CONJUNCTION)]


def larger_vit(rows: Sequence[Row]) -> list[Claim]:
    """Return the claim that a GET matches a larger ViT: its FID is no higher."""
    if len(rows) != 2 or not all(row.runs for row in rows):
        return _not_run(Topic.LARGER_VIT, "a GET matches a ViT of five times its size")
    get, vit = rows
    ratio = _parameters(vit) / _parameters(get)
    claim = f"{get.label} matches {vit.label} in FID, {ratio:.1f} times its size"
    return [ordering(Topic.LARGER_VIT, claim, get, vit)]


def falls_with_size(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim for each step up the ladder of Table 2, and for its longer training and larger batch."""
    run = [row for row in rows if row.runs]
    # the ladder: rows trained as long as the first, with its batch
    alike = [row for row in run if (row.steps, row.batch) == (run[0].steps, run[0].batch)]
    ladder = sorted(alike, key=_parameters)
    claims = [
        ordering(Topic.SIZE, f"Table 2: FID falls with size: {large.label} below {small.label}", large, small)
        for small, large in pairwise(ladder)
    ]
    # the others, each against the row of its size
    for row in run:
        bases = [base for base in ladder if _parameters(base) == _parameters(row)]
        for base in bases if row not in ladder else []:
            longer, larger = row.steps / base.steps, row.batch / base.batch
            change = (
                f"training {longer:g} times as long" if longer != 1 else f"a batch {larger:g} times as large"
            )
            claim = f"Table 2: {change} lowers the FID of {base.label}"
            claims.append(ordering(Topic.LONGER, claim, row, base))
    return claims or _not_run(Topic.SIZE, "Table 2: FID falls with size")


def _parameters(row: Row) -> int:
    return row.runs[0].parameters or 0


def improves_with_iterations(rows: Sequence[Row]) -> list[Claim]:
    """Return a claim per GET: FID at the trained number of iterations is below that at two."""
    claims = []
    different = {(row.student, row.steps): row for row in rows if row.runs}
    for row in different.values():
        first = row.runs[0]
        few, many = (Variant(Rule.LOWEST_RESIDUAL, count) for count in (2, first.iterations))
        if {str(few), str(many)} <= first.scores.keys() and few != many:
            claim = f"Figure 3a: FID of {row.label} improves from 2 to {first.iterations} iterations"
            claims.append(ordering(Topic.ITERATIONS, claim, row, row, variants=(many, few)))
    return claims or _not_run(Topic.ITERATIONS, "Figure 3a: FID improves from 2 to 6 iterations")


def conditioning(rows: Sequence[Row]) -> list[Claim]:
    """Return the claim of Table 6 that compares students of the same pairs: injection beats AdaLN-Zero."""
    claim = "Table 6: injection beats AdaLN-Zero"
    by_kind = {row.runs[0].model.conditioning: row for row in rows if row.runs and row.runs[0].model}
    ours, theirs = by_kind.get("injection"), by_kind.get("adaln-zero")
    if ours is None or theirs is None:
        return _not_run(Topic.CONDITIONING, claim)
    return [ordering(Topic.CONDITIONING, claim, ours, theirs)]
