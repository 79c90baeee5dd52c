"""Laws of FID over training compute, and where they cross, from fabricated scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricate_results import costs, row, run
from numpy.typing import NDArray

from get.experiment.contents import compared_laws
from get.paper.results import Row
from get.paper.scaling import (
    Curve,
    crossing_lines,
    fit,
    in_words,
    interval,
    lines_of,
    pairs_of,
    resampled_seeds,
    write_scaling,
)
from get.studies import load_experiment

STEPS = (1000, 2000, 4000, 8000, 16000)


def milestones(
    label: str, floor: float, excess: float, power: float, *, noise: float = 0.0, stuck: int = 0, **model: Any
) -> list[Row]:
    """Return five milestones of four seeds that follow a law; the first `stuck` of them on the plateau."""
    draws = np.random.default_rng(sum(map(ord, label))).standard_normal((len(STEPS), 4))
    return [
        row(
            label,
            *(
                run(
                    (floor + excess * (step / STEPS[-1]) ** -power) * (1 + noise * each),
                    seed=seed,
                    step=step,
                    plateau=place < stuck,
                    **model,
                )
                for seed, each in enumerate(draws[place])
            ),
            costs=costs(training_flops=1e6),
            student=label.lower(),
            batch=100,
        )
        for place, step in enumerate(STEPS)
    ]


def test_a_law_is_found_again() -> None:
    compute = np.geomspace(1, 100, 8)
    fids = 3 + 7 * (compute / 100) ** -0.7
    laws = fit(compute, fids, fids, np.ones((1, 8)))
    # powers are on a grid of 3%
    assert laws.power[0] == pytest.approx(0.7, rel=0.04)
    assert laws.floor[0] == pytest.approx(3, abs=0.3)
    assert laws.at(compute)[0] == pytest.approx(fids, rel=0.01)


@pytest.mark.parametrize(
    ("fids", "floor"), [(np.full(6, 5.0), 5.0), (np.linspace(3, 8, 6), None)], ids=["flat", "rising"]
)
def test_what_does_not_fall_has_a_floor_alone(fids: NDArray[np.float64], floor: float | None) -> None:
    laws = fit(np.geomspace(1, 100, 6), fids, fids, np.ones((1, 6)))
    found = laws.at(np.array([1.0, 100.0]))[0]
    assert found[0] == pytest.approx(found[1], rel=0.01)
    assert floor is None or found[0] == pytest.approx(floor)


def noisy(label: str, floor: float, excess: float, power: float, **change: Any) -> list[Row]:
    return milestones(label, floor, excess, power, noise=0.01, **change)


def test_where_laws_cross() -> None:
    """The ViT is ahead until its floor of 8 is above the GET, which has none."""
    (pair,), _ = pairs_of([(noisy("GET-48", 0.0, 4.0, 1.0), noisy("ViT-48", 8.0, 0.5, 1.0))])
    # 4 / x = 8 + 0.5 / x at x = 3.5 / 8 of the whole compute
    (line,) = crossing_lines([pair])
    exact = 3.5 / 8 * 16000 * 100 * 1e6
    assert line["crossing"] == pytest.approx(exact, rel=0.05)
    assert line["crossing_low"] < exact < line["crossing_high"]
    assert line["share_crossing"] == 1.0
    (words,) = in_words([pair])
    assert words.startswith(
        "GET-48 and ViT-48, class-conditional: by the laws, at 1.6TFLOP, the most that both"
    )
    assert "have, GET-48 has the lower FID. The laws cross at" in words
    assert "(95% interval" in words


def test_laws_that_do_not_cross() -> None:
    (pair,), _ = pairs_of([(noisy("GET", 9.0, 4.0, 0.5), noisy("ViT", 3.0, 4.0, 0.5))])
    (words,) = in_words([pair])
    assert "ViT has the lower FID." in words
    assert words.endswith("The laws do not cross between 100GFLOP and 16TFLOP (they do in 0% of resamples).")
    beyond, _ = pairs_of([(noisy("GET", 0.0, 9.0, 0.5), noisy("ViT", 6.0, 2.0, 0.5))])
    assert "beyond what was measured" in next(in_words(beyond))


def test_what_is_not_sure_is_said_to_be_undecided() -> None:
    alike, _ = pairs_of([(noisy("GET", 3.0, 4.0, 0.5), noisy("ViT", 3.0, 4.0, 0.5))])
    assert "it is undecided whose FID is lower" in next(in_words(alike))
    # nor is anything by one seed
    one = [
        [replace(each, runs=each.runs[:1]) for each in noisy(name, floor, 4.0, 0.5)]
        for name, floor in (("GET", 9.0), ("ViT", 3.0))
    ]
    found, _ = pairs_of([(one[0], one[1])])
    assert "it is undecided" in next(in_words(found))
    assert np.isnan(lines_of(found)[0]["floor_high"])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """A law of five seeds, each 3% higher or lower as a whole, each point 2% more: 95% are due."""
    draws, compute, held = np.random.default_rng(1), np.geomspace(1, 20, 6), 0
    fids = 3 + 4 * (compute / 20) ** -0.8
    for _ in range(100):
        noise = 1 + 0.03 * draws.standard_normal((5, 1)) + 0.02 * draws.standard_normal((5, 6))
        laws = Curve(row("x"), compute, fids * noise, range(5)).laws(resampled_seeds(5))
        low, high = interval(laws.floor, 5)
        held += low <= 3 <= high
    assert held >= 90


def test_pairs_without_laws_are_named() -> None:
    get, vit = milestones("GET", 3.0, 4.0, 0.5, stuck=1), milestones("ViT", 3.0, 4.0, 0.5)
    (pair,), _ = pairs_of([(get, vit)])
    assert [line["milestones"] for line in lines_of([pair])] == [4, 5]
    stuck = milestones("GET", 3.0, 4.0, 0.5, stuck=2)
    costless = [replace(each, costs=None) for each in get]
    apart = [replace(each, batch=10**6) for each in milestones("GET", 3.0, 4.0, 0.5)]
    for other in (stuck, costless, apart):
        assert pairs_of([(other, vit)]) == ([], ["GET and ViT, class-conditional"])


def test_the_files(tmp_path: Path, drawn: list[Any]) -> None:
    laws = (("GET", 0.0, 4.0, 1.0), ("ViT", 8.0, 0.5, 1.0))
    get, vit = (milestones(*law, noise=0.1) for law in laws)
    kinds = ("csv", "crossings", "md", "html", "pdf", "png")
    paths = {kind: tmp_path / f"laws.{kind}" for kind in kinds}
    write_scaling(pairs_of([(get, vit)]), "A caption.", paths)
    assert pd.read_csv(paths["csv"])["student"].tolist() == ["get", "vit"]
    assert pd.read_csv(paths["crossings"])["crossing"].notna().all()
    assert "nan" not in paths["md"].read_text()
    write_scaling(pairs_of([(get[3:], vit)]), "A caption.", paths)
    assert "Without laws" in paths["md"].read_text()
    (axes,), _ = (figure.axes for figure in drawn)
    assert axes.get_title() == "GET and ViT, class-conditional"
    assert len(axes.collections) >= 2  # bands


def test_few_milestones_have_no_laws(config: dict[str, Any], edit: Any) -> None:
    assert compared_laws(load_experiment(config)) == []
    edited = edit([1, 2, 3, 4, 5], "students", "get", "milestones")
    edited["students"]["vit"]["milestones"] = [1, 2, 3, 4, 5]
    edited["paper"]["table2"] = [{"student": "get"}]
    assert compared_laws(load_experiment(edited)) == [("get", "vit")]
