"""Tables and figures from small fabricated inputs; they compute no science."""

import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from get.paper import figures
from get.paper.figures import tile, write_grid
from get.paper.published import published
from get.paper.tables import AVERAGED, Entry, readable, table1, write_table


def run(fid: float, **change: Any) -> dict[str, Any]:
    """One fabricated score file of a GET."""
    scores = dict.fromkeys(AVERAGED, 1.0) | {"samples": 5000, "fid_train": fid, "fid_test": fid + 5}
    scores |= {"fid_train_sd": 1.0, "fid_train_low": fid - 1.96, "fid_train_high": fid + 1.96}
    scores |= {"fid_test_sd": 2.0, "fid_test_low": fid + 1.08, "fid_test_high": fid + 8.92}
    content: dict[str, Any] = {
        "conditional": True,
        "nfe": 1,
        "step": 2000,
        "parameters": 1234,
        "plateau": False,
    }
    content |= {"model": {"iterations": 6}, "headline": "lowest-residual-6"}
    content["scores"] = {"lowest-residual-6": scores, "last-6": scores | {"fid_train": fid + 0.5}}
    return content | change


def test_one_seed_has_the_bootstraps_deviation() -> None:
    (row,) = table1([Entry("GET", [run(10.0)])], with_published=False).to_dict("records")
    assert (row["fid_train"], row["fid_train_sd"], row["fid_test_sd"]) == (10.0, 1.0, 2.0)
    assert (row["seeds"], row["sd_over"]) == (1, "bootstrap")
    assert (row["fid_train_low"], row["fid_train_high"]) == (8.04, 11.96)
    assert row["fid_train_last"] == 10.5


def test_several_seeds_have_mean_and_deviation_over_seeds() -> None:
    (row,) = table1([Entry("GET", [run(10.0), run(12.0)])], with_published=False).to_dict("records")
    assert row["fid_train"] == 11.0
    assert row["fid_train_sd"] == pytest.approx(2**0.5)
    assert (row["seeds"], row["sd_over"]) == (2, "seeds")
    assert np.isnan(row["fid_train_low"])


def test_a_stuck_run_is_marked() -> None:
    table = table1([Entry("GET", [run(10.0), run(99.0, plateau=True)])], with_published=False)
    assert "plateau" in table["note"][0]


def test_not_a_number_stays_visible() -> None:
    shown = readable(table1([Entry("GET", [run(float("nan"))])], with_published=False))
    assert shown["FID (train)"][0] == "-"


def test_rows_without_model(tmp_path: Path) -> None:
    teacher = {"conditional": False, "nfe": 35, "headline": "teacher"}
    teacher["scores"] = {"teacher": run(3.0)["scores"]["last-6"]}
    shown = readable(table1([Entry("EDM teacher", [teacher])], with_published=False))
    assert shown.to_dict("records")[0]["NFE"] == "35"
    assert shown["Parameters"][0] == "-"


def test_published_rows_come_only_with_the_papers_data() -> None:
    entries = [Entry("GET", [run(10.0)])]
    assert len(table1(entries, with_published=False)) == 1
    table = table1(entries, with_published=True)
    assert len(table) == 1 + len(published("paper table 1")) == 16
    ours, theirs = table.iloc[0], table[table["method"] == "GET-Base"].iloc[0]
    assert ours["source"] == "measured"
    assert theirs["source"].startswith("published: Geng")
    assert theirs["fid_published"] == 6.91
    assert np.isnan(theirs["fid_train"])  # the paper does not name its split
    assert readable(table)["FID (published)"].tolist()[:2] == ["-", "3.17"]


def test_three_formats(tmp_path: Path) -> None:
    table = table1([Entry("GET & <b>_1", [run(10.0)])], with_published=False)
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")}
    write_table(table, readable(table), "A caption.", "tab:x", paths)
    assert pd.read_csv(paths["csv"])["fid_train"][0] == 10.0
    assert "10.00 ± 1.00" in paths["md"].read_text()
    latex = paths["tex"].read_text()
    assert r"\toprule" in latex
    assert r"GET \& <b>\_1" in latex
    assert r"10.00 $\pm$ 1.00" in latex
    assert latex.count("{") == latex.count("}")
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in rows}) == 1


def test_every_published_row_has_a_source() -> None:
    table = pd.concat([published(f"paper table {n}") for n in range(1, 7)])
    assert table["source"].notna().all()
    assert len(table) > 40


def test_tile_keeps_every_pixel() -> None:
    images = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)
    picture = tile(images, 3)
    assert picture.shape == (5, 8, 3)
    np.testing.assert_array_equal(picture[3:5, 3:5], images[4].transpose(1, 2, 0))
    assert (picture[2] == 255).all()
    assert (picture[:, 2] == 255).all()


def test_grid_png_is_exact(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    write_grid(tmp_path / "grid.png", images)
    picture = np.rint(matplotlib.image.imread(tmp_path / "grid.png")[..., :3] * 255).astype(np.uint8)
    assert picture.shape == (17 * 8, 17 * 8, 3)
    np.testing.assert_array_equal(picture[:64:8, :64:8, 0], images[0, 0])


@pytest.mark.parametrize("count", [200, 57])
def test_figure4b_has_a_row_per_class(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images whose grey is their class: each row of the drawn mosaic has one grey."""
    labels = np.arange(count) % 10
    images = np.broadcast_to(20 * labels[:, None, None, None], (count, 1, 8, 8)).astype(np.uint8)
    drawn = []
    monkeypatch.setattr(figures, "tile", lambda *args: drawn.append(tile(*args)) or drawn[-1])
    paths = [tmp_path / "b.pdf", tmp_path / "b.png"]
    figures.figure4b(images, labels, "title", paths)
    for row in range(10):
        assert set(drawn[0][9 * row, :, 0].tolist()) == {20 * row, 255}
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


def test_figure4a(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (130, 1, 8, 8), dtype=np.uint8)
    paths = [tmp_path / "a.pdf", tmp_path / "a.png"]
    figures.figure4a(images, "title", paths)
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500
