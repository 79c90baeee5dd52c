"""FID over training compute as a law, with intervals, and where the curves of a GET and a ViT cross.

The law is FID(C) = floor + excess (C / C_end)^-power, a power law with an offset, fitted to all milestones of
all seeds by least squares of errors relative to the mean of each milestone. Intervals are percentiles over
resampled seeds, the same ones for both of a pair, whose runs share noise and pairs. Milestones at which a run
is on the plateau of the mean image are no part of the law.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from get.paper import documents, style
from get.paper.cells import Cell, Line, amount, missing, number
from get.paper.documents import Block, Note, Paragraph, Picture, Table, as_text, write_texts
from get.paper.figures import CLASSES, FID, Paths, finish_fid_axes, scale_of
from get.paper.results import Row, read_rows
from get.paper.versus import Milestones, training_flops
from get.storage.reading import read_json

Array = NDArray[np.float64]
RESAMPLES, POINTS = 1000, 400
POWERS = np.geomspace(0.02, 4, 160)  # of the law, which are tried
MARGIN = 10.0  # how far beyond the measured compute a crossing is looked for
FEWEST = 4  # milestones: the law has three parameters
ENDS = (2.5, 97.5)  # percentiles


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
    end = float(compute.max())
    # floor u + excess v - t is to be small, neither below zero; v is (P, N), what follows (R, 1) or (R, P)
    u, t, v = 1 / scale, fid / scale, (compute / end) ** -POWERS[:, None] / scale
    uu, ut, tt = (weights @ each[:, None] for each in (u * u, u * t, t * t))
    vv, uv, vt = (weights @ each.T for each in (v * v, u * v, v * t))
    floor = np.clip((ut * vv - vt * uv) / np.maximum(uu * vv - uv**2, 1e-12), 0, None)
    excess = np.clip((vt - floor * uv) / vv, 0, None)
    floor = np.where(excess > 0, floor, ut / uu)
    error = floor**2 * uu + excess**2 * vv + tt + 2 * (floor * excess * uv - floor * ut - excess * vt)
    rows, best = np.arange(len(weights)), error.argmin(1)
    return Laws(floor[rows, best], excess[rows, best], POWERS[best], end)


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
        count = len(self.get.seeds)
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
        draws = np.vstack([np.ones(count), drawn]).astype(float)
        return self.get.laws(draws), self.vit.laws(draws)

    @property
    def conditional(self) -> bool:
        """Whether both see the class."""
        return bool(self.get.row.runs[0].conditional)

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


def read_pairs(settings: str | Path, costs: str | Path) -> list[Pair]:
    """Return the curves of GETs and ViTs that a settings file lists; raises `UserError` as `read_rows`."""
    listed = read_json(settings)["versus"]
    return pairs_of([(read_rows(get, costs), read_rows(vit, costs)) for get, vit in listed])


def pairs_of(pairs: Sequence[tuple[Milestones, Milestones]]) -> list[Pair]:
    """Return the curves of GETs and ViTs, given their milestones; but for too few off the plateau."""
    found = []
    for get, vit in pairs:
        seeds = set.intersection(*({run.seed for run in row.runs} for row in (*get, *vit)))
        curves = [_curve(rows, sorted(seeds, key=str)) for rows in (get, vit)]
        if all(len(curve.compute) >= FEWEST and curve.seeds for curve in curves):
            found.append(Pair(*curves))
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
                line |= _with_ends(name, getattr(laws, name))
            lines.append(line)
    return lines


def _with_ends(name: str, values: Array) -> dict[str, float]:
    """Return the first of some values, and the ends of the interval of the others."""
    low, high = np.nanpercentile(values[1:], ENDS) if np.isfinite(values[1:]).any() else (np.nan, np.nan)
    return {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def crossing_lines(pairs: Sequence[Pair]) -> list[Line]:
    """Return a line for each pair: who is ahead at the ends of the measured compute, and where they cross."""
    lines: list[Line] = []
    for pair in pairs:
        low, high = pair.common
        ours, theirs = (laws.at(np.array([low, high])) for laws in pair.laws)
        ahead = ours < theirs  # (R, 2)
        measured = pair.crossings <= high
        lines.append(
            {"get": pair.get.row.label, "vit": pair.vit.row.label, "low_flops": low, "high_flops": high}
            | {"ahead_first": bool(ahead[0, 0]), "ahead_last": bool(ahead[0, 1])}
            | {"share_ahead_last": float(ahead[1:, 1].mean())}
            | _with_ends("crossing", pair.crossings)
            | {"share_measured": float(measured[1:].mean())}
            | {"share_crossing": float(np.isfinite(pair.crossings[1:]).mean())}
        )
    return lines


def in_words(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a sentence about each pair."""
    for pair, line in zip(pairs, crossing_lines(pairs), strict=True):
        names, share = [line["get"], line["vit"]], line["share_ahead_last"]
        if not line["ahead_last"]:
            names, share = names[::-1], 1 - share
        ahead, other = names
        yield (
            f"{ahead} is ahead of {other}, {CLASSES[pair.conditional]}, at the most compute that both have"
            f" ({amount(line['high_flops'])}FLOP; in {100 * share:.0f}% of resamples). {_crossing(line)}"
        )


