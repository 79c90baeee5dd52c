"""Tables, figures and claims from small fabricated results; they compute no science."""

import json
import re
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from sklearn.isotonic import isotonic_regression

from get.paper import figures, grids, pages, style
from get.paper.claims import reproduction, write_reproduction
from get.paper.mosaic import tile, write_grid
from get.paper.provenance import provenance, provenance_page
from get.paper.published import details, published, quantity
from get.paper.results import AVERAGED, Row, advantage, measured, over_iterations, read_rows
from get.paper.studies import STUDIES, write_study
from get.paper.summary import answer, costs_page, in_order, markdown
from get.paper.tables import COLUMNS, TABLES, readable, write_table
from get.storage.atomic import write_text
from get.storage.hashing import sha256

NAN = float("nan")
GET = {"family": "get", "iterations": 6, "conditioning": "injection"}
VIT = {"family": "vit", "conditioning": "injection"}


def scores(fid: float) -> dict[str, float]:
    found = dict.fromkeys(AVERAGED, 1.0) | {"samples": 5000, "fid_train": fid, "fid_test": fid + 5}
    found |= {"fid_train_sd": 1.0, "fid_train_low": fid - 1.96, "fid_train_high": fid + 1.96}
    found |= {"fid_test_sd": 2.0, "fid_test_low": fid + 1.08, "fid_test_high": fid + 8.92}
    return found | {"is": 9.0, "is_sd": 0.1}


def run(fid: float, model: dict[str, Any] = GET, noise: int = 0, **change: Any) -> dict[str, Any]:
    """One fabricated score file; runs of the same `noise` have the same bootstrap resamples."""
    content: dict[str, Any] = {"conditional": True, "nfe": 1, "step": 2000, "parameters": 1000}
    content |= {"plateau": False, "model": model}
    if model["family"] == "get":
        found = {f"lowest-residual-{k}": scores(fid + 6 - k) for k in (6, 1, 2, 10)}
        found["last-6"] = scores(fid + 0.5)
        content |= {"residuals": [9.0, 3.0, 2.0], "changes": [0.5, 0.1]}
        content |= {"headline": "lowest-residual-6"}
    else:
        found = {"one-step": scores(fid)}
        content |= {"headline": "one-step", "residuals": [], "changes": []}
    drawn = np.random.default_rng(noise).standard_normal(100)
    resampled = {
        name: {score: (values[score] + drawn).tolist() for score in ("fid_train", "fid_test", "is")}
        for name, values in found.items()
    }
    return {**content, "scores": found, "bootstrap": resampled, **change}


def costs(factor: float = 1.0) -> dict[str, Any]:
    spread = {"median": 10.0 / factor, "low": 9.0 / factor, "high": 11.0 / factor}
    mode = {"iterations_per_second": spread, "peak_memory_bytes": 2e6 * factor}
    saving = {"iterations_per_second": spread, "peak_memory_bytes": 1e6 * factor}
    sampling = {str(k): {"median": 1e-4 * k * factor, "low": 0, "high": 0} for k in (1, 2, 6, 10)}
    found: dict[str, Any] = {
        "device": "CPU, 1 thread",
        "parameters": 1000 * factor,
        "macs": 3e6 * factor,
        "training_flops": 1.8e7,
    }
    return found | {"training": {"plain": mode, "checkpointed": saving}, "sampling": sampling}


def row(label: str, *runs: dict[str, Any], **rest: Any) -> Row:
    return Row(label, runs, **{"student": label, "batch": 64, "costs": costs(), **rest})


# -------------------------------------------------------------------------------------------------- rows


def test_one_seed_has_the_bootstraps_deviation() -> None:
    found = measured(row("GET", run(10.0)))
    assert (found["fid_train"], found["fid_train_sd"], found["fid_test_sd"]) == (10.0, 1.0, 2.0)
    assert (found["seeds"], found["sd_over"]) == (1, "bootstrap")
    assert (found["fid_train_low"], found["fid_train_high"]) == (8.04, 11.96)
    assert found["fid_train_last"] == 10.5
    assert found["training_flops"] == 1.8e7 * 64 * 2000


def test_several_seeds_have_mean_and_deviation_over_seeds() -> None:
    found = measured(row("GET", run(10.0), run(12.0)))
    assert found["fid_train"] == 11.0
    assert found["fid_train_sd"] == pytest.approx(2**0.5)
    assert (found["seeds"], found["sd_over"]) == (2, "seeds")
    assert np.isnan(found["fid_train_low"])


def test_advantage_pairs_seeds_and_resamples() -> None:
    one = row("a", run(10.0, seed=0), run(12.0, seed=1))
    other = row("b", run(13.0, seed=1), run(11.5, seed=0))
    found = advantage(one, other, "fid_train")
    assert (found.value, list(found.by_seed)) == (1.25, [1.5, 1.0])
    assert found.error == pytest.approx(0.25)  # the same resamples: of the scatter of the seeds alone
    assert advantage(one, row("b", run(13.0, seed=1)), "fid_train").by_seed == [1.0]  # seeds in common alone
    independent = advantage(row("a", run(10.0)), row("b", run(11.0, noise=1)), "fid_train")
    assert independent.error == pytest.approx(2**0.5, rel=0.2)
    assert advantage(row("a", run(1.0)), row("b", run(1.0)), "is").value == 0


