"""Results: what is read from files, and the statistics of rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate_results import VIT, costs, row, run, run_content, seeds, write_scores

from get.paper.results import Costs, CostsFile, Scores, read_rows
from get.paper.statistics import advantage, over_iterations, row_statistics
from get.storage.errors import UserError
from get.storage.variants import Rule, Variant


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("lowest-residual-6", Variant(Rule.LOWEST_RESIDUAL, 6)),
        ("last-10", Variant(Rule.LAST, 10)),
        ("anderson-ridge-3", Variant("anderson-ridge", 3)),
        ("one-step", Variant("one-step")),
    ],
)
def test_a_variant_is_what_its_name_says(name: str, variant: Variant) -> None:
    assert Variant.parse(name) == variant
    assert str(variant) == name


def test_one_seed_has_the_bootstraps_deviation() -> None:
    found = row_statistics(row("GET", run(10.0)))
    assert (found["fid_train"], found["fid_train_sd"], found["fid_test_sd"]) == (10.0, 1.0, 2.0)
    assert (found["seeds"], found["sd_over"]) == (1, "bootstrap")
    assert (found["fid_train_low"], found["fid_train_high"]) == (8.04, 11.96)
    assert found["fid_train_last"] == 10.5
    assert found["training_flops"] == 1.8e7 * 64 * 2000


def test_several_seeds_have_mean_and_deviation_over_seeds() -> None:
    found = row_statistics(row("GET", run(10.0), run(12.0)))
    assert found["fid_train"] == 11.0
    assert found["fid_train_sd"] == pytest.approx(2**0.5)
    assert (found["seeds"], found["sd_over"]) == (2, "seeds")
    assert np.isnan(found["fid_train_low"])


def test_advantage_pairs_seeds_and_resamples() -> None:
    one = row("a", run(10.0, seed=0), run(12.0, seed=1))
    other = row("b", run(13.0, seed=1), run(11.5, seed=0))
    found = advantage(one, other, "fid_train")
    assert (found.value, list(found.by_seed)) == (1.25, [1.5, 1.0])
    assert (found.sampling, found.scatter) == pytest.approx((0.0, 0.25))  # the same resamples
    assert advantage(one, row("b", run(13.0, seed=1)), "fid_train").by_seed == [1.0]  # seeds in common alone
    independent = advantage(row("a", run(10.0)), row("b", run(11.0, noise=1)), "fid_train")
    assert independent.sampling == pytest.approx(2**0.5, rel=0.2)
    of_two = advantage(seeds("a", 10.0, 20.0), seeds("b", 11.0, 21.0, noise=5), "fid_train")
    assert of_two.sampling == pytest.approx(1.0, rel=0.2)  # each of four runs has noise 1
    assert advantage(row("a", run(1.0)), row("b", run(1.0)), "is").value == 0


def test_iterations_are_in_order_and_have_their_times() -> None:
    found = over_iterations([row("GET", run(10.0)), row("ViT", run(8.0, VIT))])
    get = found[found["method"] == "GET"]
    assert get["iterations"].tolist() == [1, 2, 6, 10]
    assert get["fid_train"].tolist() == [15.0, 14.0, 10.0, 6.0]
    np.testing.assert_allclose(get["seconds"], [1e-4, 2e-4, 6e-4, 1e-3])
    assert found[found["method"] == "ViT"]["iterations"].tolist() == [1]


def settings_row(path: Path) -> dict[str, Any]:
    return {"label": "GET", "student": "get", "batch": 32, "published": "GET-Base", "scores": [str(path)]}


def measured(path: Path, found: Costs) -> Path:
    path.write_text(CostsFile(device="CPU", students={"get": found}).model_dump_json())
    return path


def test_rows_are_read_from_settings(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "s.json", run_content(3.0, seed=0))
    (found,) = read_rows([settings_row(path)], measured(tmp_path / "costs.json", costs()))
    assert (found.label, found.batch, found.published, found.device) == ("GET", 32, "GET-Base", "CPU")
    assert found.costs == costs()
    assert row_statistics(found)["fid_train"] == 3.0
    (without,) = read_rows([settings_row(path)])
    assert without.costs is None


def test_costs_of_another_student_are_refused(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "s.json", run_content(3.0, seed=0))
    file = measured(tmp_path / "costs.json", costs(2.0))
    with pytest.raises(UserError, match=f"{file} has no costs of the student that {path} is of"):
        read_rows([settings_row(path)], file)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headline": "last-7"}, "no scores of last-7"),
        ({"step": 0}, "step is 0"),
        ({"nfe": True}, "nfe is True"),
        ({"model": {"family": "get"}}, "no conditioning"),
        ({"bootstrap": {}}, "no bootstrap of fid_train"),
        ({"residuals": [1.0, "2"]}, "residuals is '2'"),
    ],
)
def test_a_damaged_score_file_says_what_is_wrong(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write_scores(tmp_path / "s.json", run_content(3.0) | change)
    with pytest.raises(ValueError, match=reason):
        Scores.read(path)


def test_integers_stay_integers(tmp_path: Path) -> None:
    found = Scores.read(write_scores(tmp_path / "s.json", run_content(3.0)))
    assert [type(found.of(None)[name]) for name in ("samples", "fid_train")] == [int, float]
