"""Laws of FID over training compute, and where they cross, from fabricated scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricate_results import GET, VIT, costs, row, run
from numpy.typing import NDArray

from get.experiment.contents import compared_laws
from get.paper.results import Row
from get.paper.scaling import crossing_lines, fit, in_words, lines_of, pairs_of, write_scaling
from get.studies import load_experiment

STEPS = (1000, 2000, 4000, 8000, 16000)


def milestones(
    label: str, floor: float, excess: float, power: float, *, noise: float = 0.0, stuck: int = 0, **model: Any
) -> list[Row]:
    """Return five milestones of four seeds that follow a law; the first `stuck` of them on the plateau."""
    draws = np.random.default_rng(0).standard_normal((len(STEPS), 4))
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


def test_where_laws_cross() -> None:
    """The ViT is ahead until its floor of 8 is above the GET, which has none."""
    get = milestones("GET-48", 0.0, 4.0, 1.0, noise=0.01, model=GET)
    vit = milestones("ViT-48", 8.0, 0.5, 1.0, noise=0.01, model=VIT)
    (pair,) = pairs_of([(get, vit)])
    # 4 / x = 8 + 0.5 / x at x = 3.5 / 8 of the whole compute
    (line,) = crossing_lines([pair])
    exact = 3.5 / 8 * 16000 * 100 * 1e6
    assert line["crossing"] == pytest.approx(exact, rel=0.05)
    assert line["crossing_low"] < line["crossing"] < line["crossing_high"]
    assert (line["ahead_first"], line["ahead_last"], line["share_crossing"]) == (False, True, 1.0)
    (words,) = in_words([pair])
    assert words.startswith(
        "GET-48 is ahead of ViT-48, class-conditional, at the most compute that both have"
    )
    assert "The laws cross at" in words
    assert "in 100% of resamples)" in words


def test_laws_that_do_not_cross() -> None:
    get, vit = (milestones(name, floor, 4.0, 0.5, noise=0.01) for name, floor in (("GET", 9.0), ("ViT", 3.0)))
    (pair,) = pairs_of([(get, vit)])
    (words,) = in_words([pair])
    assert words.startswith("ViT is ahead of GET")
    assert words.endswith("The laws do not cross, nor would they up to 10 times as much.")
    beyond = pairs_of([(milestones("GET", 0.0, 9.0, 0.5), milestones("ViT", 6.0, 2.0, 0.5))])
    assert "beyond what was measured" in next(in_words(beyond))


def test_milestones_on_the_plateau_are_left_out() -> None:
    get, vit = milestones("GET", 3.0, 4.0, 0.5, stuck=1), milestones("ViT", 3.0, 4.0, 0.5)
    (pair,) = pairs_of([(get, vit)])
    assert [line["milestones"] for line in lines_of([pair])] == [4, 5]
    assert pairs_of([(milestones("GET", 3.0, 4.0, 0.5, stuck=2), vit)]) == []


def test_the_files(tmp_path: Path, drawn: list[Any]) -> None:
    pairs = pairs_of(
        [(milestones("GET", 0.0, 4.0, 1.0, noise=0.1), milestones("ViT", 8.0, 0.5, 1.0, noise=0.1))]
    )
    paths = {kind: tmp_path / f"laws.{kind}" for kind in ("csv", "crossings", "md", "html", "pdf", "png")}
    write_scaling(pairs, "A caption.", paths)
    assert pd.read_csv(paths["csv"])["student"].tolist() == ["get", "vit"]
    assert pd.read_csv(paths["crossings"])["crossing"].notna().all()
    assert "nan" not in paths["md"].read_text()
    write_scaling([], "A caption.", paths)
    (axes,), _ = (figure.axes for figure in drawn)
    assert axes.get_title() == "GET and ViT, class-conditional"
    assert len(axes.collections) >= 2  # bands


def test_few_milestones_have_no_laws(config: dict[str, Any], edit: Any) -> None:
    assert compared_laws(load_experiment(config)) == []
    edited = edit([1, 2, 3, 4, 5], "students", "get", "milestones")
    edited["students"]["vit"]["milestones"] = [1, 2, 3, 4, 5]
    edited["paper"]["table2"] = [{"student": "get"}]
    assert compared_laws(load_experiment(edited)) == [("get", "vit")]
