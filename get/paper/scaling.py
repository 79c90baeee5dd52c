"""FID over training compute as a law, with intervals, and where the curves of a GET and a ViT cross.

The law is FID(C) = floor + excess (C / C_end)^-power, a power law with an offset, fitted to all milestones of
all seeds by least squares of errors relative to the mean of each milestone. Milestones at which a run is on
the plateau of the mean image are no part of it. Intervals are Student's t with the standard deviation over
resampled seeds, the same ones for both of a pair, whose runs share noise and pairs (percentiles of so few
seeds are too narrow).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from get.paper import documents, style
from get.paper.cells import Cell, Line, amount, missing, number, operations
from get.paper.documents import Block, Note, Paragraph, Picture, Table, as_text, write_texts
from get.paper.figures import CLASSES, FID, Paths, finish_fid_axes, scale_of
from get.paper.results import Row, read_rows
from get.paper.statistics import side
from get.paper.versus import Milestones, training_flops
from get.storage.reading import read_json

Array = NDArray[np.float64]
RESAMPLES, POINTS = 1000, 400
MOST = 0.975  # of the resamples must have a crossing for an interval of it
POWERS = np.geomspace(0.02, 4, 160)  # of the law, which are tried
MARGIN = 10.0  # how far beyond the measured compute a crossing is looked for
FEWEST = 4  # milestones: the law has three parameters


@dataclass(frozen=True)
class Laws:
    """One law for each set of weights: arrays (R,); the first is that of all seeds alike."""

    floor: Array
    excess: Array
    power: Array
    end: float

    def at(self, compute: Array) -> Array:
        """Return the FIDs (R, N) at some computes (N,)."""
        falling = np.exp(-self.power[:, None] * np.log(compute / self.end))
        return self.floor[:, None] + self.excess[:, None] * falling


def fit(compute: Array, fid: Array, scale: Array, weights: Array) -> Laws:
    """Return the laws that fit best: for each of the `POWERS`, floor and excess have a closed form.

    Args:
        compute, fid: of points (N,).
        scale: what errors are relative to (N,); the points themselves would draw the law below their mean.
        weights: (R, N) of the points, for each law.
    """
    end, size = float(compute.max()), scale.mean()
    scale, fid = scale / size, fid / size
    # floor u + excess v - t is to be small, neither below zero; v is (P, N), what follows (R, 1) or (R, P)
    u, t, v = 1 / scale, fid / scale, (compute / end) ** -POWERS[:, None] / scale
    uu, ut, tt = (weights @ each[:, None] for each in (u * u, u * t, t * t))
    vv, uv, vt = (weights @ each.T for each in (v * v, u * v, v * t))
    floor = np.clip((ut * vv - vt * uv) / np.maximum(uu * vv - uv**2, 1e-12), 0, None)
    excess = np.clip((vt - floor * uv) / vv, 0, None)
    floor = np.where(excess > 0, floor, ut / uu)
    error = floor**2 * uu + excess**2 * vv + tt + 2 * (floor * excess * uv - floor * ut - excess * vt)
    rows, best = np.arange(len(weights)), error.argmin(1)
    return Laws(size * floor[rows, best], size * excess[rows, best], POWERS[best], end)


def resampled_seeds(count: int) -> Array:
    """Return how often each of the seeds is drawn (R, count): each once, then in every resample."""
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return np.vstack([np.ones(count), drawn]).astype(float)


def interval(values: Array, seeds: int) -> tuple[Any, Any]:
    """Return the ends of the 95% interval of the first of values (R, ...); the others are of resampled seeds.

    Student's t with their standard deviation, which is too small by a factor for so few seeds; NaN of one.
    """
    if seeds < 2:
        return np.full_like(values[0], np.nan), np.full_like(values[0], np.nan)
    half = stdtrit(seeds - 1, 0.975) * math.sqrt(seeds / (seeds - 1)) * values[1:].std(axis=0)
    return values[0] - half, values[0] + half


@dataclass(frozen=True)
class Curve:
    """A student over its milestones.

    Args:
        row: the last milestone.
        compute: operations of training (M,); fids: FID (train) (S, M), a line for each of the `seeds`.
    """

    row: Row
    compute: Array
    fids: Array
    seeds: Sequence[int | None]

    def laws(self, draws: Array) -> Laws:
        """Return the laws for some numbers of times that each seed is drawn (R, S)."""
        compute, scale = (np.tile(each, len(self.seeds)) for each in (self.compute, self.fids.mean(0)))
        return fit(compute, self.fids.ravel(), scale, np.repeat(draws, len(self.compute), axis=1))


@dataclass(frozen=True)
class Pair:
    """The curves of a GET and of the ViT that it is set against, over the same seeds."""

    get: Curve
    vit: Curve

    @cached_property
    def laws(self) -> tuple[Laws, Laws]:
        """The laws of both: of all seeds, and of resampled ones, drawn alike for both."""
        draws = resampled_seeds(len(self.get.seeds))
        return self.get.laws(draws), self.vit.laws(draws)

    @property
    def title(self) -> str:
        """What the pair is called."""
        kind = CLASSES[bool(self.get.row.runs[0].conditional)]
        return f"{self.get.row.label} and {self.vit.row.label}, {kind}"

    @property
    def common(self) -> tuple[float, float]:
        """The computes between which both were measured."""
        both = self.get.compute, self.vit.compute
        return max(each.min() for each in both), min(each.max() for each in both)

    @cached_property
    def crossings(self) -> Array:
        """Where the laws first cross (R,): computes up to `MARGIN` times those measured, NaN for none."""
        low, high = self.common
        grid = np.geomspace(low, MARGIN * high, POINTS)
        ours, theirs = (laws.at(grid) for laws in self.laws)
        behind = ours - theirs
        change = np.diff(np.sign(behind), axis=1) != 0
        first, rows = change.argmax(1), np.arange(len(change))
        before, after = behind[rows, first], behind[rows, first + 1]
        share = np.where(change.any(1), before / np.where(before == after, 1, before - after), 0)
        return np.where(change.any(1), grid[first] * (grid[1] / grid[0]) ** share, np.nan)


class Found(NamedTuple):
    """The pairs that have laws, and what those are called that have none."""

    pairs: list[Pair]
    left_out: list[str]


def read_pairs(settings: str | Path, costs: str | Path) -> Found:
    """Return the curves of GETs and ViTs that a settings file lists; raises `UserError` as `read_rows`."""
    listed = read_json(settings)["versus"]
    return pairs_of([(read_rows(get, costs), read_rows(vit, costs)) for get, vit in listed])


def pairs_of(pairs: Sequence[tuple[Milestones, Milestones]]) -> Found:
    """Return the curves of GETs and ViTs, given their milestones.

    Left out are those of too few milestones off the plateau, without costs, seeds or compute in common.
    """
    found = Found([], [])
    for get, vit in pairs:
        seeds = set.intersection(*({run.seed for run in row.runs} for row in (*get, *vit)))
        curves = [_curve(rows, sorted(seeds, key=str)) for rows in (get, vit)]
        enough = seeds and all(len(curve.compute) >= FEWEST for curve in curves)
        pair = Pair(*curves)
        if enough and pair.common[0] < pair.common[1]:
            found.pairs.append(pair)
        else:
            found.left_out.append(pair.title)
    return found


def _curve(rows: Milestones, seeds: Sequence[int | None]) -> Curve:
    """Return the curve of a student over these seeds, without milestones on the plateau."""
    free = [row for row in rows if not any(run.plateau for run in row.runs)]
    by_seed = [{run.seed: run.of(None)["fid_train"] for run in row.runs} for row in free]
    fids = np.array([[row[seed] for row in by_seed] for seed in seeds], float)
    return Curve(rows[-1], np.array([training_flops(row) for row in free]), fids, seeds)


# -------------------------------------------------------------------------------------------------- table


def lines_of(pairs: Sequence[Pair]) -> list[Line]:
    """Return a line for each curve: its law, with intervals."""
    lines: list[Line] = []
    for pair in pairs:
        for curve, laws in zip((pair.get, pair.vit), pair.laws, strict=True):
            line = {
                "student": curve.row.student,
                "method": curve.row.label,
                "from_flops": curve.compute.min(),
                "to_flops": curve.compute.max(),
                "fid_train": curve.fids[:, -1].mean(),
                "milestones": len(curve.compute),
                "seeds": len(curve.seeds),
            }
            for name in ("floor", "excess", "power"):
                values = getattr(laws, name)
                low, high = interval(values, len(curve.seeds))
                line |= {name: values[0], f"{name}_low": max(low, 0.0), f"{name}_high": high}
            lines.append(line)
    return lines


def crossing_lines(pairs: Sequence[Pair]) -> list[Line]:
    """Return a line for each pair: who is ahead at the most compute of both, and where the laws cross.

    `advantage` is ln(FID of the ViT / FID of the GET) there. `crossing` is NaN where the laws do not cross up
    to `searched_flops`, its interval where they do so in too few of the resamples (`share_crossing`).
    """
    lines: list[Line] = []
    for pair in pairs:
        seeds, (low, high) = len(pair.get.seeds), pair.common
        ours, theirs = (laws.at(np.array([high]))[:, 0] for laws in pair.laws)
        behind, ahead = interval(np.log(theirs / ours), seeds)
        share = float(np.isfinite(pair.crossings[1:]).mean())
        first, last = np.nan, np.nan
        if np.isfinite(pair.crossings[0]) and share >= MOST:
            crossings = np.log(pair.crossings)
            known = np.concatenate([crossings[:1], crossings[1:][np.isfinite(crossings[1:])]])
            first, last = map(math.exp, interval(known, seeds))
        lines.append(
            {"pair": pair.title, "get": pair.get.row.label, "vit": pair.vit.row.label, "seeds": seeds}
            | {"low_flops": low, "high_flops": high, "searched_flops": MARGIN * high}
            | {"advantage": math.log(theirs[0] / ours[0]), "advantage_low": behind, "advantage_high": ahead}
            | {"crossing": pair.crossings[0], "crossing_low": first, "crossing_high": last}
            | {"share_crossing": share if seeds > 1 else np.nan}
        )
    return lines


def in_words(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a sentence about each pair."""
    for pair, line in zip(pairs, crossing_lines(pairs), strict=True):
        verdict = side(line["advantage_low"], line["advantage_high"])
        lower = {"better": line["get"], "worse": line["vit"]}.get(verdict)
        said = f"{lower} has the lower FID" if lower else "it is undecided whose FID is lower"
        compute = f"{amount(line['high_flops'])}FLOP, the most that both have"
        yield f"{pair.title}: by the laws, at {compute}, {said}. {_crossing(line)}"