def test_error_of_several_seeds_has_both_parts() -> None:
    def both(*fids: float, noise: int) -> Row:
        return row("GET", *[run(fid, seed=seed, noise=noise + seed) for seed, fid in enumerate(fids)])

    alike = advantage(both(10.0, 20.0, noise=0), both(11.0, 21.0, noise=5), "fid_train")
    apart = advantage(both(10.0, 20.0, noise=0), both(11.0, 25.0, noise=5), "fid_train")
    assert alike.error == pytest.approx(
        1.0, rel=0.2
    )  # each of four runs has noise 1; a mean of two differences
    assert apart.error == pytest.approx(np.hypot(alike.error, np.std([1.0, 5.0], ddof=1) / 2**0.5))


def test_images_of_a_split_are_not_compared_with_it() -> None:
    real = {"conditional": None, "nfe": None, "headline": "real", "scores": {"real": scores(3.0)}}
    real["scores"]["real"]["samples"] = 360
    table = make("1", [Row("real | test", [real | {"split": "test"}]), Row("real", [real | {"split": None}])])
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
    assert "plateau" in measured(stuck)["note"]
    assert readable(make("2", [stuck]), "2")["Method"][0] == "GET (stuck)"


def test_iterations_are_in_order_and_have_their_times() -> None:
    found = over_iterations([row("GET", run(10.0)), row("ViT", run(8.0, VIT))])
    get = found[found["method"] == "GET"]
    assert get["iterations"].tolist() == [1, 2, 6, 10]
    assert get["fid_train"].tolist() == [15.0, 14.0, 10.0, 6.0]
    np.testing.assert_allclose(get["seconds"], [1e-4, 2e-4, 6e-4, 1e-3])
    assert found[found["method"] == "ViT"]["iterations"].tolist() == [1]


def test_rows_are_read_from_settings(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(run(3.0, seed=0)))
    entries = [
        {"label": "GET", "student": "get", "batch": 32, "published": "GET-Base", "scores": [str(path)]}
    ]
    (found,) = read_rows([*entries], {"get": costs()})
    assert (found.label, found.batch, found.published, found.costs) == ("GET", 32, "GET-Base", costs())
    assert measured(found)["fid_train"] == 3.0


# ------------------------------------------------------------------------------------------------ tables

TEACHING = {"pairs": 6000, "nfe": 35, "teacher": "EDM"}


def make(number: str, rows: list[Row], cifar10: bool = False) -> pd.DataFrame:
    extra = {"training": {r.student: TEACHING for r in rows}} if number == "5" else {}
    return TABLES[number](rows, cifar10, **extra)


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
    table = make(number, rows, cifar10)
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")}
    write_table(table, readable(table, number), "A caption.", "tab:x", paths)
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
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")}
    write_table(table, readable(table, "1"), "Of 5% & more.", "tab:x", paths)
    text = paths["tex"].read_text()
    assert_latex(text)
    assert r"GET \& $<$b$>$\_1 50\% \#\$ \textasciitilde{} \{x\} \textasciicircum{}" in text
    assert r"10.00 ($\pm$ 1.00)" in text
    assert pd.read_csv(paths["csv"])["fid_train"][0] == 10.0