def _crossing(line: Line) -> str:
    """Return where two laws cross."""
    if missing(line["crossing"]):
        return f"The laws do not cross, nor would they up to {MARGIN:g} times as much."
    place = "" if line["crossing"] <= line["high_flops"] else ", beyond what was measured"
    low, high = (amount(line[f"crossing_{end}"]) for end in ("low", "high"))
    return (
        f"The laws cross at {amount(line['crossing'])}FLOP{place} ({low} to {high}; they cross in"
        f" {100 * line['share_crossing']:.0f}% of resamples)."
    )


def _interval(name: str, digits: int) -> Cell:
    return lambda line: (
        f"{line[name]:.{digits}f} ({line[f'{name}_low']:.{digits}f} to {line[f'{name}_high']:.{digits}f})"
    )


def _flops(name: str) -> Cell:
    return lambda line: amount(line[name])


COLUMNS: dict[str, Cell] = {
    "Student": lambda line: str(line["method"]),
    "Milestones": number("milestones"),
    "Seeds": number("seeds"),
    "FLOP from": _flops("from_flops"),
    "FLOP to": _flops("to_flops"),
    "FID (train) there": number("fid_train", 2),
    "Floor of FID": _interval("floor", 1),
    "Above it there": _interval("excess", 1),
    "Power": _interval("power", 2),
}


def write_scaling(pairs: Sequence[Pair], caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write laws ('csv'), crossings ('crossings'), the figure ('pdf', 'png'), and pages ('md', 'html')."""
    lines = lines_of(pairs)
    draw(pairs, [paths["pdf"], paths["png"]])
    blocks: list[Block] = [
        *(Paragraph(sentence) for sentence in in_words(pairs)),
        Picture(paths["png"], "FID over training compute"),
        Table(as_text(pd.DataFrame(lines), COLUMNS), ("Student",)),
        Note(f"{caption} A pair is left out where one has fewer than {FEWEST} such milestones."),
    ]
    texts = {
        "csv": documents.csv(pd.DataFrame(lines)),
        "crossings": documents.csv(pd.DataFrame(crossing_lines(pairs))),
        "md": documents.markdown(blocks),
        "html": documents.html("FID over training compute", blocks),
    }
    write_texts(texts, {kind: paths[kind] for kind in texts})


# -------------------------------------------------------------------------------------------------- figure


def draw(pairs: Sequence[Pair], paths: Paths) -> None:
    """Draw the laws with 95% bands, a panel for each pair.

    A dot is a run at a milestone, a dotted line a crossing.
    """
    titles = [f"{pair.get.row.label} and {pair.vit.row.label}, {CLASSES[pair.conditional]}" for pair in pairs]
    figure, panels = style.panels(max(1, len(pairs)), titles)
    power, unit = scale_of(pd.Series([pair.common[0] for pair in pairs], dtype=float))
    for axes, pair in zip(panels, pairs, strict=False):
        labels = []
        for family, curve, laws in zip(("get", "vit"), (pair.get, pair.vit), pair.laws, strict=True):
            look = style.look(family, 0)
            compute = np.geomspace(curve.compute.min(), curve.compute.max(), POINTS)
            fids, x = laws.at(compute), compute / power
            low, high = np.percentile(fids[1:], ENDS, axis=0)
            axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
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
        style.log_axis(axes, "x", base=2)
        finish_fid_axes(axes, labels)
    style.save(figure, paths)
