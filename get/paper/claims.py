"""Claims of the paper: what each is about, its verdict, and how claims are written."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from get.paper import documents
from get.paper.cells import Cell, amount, missing
from get.paper.documents import Block, Heading, Note, Sign, Table, as_text, write_texts
from get.paper.statistics import holm


class Kind(StrEnum):
    """What sort of claim it is."""

    ORDERING = "measured ordering"  # one row is better than another, as measured
    DESIGN = "design fact"  # one row is smaller than another, as the config has it
    CONJUNCTION = "conjunction"  # several others in one
    NUMBER = "number"  # a number is as published


class Topic(StrEnum):
    """What a claim is about."""

    NUMBER = "number"  # a number in a table
    COLUMN = "column"  # a GET beats a larger ViT in a column of Table 4
    EVERY_COLUMN = "every-column"  # and in every column
    LARGER_VIT = "larger-vit"  # a GET matches a ViT of five times its size
    SIZE = "size"  # FID falls with size
    LONGER = "longer"  # longer training or a larger batch lowers FID
    ITERATIONS = "iterations"  # FID improves with fixed-point iterations
    CONDITIONING = "conditioning"  # injection beats AdaLN-Zero
    VERSUS = "versus"  # a GET beats a ViT at equal steps, compute or sampling time
    RIVAL = "rival"  # a GET beats another one-step method at an equal budget


class Verdict(StrEnum):
    """What becomes of a claim."""

    REPRODUCED = "reproduced"
    UNDECIDED = "undecided"
    NOT_REPRODUCED = "not reproduced"
    NOT_RUN = "not run"
    NO_SCORE = "no score"
    SINGLE_RUN = "single run"  # a number, which one seed cannot judge
    NOT_COMPARABLE = "not comparable"
    OTHER_HARDWARE = "not comparable (other hardware)"
    INCONSISTENT = "not comparable (the paper gives 8.6M for the same model)"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and whether it rests on a single run."""

    verdict: Verdict
    single_run: bool = False

    def __str__(self) -> str:
        return f"{self.verdict} (single run)" if self.single_run else self.verdict.value


def support(judgement: Judgement) -> tuple[int, bool]:
    """Return the place of a judgement, from the one that supports a claim best to the one that refutes it."""
    order = (
        Verdict.REPRODUCED, Verdict.UNDECIDED, Verdict.NOT_RUN, Verdict.NO_SCORE, Verdict.NOT_REPRODUCED
    )  # fmt: skip
    refuted = judgement.verdict is Verdict.NOT_REPRODUCED
    return order.index(judgement.verdict), judgement.single_run is not refuted


