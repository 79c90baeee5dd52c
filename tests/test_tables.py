"""The paper's tables, and what a reader sees of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricate_results import NAN, VIT, cells_of, row, run, teacher_run
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker

from get.paper.published import details, published, quantity
from get.paper.results import Row
from get.paper.statistics import row_statistics
from get.paper.tables import TABLES, readable, write_table

TEACHING = {"pairs": 6000, "nfe": 35, "teacher": "EDM"}


def make(number: str, rows: list[Row], cifar10: bool = False) -> pd.DataFrame:
    arguments: dict[str, Any] = {"cifar10": cifar10} if number in ("1", "3", "5") else {}
    arguments |= {"training": {r.student: TEACHING for r in rows}} if number == "5" else {}
    return TABLES[number].lines(rows, **arguments)


def written(
    number: str, table: pd.DataFrame, folder: Path, caption: str = "Of 5% & more."
) -> dict[str, Path]:
    paths = {kind: folder / f"t.{kind}" for kind in ("csv", "md", "tex", "html")}
    write_table(table, number, caption, paths)
    return paths


@pytest.mark.parametrize("number", TABLES)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("GET", run(10.0))],
        [row("GET", run(10.0), run(11.0)), row("ViT", run(NAN, VIT), costs=None)],
        [row("missing"), row("ViT", run(8.0, VIT))],
    ],
    ids=["none", "one", "nan", "missing"],
)
@pytest.mark.parametrize("cifar10", [True, False])
def test_every_table_of_anything(number: str, rows: list[Row], cifar10: bool, tmp_path: Path) -> None:
    paths = written(number, make(number, rows, cifar10), tmp_path, "A caption.")
    assert "A caption." in paths["md"].read_text()
    assert "nan" not in paths["md"].read_text()
    assert_latex(paths["tex"].read_text())


def assert_latex(text: str) -> None:
    """Parse strictly: closed groups and environments; as many cells in each row as the columns say."""
    walker = LatexWalker(text, tolerant_parsing=False)
    nodes, *_ = walker.get_latex_nodes()
    (table,) = (node for node in nodes if isinstance(node, LatexEnvironmentNode))
    assert table.environmentname == "table"
    assert text.isascii()
    inner = text[text.index(r"\begin{tabular}{") + len(r"\begin{tabular}{") :]
    columns, body = inner.split("}", 1)
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert lines
    for line in lines:
        assert line.replace(r"\&", "").count("&") == len(columns) - 1
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1


def test_latex_escapes(tmp_path: Path) -> None:
    table = make("1", [row("GET & <b>_1 50% #$ ~ {x} ^ \\", run(10.0))])
    paths = written("1", table, tmp_path)
    text = paths["tex"].read_text()
    assert_latex(text)
    assert r"GET \& $<$b$>$\_1 50\% \#\$ \textasciitilde{} \{x\} \textasciicircum{}" in text
    assert r"10.00 ($\pm$ 1.00)" in text
    assert pd.read_csv(paths["csv"])["fid_train"][0] == 10.0


def test_markdown_escapes(tmp_path: Path) -> None:
    table = make("2", [row("GET | small", run(10.0))])
    paths = written("2", table, tmp_path)
    head, _, line = cells_of(paths["md"].read_text())
    assert len(line) == len(head)
    assert line[0] == r"GET \| small"
    assert pd.read_csv(paths["csv"])["method"][0] == "GET | small"


def test_several_seeds_and_one_read_differently() -> None:
    shown = readable(make("2", [row("one", run(10.0)), row("two", run(10.0), run(12.0))]), "2")
    assert shown["FID (train)"].tolist() == ["10.00 (± 1.00)", "11.00 ± 1.41"]
    assert shown["Seeds"].tolist() == ["1", "2"]


def test_images_of_a_split_are_not_compared_with_it() -> None:
    real = teacher_run("real", conditional=None, nfe=None)
    real.scores["real"]["samples"] = 360
    table = make("1", [Row("real | test", [real.model_copy(update={"split": "test"})]), Row("real", [real])])
    for score in ("fid_test", "fid_test_sd", "fid_test_low", "fid_test_high", "kid_test", "kid_test_sd"):
        assert np.isnan(table[score][0])
        assert not np.isnan(table[score][1])
    assert not np.isnan(table["fid_train"][0])
    shown = readable(table, "1")
    assert shown["FID (test)"].tolist() == ["-", "8.00 (± 2.00)"]
    assert shown["Images"].tolist() == ["360", "360"]
    assert list(shown).index("Images") == list(shown).index("NFE") + 1


def test_a_stuck_run_is_marked() -> None:
    stuck = row("GET", run(10.0), run(99.0, plateau=True))
    assert "plateau" in row_statistics(stuck)["note"]
    assert readable(make("2", [stuck]), "2")["Method"][0] == "GET (stuck)"


def test_rows_without_model() -> None:
    shown = readable(make("1", [Row("EDM teacher", [teacher_run()])]), "1")
    assert (shown["NFE"][0], shown["Parameters"][0], shown["Steps"][0]) == ("35", "-", "-")


def test_published_rows_come_only_with_the_papers_data() -> None:
    rows = [row("ours", run(1.0), published="GET-Base")]
    assert len(make("1", rows)) == 1
    table = make("1", rows, cifar10=True)
    assert len(table) == 1 + len(published("paper table 1")) == 16
    ours, theirs = table.iloc[0], table[table["method"] == "GET-Base"].iloc[0]
    assert ours["fid_published"] == theirs["fid_published"] == 6.91
    assert ours["fid_difference"] == pytest.approx(100 * (6.0 / 6.91 - 1))  # against the test split
    assert ours["source"] == "measured"
    assert theirs["source"].startswith("published: Geng")
    assert np.isnan(theirs["fid_train"])  # the paper does not name its split
    assert readable(table, "1")["FID (paper)"].tolist()[:3] == ["6.91", "", "3.17"]
    assert readable(table, "1")["Method"][1].startswith("The paper's, quoted")
    assert "FID (paper)" not in readable(make("2", [row("ours", run(1.0))]), "2")


def test_table4_has_a_row_per_mode() -> None:
    table = make("4", [row("ViT", run(8.0, VIT), costs=None), row("GET", run(10.0))])
    assert table["method"].tolist() == ["ViT", "GET", "GET, O(1) memory"]
    shown = readable(table, "4")
    assert shown["Training memory (MB)"].tolist() == ["-", "2.0", "1.0"]
    assert shown["MACs (M)"].tolist() == ["-", "3.00", "3.00"]
    assert shown["Measured on"].tolist() == ["-", "CPU, 1 thread", "CPU, 1 thread"]
    table = make("4", [row("ViT", run(8.0, VIT)), row("GET", run(10.0), published="GET-Mini")], cifar10=True)
    assert table["fid_published"].tolist()[-2:] == [10.72, pytest.approx(NAN, nan_ok=True)]


def test_table5_counts_the_teachers_evaluations() -> None:
    table = make("5", [row("base", run(10.0)), row("GET", run(10.0), batch=128)])
    assert table["teacher_evaluations"].tolist()[:2] == [6000 * 35] * 2
    assert table["batch_factor"].tolist()[:2] == [1.0, 2.0]  # of the first row
    theirs = table.set_index("method")["teacher_evaluations"]
    assert (theirs["PD"], theirs["CD"]) == (179e6, 409.6e6)
    shown = readable(table, "5").set_index("Method")
    assert shown.loc[["PD", "CD", "GET"], "Teacher evaluations (M)"].tolist() == ["179.0", "409.6", "0.2"]
    assert shown.loc["PD", "Phases"] == "log2(T)"
    assert shown.loc["GET", "Batch"] == "2x"
    assert "FID (paper)" not in shown


def test_every_published_row_has_a_source() -> None:
    table = pd.concat([published(f"paper table {n}") for n in range(1, 7)])
    assert table["source"].notna().all()
    assert len(table) > 40


def test_published_details() -> None:
    found = details("batch=4x; phases=log2(T); n_models=3; trajectory=True; teacher=EDM")
    wanted = {"batch_factor": 4.0, "phases": "log2(T)", "models": 3.0, "trajectory": "yes", "teacher": "EDM"}
    assert found == wanted
    assert (quantity("85.2M"), quantity("15.2G")) == (85.2e6, 15.2e9)
    assert np.isnan(quantity(NAN))