def _crossing(line: Line) -> str:
    """Return where two laws cross."""
    share = "" if missing(line["share_crossing"]) else f" in {100 * line['share_crossing']:.0f}% of resamples"
    if missing(line["crossing"]):
        searched = f"between {amount(line['low_flops'])}FLOP and {amount(line['searched_flops'])}FLOP"
        return f"The laws do not cross {searched}" + (f" (they do{share})." if share else ".")
    place = "" if line["crossing"] <= line["high_flops"] else ", beyond what was measured"
    ends = [line["crossing_low"], line["crossing_high"]]
    sure = f" (they do{share})" if share else ""
    if not any(map(missing, ends)):
        low, high = map(amount, ends)
        sure = f" (95% interval {low} to {high})"
    return f"The laws cross at {amount(line['crossing'])}FLOP{place}{sure}."


def _interval(name: str, digits: int) -> Cell:
    def cell(line: Line) -> str:
        low, value, high = (line[f"{name}_low"], line[name], line[f"{name}_high"])
        ends = "" if missing(high) else f" ({low:.{digits}f} to {high:.{digits}f})"
        return f"{value:.{digits}f}{ends}"

    return cell


COLUMNS: dict[str, Cell] = {
    "Student": lambda line: str(line["method"]),
    "Milestones": number("milestones"),
    "Seeds": number("seeds"),
    "FLOP from": operations("from_flops"),
    "FLOP to": operations("to_flops"),
    "FID (train) there": number("fid_train", 2),
    "Floor of FID": _interval("floor", 1),
    "Above it there": _interval("excess", 1),
    "Power": _interval("power", 2),
}