def cells_of(markdown: str) -> list[list[str]]:
    """The cells of each line of the Markdown tables in a text."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_escapes(tmp_path: Path) -> None:
    table = make("2", [row("GET | small", run(10.0))])
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex")}
    write_table(table, readable(table, "2"), "Of 5% & more.", "tab:x", paths)
    head, _, line = cells_of(paths["md"].read_text())
    assert len(line) == len(head)
    assert line[0] == r"GET \| small"
    assert pd.read_csv(paths["csv"])["method"][0] == "GET | small"


def test_several_seeds_and_one_read_differently() -> None:
    shown = readable(make("2", [row("one", run(10.0)), row("two", run(10.0), run(12.0))]), "2")
    assert shown["FID (train)"].tolist() == ["10.00 (± 1.00)", "11.00 ± 1.41"]
    assert shown["Seeds"].tolist() == ["1", "2"]


def test_rows_without_model() -> None:
    teacher = {"conditional": False, "nfe": 35, "headline": "teacher", "scores": {"teacher": scores(3.0)}}
    shown = readable(make("1", [Row("EDM teacher", [teacher])]), "1")
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
    assert readable(table, "1")["FID (paper)"].tolist()[:2] == ["6.91", "3.17"]
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


# ------------------------------------------------------------------------------------------------ claims


def verdicts(tables: dict[str, list[Row]], larger: list[Row] = [], cifar10: bool = False) -> dict[str, str]:  # noqa: B006
    claims = reproduction(tables, larger, cifar10)
    return dict(zip(claims["claim"], claims["verdict"], strict=True))


def test_without_results_every_number_is_listed() -> None:
    found = verdicts({}, cifar10=True)
    assert set(found.values()) == {"not run"}
    for claim in ("every column", "five times its size", "falls with size", "improves", "beats AdaLN-Zero"):
        assert [name for name in found if claim in name], claim
    assert {"Table 2: GET-Tiny-4xIters, IS", "Table 4: GET-Mini-O(1), training memory (MB)"} <= set(found)
    assert set(verdicts({}).values()) == {"not comparable", "not run"}
    assert not [claim for claim in found if "DDPM" in claim or "BigGAN" in claim]


@pytest.mark.parametrize(
    ("fids", "verdict"),
    [
        ((15.0, 15.2), "reproduced"),  # within 3%
        ((16.2, 16.3), "not reproduced"),
        ((14.0, 18.0), "reproduced"),  # within two standard deviations
        ((15.19,), "single run"),
        ((NAN, 15.0), "no score"),
    ],
)
def test_verdict_of_a_number(fids: tuple[float, ...], verdict: str) -> None:
    """The published value is 15.19; the fabricated FID against the test split lies 5 above that of train."""
    ours = row("GET-Tiny", *[run(fid - 5) for fid in fids], published="GET-Tiny")
    assert verdicts({"2": [ours]}, cifar10=True)["Table 2: GET-Tiny, FID"] == verdict


def test_numbers_of_costs() -> None:
    get = row("GET-Mini", run(1.0), published="GET-Mini", costs={**costs(), "parameters": 19_177_740})
    claims = reproduction({"4": [row("ViT", run(2.0, VIT)), get]}, [], cifar10=True).set_index("claim")
    assert claims.loc["Table 4: GET-Mini, parameters", "verdict"] == "reproduced"
    assert claims.loc["Table 4: GET-Mini, MACs", "verdict"] == "not reproduced"
    memory = claims.loc["Table 4: GET-Mini-O(1), training memory (MB)"]
    assert memory["verdict"] == "not comparable (other hardware)"
    assert (memory["published"], memory["measured"]) == (5000.0, 1.0)


def test_verdict_of_an_ordering() -> None:
    def ladder(name: str, size: int, *fids: float, noise: int = 0) -> Row:
        runs = [run(fid, parameters=size, seed=seed, noise=noise + seed) for seed, fid in enumerate(fids)]
        return row(name, *runs)

    small, large = ladder("small", 1, 20.0, 21.0), ladder("large", 2, 10.0, 11.0)
    close = ladder("close", 3, 9.9, 10.9, noise=9)  # better by less than the noise
    split = ladder("split", 4, 1.0, 11.5)  # better on average, worse for one seed
    uneven = ladder("uneven", 5, 0.9, 1.5)  # better for both seeds, but not by the same
    found = verdicts({"2": [small, large, close, split, uneven]})
    assert found["Table 2: FID falls with size: uneven below split"] == "undecided"
    assert found["Table 2: FID falls with size: large below small"] == "reproduced"
    assert found["Table 2: FID falls with size: close below large"] == "undecided"
    assert found["Table 2: FID falls with size: split below close"] == "undecided"
    found = verdicts({"2": [ladder("good", 1, 10.0, 10.0), ladder("bad", 2, 20.0, 20.0)]})
    assert found["Table 2: FID falls with size: bad below good"] == "not reproduced"


def test_an_ordering_says_how_each_split_and_seed_judges_it() -> None:
    def ladder(name: str, size: int, *fids: float) -> Row:
        return row(name, *[run(fid, parameters=size, seed=seed) for seed, fid in enumerate(fids)])

    small, large = ladder("small", 1, 20.0, 21.0), ladder("large", 2, 10.0, 10.8)
    for content in large.runs:
        content["scores"]["lowest-residual-6"]["fid_test"] += 20
    claims = reproduction({"2": [small, large]}, [], False).set_index("claim")
    line = claims.loc["Table 2: FID falls with size: large below small"]
    assert (line["verdict"], line["verdict_test"]) == ("reproduced", "not reproduced")
    assert (line["split"], line["by_seed"]) == ("train", "10.00, 10.20")
    others = claims[(claims["kind"] == "number") | (claims["verdict"] == "not run")]
    assert others["verdict_test"].isna().all()
    table4 = reproduction({"4": [row("ViT", run(8.0, VIT)), row("GET", run(9.0))]}, [], False)
    assert table4.query("kind == 'ordering'")["verdict_test"].count() == 1  # of FID alone


def test_longer_training_and_larger_batch_are_no_part_of_the_ladder() -> None:
    base, longer = row("GET", run(20.0)), row("longer", run(10.0, step=8000))
    found = verdicts({"2": [base, longer, row("double", run(30.0), batch=128)]})
    assert found["Table 2: training 4 times as long lowers the FID of GET"] == "reproduced (single run)"
    assert found["Table 2: a batch 2 times as large lowers the FID of GET"] == "not reproduced (single run)"
    assert not [claim for claim in found if "below" in claim]


def test_table4_is_judged_by_its_worst_column() -> None:
    seeds = ({"seed": 0}, {"seed": 1})
    vit = row("ViT", *[run(20.0, VIT, **seed) for seed in seeds], costs=costs(2.0))
    get = row("GET", *[run(9.0, **seed) for seed in seeds])
    for content in get.runs:
        content["scores"]["lowest-residual-6"]["is"] = 10.0
        content["bootstrap"]["lowest-residual-6"]["is"] = [10.0 + 0.01 * i for i in range(100)]
    for content in vit.runs:
        content["bootstrap"]["one-step"]["is"] = [9.0 + 0.01 * i for i in range(100)]
    found = verdicts({"4": [vit, get]})
    assert found["Table 4: GET beats ViT in every column"] == "reproduced"
    slower = row("GET", *get.runs, costs={**costs(), "macs": 7e6})
    found = verdicts({"4": [vit, slower]})
    assert found["Table 4: GET beats ViT in MACs"] == "not reproduced"
    assert found["Table 4: GET beats ViT in training memory (MB)"] == "reproduced"
    assert found["Table 4: GET beats ViT in every column"] == "not reproduced"
    unmeasured = row("GET", *get.runs, costs={**costs(), "training": {}, "macs": 7e6})
    assert verdicts({"4": [vit, unmeasured]})["Table 4: GET beats ViT in every column"] == "not reproduced"


def test_iterations_conditioning_and_the_larger_vit() -> None:
    adaln = row("adaln", run(30.0, {**VIT, "conditioning": "adaln-zero"}))
    found = verdicts(
        {"2": [row("GET", run(10.0))], "6": [adaln, row("ours", run(10.0, VIT))]},
        [row("GET", run(10.0)), row("ViT", run(20.0, VIT, parameters=5000))],
    )
    assert found["Figure 3a: FID of GET improves from 2 to 6 iterations"] == "reproduced (single run)"
    assert found["Table 6: injection beats AdaLN-Zero"] == "reproduced (single run)"
    assert found["GET matches ViT in FID, 5.0 times its size"] == "reproduced (single run)"


def test_reproduction_files(tmp_path: Path) -> None:
    claims = reproduction({"2": [row("GET", run(10.0), published="GET-Tiny")]}, [], cifar10=True)
    write_reproduction(claims, "A caption.", {kind: tmp_path / f"r.{kind}" for kind in ("csv", "md", "html")})
    assert len(pd.read_csv(tmp_path / "r.csv")) == len(claims)
    text = (tmp_path / "r.md").read_text()
    assert "single run" in text
    assert "nan" not in text
    assert text.endswith("\n\nA caption.\n")


def test_reproduction_is_readable(tmp_path: Path) -> None:
    """Two tables, in which a label breaks nothing and numbers are as people write them."""
    vit = row("ViT", run(8.0, VIT, parameters=9000), costs=costs(20_000.0))
    get = row("GET | mini", run(9.0, seed=0), published="GET-Mini")
    claims = reproduction({"4": [vit, get]}, [], cifar10=True)
    write_reproduction(claims, "A caption.", {kind: tmp_path / f"r.{kind}" for kind in ("csv", "md", "html")})
    first, second = (tmp_path / "r.md").read_text().split("## Published numbers")
    assert first.startswith("## Orderings")
    orderings, found = cells_of(first), cells_of(second)
    assert {len(line) for line in orderings} == {8}
    assert {len(line) for line in found} == {5}
    assert len(orderings) + len(found) == len(claims) + 4
    judged = {line[0]: line[1:] for line in orderings}
    what = r"Table 4: GET \| mini beats ViT in"
    verdict = "not reproduced (single run)"
    assert judged[f"{what} FID"] == [verdict, "-1.00", "-1.00", "-1.00", "1", "-1.00", verdict]
    assert judged[f"{what} parameters"][1] == "20M"
    assert judged[f"{what} training memory (MB)"][1] == "39,998"
    numbers = {line[0]: line[1:] for line in found}
    assert numbers["Table 4: GET-Mini, parameters"] == ["19.2M", "1,000", "-100.0", "not reproduced"]
    assert numbers["Table 4: GET-Mini, MACs"][0] == "15.2G"
    plain = pd.read_csv(tmp_path / "r.csv").set_index("claim")
    assert plain.loc["Table 4: GET | mini beats ViT in parameters", "measured"] == 19_999_000


def test_the_cifar_config_names_every_published_row(cifar_config: dict[str, Any]) -> None:
    """Each GET and ViT row of the paper has its counterpart, so that no number is left unjudged."""
    for number in ("1", "2", "3", "4", "6"):
        theirs = published(f"paper table {number}")["method"]
        wanted = {name.removesuffix("-O(1)") for name in theirs if name.startswith(("GET", "ViT"))}
        found = {r["published"] for r in cifar_config["paper"][f"table{number}"] if "published" in r}
        assert found == wanted


# ----------------------------------------------------------------------------------------------- figures

DRAW: dict[str, Callable[..., None]] = {
    "figure2a": figures.figure2a,
    "figure2b": figures.figure2b,
    "figure3a": figures.figure3a,
    "figure3b": figures.figure3b,
    "residuals": figures.residuals,
}


def members() -> list[Row]:
    """Two GETs at two milestones with two seeds, and a ViT with one."""
    rows = []
    for size, label in ((1000, "GET-1"), (4000, "GET-4")):
        for step in (1000, 2000):
            change = {"step": step, "parameters": size}
            fid = 4e7 / size / step
            rows.append(row(label, run(fid, **change), run(1.2 * fid, **change)))
    return [*rows, row("ViT-2", run(9.0, VIT, parameters=2000))]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, before they are closed."""
    kept: list[Figure] = []
    save = style.save
    monkeypatch.setattr(style, "save", lambda figure, paths: (kept.append(figure), save(figure, paths)))
    return kept


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("GET", run(10.0))],
        [row("GET", run(10.0), run(11.0)), row("ViT", run(NAN, VIT))],
        [row("missing"), row("ViT", run(8.0, VIT))],
        [row("GET", run(5.0)), row("GET", run(9.0, conditional=False))],
        [row("GET", run(5.0), costs=None)],
    ],
    ids=["none", "one", "nan", "missing", "both kinds", "no costs"],
)
def test_every_figure_of_anything(name: str, rows: list[Row], tmp_path: Path) -> None:
    paths = [tmp_path / "f.pdf", tmp_path / "f.png"]
    DRAW[name](rows, paths)
    content = paths[0].read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content  # fonts are embedded
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