_SIGNS = {  # in Okabe and Ito's colours
    Verdict.REPRODUCED: Sign("✓", "#0072B2"),
    Verdict.NOT_REPRODUCED: Sign("✗", "#B34E00"),
    Verdict.UNDECIDED: Sign("?", "#666"),
}
SIGNS = {str(Judgement(verdict, one)): sign for verdict, sign in _SIGNS.items() for one in (False, True)}


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        id: names it, wherever it stands; topic: what it is about; claim: the claim in words.
        judgement: on the train split, for an ordering in FID; judgement_test: on the test split.
        published: a number of the paper.
        measured: the number, or the advantage of what is said to be better; low, high: its 95% interval.
        seeds, by_seed: how many seeds there are (0: the claim is of none), and the advantage for each.
        split: of the data set, which FID is taken against.
        kind: what sort of claim it is; at: what both rows have alike.
        p: of a measured ordering, the probability of such a difference where there is none.
        p_holm: the same, corrected for the number of orderings (see `corrected`).
    """

    id: str
    topic: Topic
    claim: str
    judgement: Judgement
    judgement_test: Judgement | None = None
    published: float = math.nan
    measured: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seeds: int = 0
    by_seed: Sequence[float] = ()
    split: str = ""
    kind: Kind = Kind.ORDERING
    at: str = ""
    p: float = math.nan
    p_holm: float = math.nan

    @property
    def judgement_holm(self) -> Judgement:
        """What is left of the judgement with at most a 5% chance of any false one among all orderings."""
        decided = self.judgement.verdict in (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED)
        if decided and self.p_holm >= LEVEL:
            return replace(self.judgement, verdict=Verdict.UNDECIDED)
        return self.judgement


LEVEL = 0.05  # of all tests


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """Return claims, their p-values corrected for the number of tests, of which the same one counts once."""
    tests = {_test(claim): claim.p for claim in claims if math.isfinite(claim.p)}
    found = dict(zip(tests, holm([*tests.values()]), strict=True))
    return [replace(claim, p_holm=found.get(_test(claim), math.nan)) for claim in claims]


def _test(claim: Claim) -> tuple[float, ...]:
    return (claim.p, claim.low, claim.high, *claim.by_seed)


CSV = [
    "id", "claim", "kind", "at", "published", "measured", "low", "high", "p", "p_holm", "seeds", "by_seed",
    "split", "difference_percent", "verdict", "verdict_holm", "verdict_test",
]  # fmt: skip


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """Return the claims with the columns of reproduction.csv."""
    lines = [
        vars(claim)
        | {
            "kind": claim.kind.value,
            "seeds": claim.seeds or math.nan,
            "by_seed": ", ".join(f"{value:.2f}" for value in claim.by_seed),
            "difference_percent": 100 * (claim.measured / claim.published - 1),
            "verdict": str(claim.judgement),
            "verdict_holm": str(claim.judgement_holm) if math.isfinite(claim.p_holm) else "",
            "verdict_test": str(claim.judgement_test or ""),
        }
        for claim in claims
    ]
    return pd.DataFrame(lines, columns=CSV)


def _cell(name: str, write: Callable[[Any], str] = amount) -> Cell:
    return lambda line: "" if missing(line[name]) else write(line[name])


_ORDERING = {
    "claim": _cell("claim", str),
    "at": _cell("at", str),
    "verdict": _cell("verdict", str),
    "measured difference": _cell("measured"),
    "low": _cell("low"),
    "high": _cell("high"),
    "seeds": _cell("seeds", "{:.0f}".format),
    "by seed": _cell("by_seed", str),
    "verdict of all together": _cell("verdict_holm", str),
    "verdict on test": _cell("verdict_test", str),
}
_DESIGN = {name: _ORDERING[name] for name in ("claim", "verdict", "measured difference")}
COLUMNS = {
    Kind.ORDERING: _ORDERING,
    Kind.DESIGN: _DESIGN,
    Kind.CONJUNCTION: {name: _ORDERING[name] for name in ("claim", "verdict")},
    Kind.NUMBER: {
        "claim": _cell("claim", str),
        "published": _cell("published"),
        "measured": _cell("measured"),
        "difference (%)": _cell("difference_percent", "{:+.1f}".format),
        "verdict": _cell("verdict", str),
    },
}
WORDS = ("claim", "at", "verdict", "verdict of all together", "verdict on test")


def claims_table(claims: Sequence[Claim], kind: Kind) -> Table:
    """Return what a reader wants of one kind of claims."""
    lines = claims_frame([claim for claim in claims if claim.kind is kind])
    return Table(as_text(lines, COLUMNS[kind]), WORDS, SIGNS)


def write_reproduction(claims: Sequence[Claim], caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write the claims as paths['csv'], and for reading as paths['md'] and paths['html']."""
    titles = {
        Kind.ORDERING: "Measured orderings",
        Kind.CONJUNCTION: "Several in one",
        Kind.DESIGN: "Facts of the design",
        Kind.NUMBER: "Published numbers",
    }
    blocks: list[Block] = []
    for kind, title in titles.items():
        verdicts = [claim.judgement.verdict for claim in claims if claim.kind is kind]
        if set(verdicts) == {Verdict.NOT_COMPARABLE}:
            blocks.append(Note(f"{title}: {len(verdicts)}, none comparable; the data are not the paper's."))
        elif verdicts:
            blocks += [Heading(title), claims_table(claims, kind)]
    blocks.append(Note(caption))
    texts = {
        "csv": documents.csv(claims_frame(claims)),
        "md": documents.markdown(blocks),
        "html": documents.html("Claims of the paper", blocks),
    }
    write_texts(texts, paths)