def write_scaling(found: Found, caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write laws ('csv'), crossings ('crossings'), the figure ('pdf', 'png'), and pages ('md', 'html')."""
    lines = lines_of(found.pairs)
    draw(found.pairs, [paths["pdf"], paths["png"]])
    rest = f" Without laws, for want of {FEWEST} such milestones of both: {'; '.join(found.left_out)}."
    blocks: list[Block] = [
        *(Paragraph(sentence) for sentence in in_words(found.pairs)),
        Picture(paths["png"], "FID over training compute"),
        Table(as_text(pd.DataFrame(lines), COLUMNS), ("Student",)),
        Note(caption + rest * bool(found.left_out)),
    ]
    texts = {
        "csv": documents.csv(pd.DataFrame(lines)),
        "crossings": documents.csv(pd.DataFrame(crossing_lines(found.pairs))),
        "md": documents.markdown(blocks),
        "html": documents.html("FID over training compute", blocks),
    }
    write_texts(texts, {kind: paths[kind] for kind in texts})


# -------------------------------------------------------------------------------------------------- figure


def draw(pairs: Sequence[Pair], paths: Paths) -> None:
    """Draw the laws with 95% bands, a panel for each pair.

    A dot is a run at a milestone, a dotted line a crossing.
    """
    figure, panels = style.panels(max(1, len(pairs)), [pair.title for pair in pairs])
    power, unit = scale_of(pd.Series([pair.common[0] for pair in pairs], dtype=float))
    for axes, pair in zip(panels, pairs, strict=False):
        labels = []
        for family, curve, laws in zip(("get", "vit"), (pair.get, pair.vit), pair.laws, strict=True):
            look = style.look(family, 0)
            compute = np.geomspace(curve.compute.min(), curve.compute.max(), POINTS)
            fids, x = laws.at(compute), compute / power
            low, high = interval(np.log(fids), len(curve.seeds))
            axes.fill_between(x, np.exp(low), np.exp(high), color=look["color"], alpha=0.2, linewidth=0)
            axes.plot(x, fids[0], color=look["color"], linestyle=look["linestyle"])
            dots = {
                "color": look["color"],
                "marker": look["marker"],
                "markerfacecolor": look["markerfacecolor"],
            }
            x = np.tile(curve.compute / power, len(curve.seeds))
            axes.plot(x, curve.fids.ravel(), linestyle="none", markersize=2.5, **dots)
            labels.append((curve.compute[-1] / power, fids[0, -1], curve.row.label, look["color"]))
        if pair.crossings[0] <= pair.common[1]:
            axes.axvline(pair.crossings[0] / power, color="0.4", linewidth=0.6, linestyle=":")
        axes.set_xlabel(f"training compute in {unit}FLOP")
        axes.set_ylabel(FID)
        style.log_axis(axes, "x")
        finish_fid_axes(axes, labels)
    style.save(figure, paths)