def test_figure2a_has_a_curve_per_student_with_error_bars(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure2a(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert {"GET-1", "GET-4", "ViT-2"} == set(texts(axes))
    curve, *_ = axes.containers
    np.testing.assert_allclose(curve.lines[0].get_xdata(), [1000, 2000])
    np.testing.assert_allclose(curve.lines[0].get_ydata(), [44, 22])
    ends = curve.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [44 - 8 / 2**0.5, 44 + 8 / 2**0.5])  # one standard deviation


def test_figure2a_has_its_ticks_at_the_milestones(drawn: list[Figure], tmp_path: Path) -> None:
    steps = (700, 1500, 3900, 4000)
    figures.figure2a([row("GET", run(1e4 / step, step=step)) for step in steps], [tmp_path / "f.png"])
    axis = drawn[0].axes[0].xaxis
    assert sorted(axis.get_majorticklocs()) == [700, 1500, 4000]  # two labels would touch
    assert [text.get_text() for text in axis.get_ticklabels()] == ["4000", "1500", "700"]
    assert 3900 in axis.get_minorticklocs()


def test_figure2b_has_a_curve_per_number_of_steps(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure2b(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert set(texts(axes)) == {"GET, 1,000 steps", "GET, 2,000 steps"}
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [1000, 4000])


def test_figure3a_has_circles_by_size(drawn: list[Figure], tmp_path: Path) -> None:
    rows = [row("GET", run(10.0, parameters=4000)), row("ViT", run(9.0, VIT, parameters=1000))]
    figures.figure3a(rows, [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert {"1", "2", "6", "10", "GET", "ViT"} == set(texts(axes))
    circles = [found for found in axes.collections if isinstance(found, PathCollection)]
    get, vit = (found.get_sizes()[0] - figures.SMALLEST for found in circles)
    assert get == pytest.approx(4 * vit)
    assert all(circle.get_facecolor()[0][3] < 1 for circle in circles)  # what lies below shows through
    bars = [container.lines[2][0] for container in axes.containers]
    numbers = [text for text in axes.texts if text.get_text().isdigit()]
    assert max(c.get_zorder() for c in circles) < min(b.get_zorder() for b in bars)
    assert max(b.get_zorder() for b in bars) < min(n.get_zorder() for n in numbers)
    assert "CPU, 1 thread" in axes.get_xlabel()


def test_figure3b_is_over_compute(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure3b(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [1.152, 2.304])
    assert axes.get_xlabel() == "training compute in TFLOP"


def test_residuals_have_both_panels(drawn: list[Figure], tmp_path: Path) -> None:
    figures.residuals([row("GET", run(1.0)), row("ViT", run(1.0, VIT))], [tmp_path / "f.png"])
    state, image = drawn[0].axes
    np.testing.assert_allclose(state.containers[0].lines[0].get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(image.containers[0].lines[0].get_ydata(), [0.5, 0.1])
    assert texts(state) == ["GET"]


def test_training_curves_are_means_over_seeds(drawn: list[Figure], tmp_path: Path) -> None:
    runs = [{"columns": ["step", "loss"], "rows": [[50, value], [100, value / 2]]} for value in (1.0, 3.0)]
    entry = {"label": "GET", "family": "get", "conditional": False, "runs": runs}
    empty = {**entry, "label": "none", "runs": [{"columns": ["step", "loss"], "rows": []}]}
    figures.training_curves([entry, {**entry, "family": "vit"}, empty], [tmp_path / "f.png"])
    get, _ = drawn[0].axes
    np.testing.assert_allclose(get.lines[0].get_ydata(), [2.0, 1.0])
    assert texts(get) == ["GET*"]
    assert {50, 100} <= set(get.get_xticks())
    assert min(get.get_xlim()) > 30  # ticks stay in the plot
    figures.training_curves([], [tmp_path / "f.png"])


def test_labels_do_not_touch(tmp_path: Path) -> None:
    figure, (axes,) = style.panels(1)
    axes.plot([1, 2], [1, 2])
    style.label_lines(axes, [(2, 1 + 0.01 * i, f"label {i}", "black") for i in range(8)])
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the leading lines
    assert all(upper.y0 > lower.y1 for lower, upper in pairwise(boxes))
    style.save(figure, [tmp_path / "f.png"])


def test_lines_end_at_their_own_labels(tmp_path: Path) -> None:
    """Every line ends at the height of its text, and none crosses another, even to a point further right."""
    figure, (axes,) = style.panels(1)
    axes.plot([1, 4], [1, 10])
    points = [(2.0, 5.2), (4.0, 5.0), *[(2.0, y) for y in (4.95, 4.6, 4.5, 4.4, 4.3, 4.2)], (4.0, 4.0)]
    style.label_lines(axes, [(x, y, f"label {i}", "black") for i, (x, y) in enumerate(points)])
    figure.draw_without_rendering()
    lines = []
    for text in axes.texts:
        assert isinstance(text, Annotation)
        assert text.arrow_patch is not None
        box = Text.get_window_extent(text)
        ends = text.arrow_patch.get_transform().transform_path(text.arrow_patch.get_path()).vertices
        begin, *_, point = sorted(np.asarray(ends).tolist(), reverse=True)
        assert np.hypot(begin[0] - box.x0, begin[1] - (box.y0 + box.y1) / 2) < 2  # pixels
        lines.append((begin, point))
    for (a, b), (c, d) in combinations(lines, 2):
        x = max(b[0], d[0])  # where both have begun
        heights = [np.interp(x, [p[0], q[0]], [p[1], q[1]]) for q, p in ((a, b), (c, d))]
        assert (heights[0] - heights[1]) * (a[1] - c[1]) > 0
    style.save(figure, [tmp_path / "f.png"])


def test_moved_apart_moves_no_more_than_it_must() -> None:
    np.testing.assert_allclose(style.moved_apart(np.array([1.0, 5.0]), 2, 0, 9), [1, 5])
    np.testing.assert_allclose(style.moved_apart(np.array([4.0, 4.0, 4.0]), 2, 0, 9), [2, 4, 6])
    np.testing.assert_allclose(style.moved_apart(np.array([0.0, 9.0, 9.0]), 2, 0, 9), [0, 7, 9])
    for seed in range(20):
        wanted = np.sort(np.random.default_rng(seed).normal(0, 5, seed % 7 + 1))
        pile = 2 * np.arange(len(wanted))
        nearest = isotonic_regression(wanted - pile) + pile
        np.testing.assert_allclose(style.moved_apart(wanted, 2, -99, 99), nearest)


def test_captions_are_there_for_all() -> None:
    import yaml

    captions = yaml.safe_load((ROOT / "workflow/report/captions.yaml").read_text())
    wanted = {f"table{number}" for number in COLUMNS} | set(DRAW) | {"training-curves", "reproduction"}
    assert wanted <= set(captions)


# ------------------------------------------------------------------------------------------------- grids


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
def test_figure4b_has_a_row_per_class(
    count: int, drawn: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images whose grey is their class: each row of the drawn mosaic has one grey."""
    labels = np.arange(count) % 10
    images = np.broadcast_to(20 * labels[:, None, None, None], (count, 1, 8, 8)).astype(np.uint8)
    kept = []
    monkeypatch.setattr(grids, "tile", lambda *args: kept.append(tile(*args)) or kept[-1])
    paths = [tmp_path / "b.pdf", tmp_path / "b.png"]
    grids.figure4b(images, labels, "title", paths)
    assert not any(grid.get_visible() for grid in drawn[0].axes[0].get_ygridlines())
    for position in range(10):
        assert set(kept[0][9 * position, :, 0].tolist()) == {20 * position, 255}
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


def test_figure4a(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (130, 1, 8, 8), dtype=np.uint8)
    paths = [tmp_path / "a.pdf", tmp_path / "a.png"]
    grids.figure4a(images, "title", paths)
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


# ------------------------------------------------------------------------------------------------- the report


def test_pages_escape_and_mark_verdicts() -> None:
    shown = pd.DataFrame({"a & b": ["<b>", "GET"], "verdict": ["not reproduced (single run)", "not run"]})
    text = pages.page("x < y", pages.table(shown, [True, True]), pages.paragraph("1 & 2", "note"))
    assert "<title>x &lt; y</title>" in text
    assert '<th scope="row" class="words">&lt;b&gt;</th>' in text
    assert "✗&nbsp;not reproduced (single run)" in text
    assert '<td class="words">not run</td>' in text
    assert '<p class="note">1 &amp; 2</p>' in text


@pytest.mark.parametrize("channels", [1, 3])
def test_same_noise_has_a_column_for_each_and_two_rows(
    channels: int, drawn: list[Figure], tmp_path: Path
) -> None:
    teacher = np.zeros((2, channels, 8, 8), np.uint8)
    students = [("GET", teacher + np.uint8(51)), ("GET", teacher + np.uint8(255)), ("ViT (x)", teacher)]
    noise = np.zeros(teacher.shape, np.float32)
    grids.same_noise(noise, teacher, students, np.array([3, 4]), [tmp_path / "f.png"])
    axes, scale = drawn[0].axes
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "noise",
        "teacher",
        "GET",
        "GET",
        "ViT\n(x)",
    ]
    assert {text.get_text() for text in axes.get_yticklabels()} == {"class 3", "class 4", "|difference|"}
    assert scale.get_ylim() == (0, 1)  # 255 is the whole range
    picture = axes.images[0].get_array()
    assert picture is not None
    dark = [picture[9 + 4, column * 9 + 4].mean() for column in (2, 3, 4)]  # of the first differences
    assert dark[1] < dark[0] < dark[2]


def test_same_noise_of_equal_images(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 8, 8), np.uint8)
    grids.same_noise(images.astype(np.float32), images, [("GET", images)], None, [tmp_path / "f.png"])


def test_the_answer_follows_the_results() -> None:
    teacher = {"conditional": True, "nfe": 35, "headline": "teacher", "scores": {"teacher": scores(3.0)}}
    small, large = row("GET-S", run(12.0)), row("GET-L", run(8.0))
    table = make("1", [small, large, Row("EDM teacher", [teacher])])
    table["student"] = table["student"].replace("", None)
    claims = reproduction({"2": [small, large], "4": [row("ViT", run(9.0, VIT)), small]}, [], cifar10=False)
    found = answer(table, claims)
    assert found[0].startswith("With classes given, the best of 2 students by FID, GET-L, has a FID of 8.00")
    assert "its teacher has a FID of 3.00 (± 1.00) against the train split with 35 evaluations" in found[0]
    assert "Table 4: GET-S beats ViT in every column: " in found[1]
    verdicts = claims[claims["kind"] == "ordering"]["verdict"]
    assert f"{verdicts.str.startswith('not reproduced').sum()} not reproduced" in found[-2]
    assert found[-1].endswith("not comparable.")
    text = markdown(["a_b *c*"], "scope")
    assert r"- a\_b \*c\*" in text


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (["reproduced", "not run"], "Yes: of 1 claim that could be judged, 1 reproduced, 0 not"),
        (
            ["reproduced (single run)", "undecided"],
            "In part: .* 1 reproduced .1 of them by a single run., 0 not",
        ),
        (["undecided", "no score"], "Nothing of it is shown: .* 1 undecided; 1 had no results"),
        (["not run"], "could not be judged"),
    ],
)
def test_the_answer_in_one_word(verdicts: list[str], word: str) -> None:
    assert re.search(word, in_order(verdicts))


def test_costs_are_shown_for_every_student() -> None:
    page = costs_page({"get": costs(), "vit": costs(2.0)}, {"get": "GET", "vit": "ViT"}, "A caption.")
    for text in ("GET, O(1) memory", "10.00 (9.00 to 11.00)", "6 iterations", "600.0", "CPU, 1 thread"):
        assert text in page


def test_provenance_names_versions_hashes_and_durations(tmp_path: Path) -> None:
    weights, benchmarks = tmp_path / "results/a.safetensors", tmp_path / "results/benchmarks"
    write_text(weights, "weights")
    (benchmarks / "score").mkdir(parents=True)
    for name, seconds in (("score/x", 2.0), ("score/y", 4.0), ("costs", 1.0)):
        (benchmarks / f"{name}.jsonl").write_text(json.dumps({"s": seconds, "max_rss": "NA"}))
    given = {"seeds": {"student get": [0, 1]}, "measured_on": "CPU", "folder": tmp_path / "results"}
    found = provenance(files=[weights], benchmarks=benchmarks, **given)
    assert found["sha256"] == {"a.safetensors": sha256(weights)}
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (rules["score"]["jobs"], rules["score"]["seconds"], rules["score"]["median"]) == (2, 6.0, 3.0)
    page = provenance_page(json.loads(json.dumps(found)))
    for text in (sha256(weights), "0, 1", "torch", ">6.0<"):
        assert text in page
    empty = provenance(files=[], benchmarks=tmp_path / "none", **given)
    assert "No rule has kept its record" in provenance_page(empty)


# ------------------------------------------------------------------------------------------------- studies


def of_seeds(label: str, *fids: float, **change: Any) -> Row:
    return row(label, *(run(fid, seed=seed, **change) for seed, fid in enumerate(fids)))


def varied(label: str, fids: dict[str, float], **change: Any) -> Row:
    """Return a row of two seeds, whose samples were drawn in other ways."""
    found = {name: scores(fid) for name, fid in fids.items()}
    resampled = {
        name: {score: [values[score]] * 5 for score in ("fid_train", "fid_test", "is")}
        for name, values in found.items()
    }
    content = run(0.0) | {"scores": found, "bootstrap": resampled, "headline": next(iter(fids)), **change}
    return row(label, *({**content, "seed": seed} for seed in (0, 1)))


def test_a_study_says_where_fid_is_lower(tmp_path: Path) -> None:
    rows = [
        of_seeds("500 pairs", 20.0, 21.0),
        of_seeds("900 pairs", 10.0, 11.0),
        of_seeds("2,000 pairs", 10.5, 10.5),
    ]
    found = STUDIES["pairs"].lines(rows, {"student": "GET", "pairs": [500, 900, 2000]})
    assert found["change"].tolist()[1:] == [-10.0, 0.0]
    assert found["turn"].tolist()[1:] == ["lower", "undecided"]
    text = STUDIES["pairs"].text(found)
    assert "FID is 20.5 with 500 pairs and 10.5 with 2,000 pairs" in text
    assert (
        "FID is lower for 500 to 900 pairs (-10.00, -10.00 to -10.00); undecided for 900 to 2,000 pairs"
        in text
    )


def test_states_and_supervision_compare_what_they_name() -> None:
    """`run` gives the last state an FID half a point higher."""
    found = STUDIES["states"].lines([of_seeds("GET", 8.0, 9.0)], {})
    assert found["turn"].tolist()[1:] == ["higher"]
    assert found["change"].tolist()[1:] == [0.5]
    rows = [
        of_seeds("all", 8.0, 9.0),
        of_seeds("last", 50.0, 60.0),
        of_seeds("all", 7.0, 7.5),
        of_seeds("last", 6.0, 6.5),
    ]
    found = STUDIES["supervision"].lines(rows, {"student": "GET", "rates": [1e-3, 3e-3]})
    assert found["turn"].dropna().tolist() == ["higher", "higher", "lower", "lower"]
    text = STUDIES["supervision"].text(found)
    assert (
        "at a learning rate of 0.001 and with the lowest residual decoded, FID is higher for GET (+46.50"
        in text
    )


def test_gradients_compare_the_implicit_one_with_the_unrolled_one_of_the_same_state() -> None:
    rows = [
        of_seeds(name, fid, fid + 0.1) for name, fid in (("every", 8.0), ("last", 9.0), ("implicit", 8.5))
    ]
    found = STUDIES["gradients"].lines(rows, {"student": "GET", "rates": [1e-3]})
    assert found["to"].tolist()[1:] == ["every", "last"]
    assert found["turn"].tolist()[1:] == ["higher", "lower"]


def test_solvers_and_initial_states_compare_variants_of_one_student(tmp_path: Path) -> None:
    kinds = ("plain", "anderson", "anderson-ridge")
    fids = {f"{kind}-{count}": 9.0 + place for place, kind in enumerate(kinds) for count in (3, 6)}
    solved = varied(
        "GET",
        fids,
        residuals={kind: [4.0, 3.0, 2.0, 1.0, 1.0, 0.5 + place] for place, kind in enumerate(kinds)},
    )
    settings = {"evaluations": [3, 6]}
    found = STUDIES["solvers"].lines([solved], settings)
    assert found["change"].dropna().tolist() == [1.0, 2.0, 1.0, 2.0]
    assert "higher in 2; after 6 the residual is that of the plain iteration times 5.00" in STUDIES[
        "solvers"
    ].text(found)
    kinds = ("independent", "shared", "zeros")
    apart = {"independent": 0.0, "shared": 3.0, "zeros": 2.0}
    drawn = varied("GET", dict(zip(kinds, (9.0, 8.0, 9.0), strict=True)), apart=apart)
    found = STUDIES["initial"].lines([drawn], {})
    assert found["turn"].dropna().tolist() == ["lower", "undecided"]
    assert found["apart"].tolist() == [0.0, 3.0, 2.0]
    paths = {kind: tmp_path / f"study.{kind}" for kind in ("csv", "md", "html", "pdf", "png")}
    write_study("solvers", [solved], settings, title="Title", caption="Caption.", paths=paths)
    text = paths["md"].read_text()
    assert text.count("| GET ") == 4
    assert "nan" not in text
