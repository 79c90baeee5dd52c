"""Studies: lines, text and files from fabricated results."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fabricate_results import content_of, row, seeds

from get import studies
from get.paper.cells import Line
from get.paper.results import Row, Scores
from get.runtime import plugins
from get.storage.errors import UserError
from get.studies.common.files import write_study


def varied(label: str, fids: dict[str, float], **change: Any) -> Row:
    """Return a row of two seeds, whose samples were drawn in other ways."""
    return row(label, *(Scores.model_validate(content_of(fids, seed=seed, **change)) for seed in (0, 1)))


def column(lines: list[Line], name: str) -> list[Any]:
    return [line[name] for line in lines if name in line]


def test_a_study_says_where_fid_is_lower() -> None:
    study = studies.load("pairs")
    fids = {"500 pairs": (20.4, 20.6), "900 pairs": (10.4, 10.6), "2,000 pairs": (10.5, 10.5)}
    rows = [seeds(label, *values) for label, values in fids.items()]
    found = study.lines(rows, {"student": "GET", "pairs": [500, 900, 2000]})
    assert column(found, "change") == [-10.0, 0.0]
    assert column(found, "turn") == ["lower", "undecided"]
    text = study.text(found)
    assert "FID is 20.5 with 500 pairs and 10.5 with 2,000 pairs" in text
    changes = "lower for 500 to 900 pairs (-10.00, -10.00 to -10.00); undecided for 900 to 2,000 pairs"
    assert f"FID is {changes}" in text


def test_states_compare_both_rules() -> None:
    """The last state of fabricated runs has an FID half a point higher."""
    found = studies.load("states").lines([seeds("GET", 8.0, 9.0)], {})
    assert column(found, "turn") == ["higher"]
    assert column(found, "change") == [0.5]


def test_supervision_is_compared_with_each_rule() -> None:
    study = studies.load("supervision")
    fids = (("all", 8.0, 9.0), ("last", 54.0, 56.0), ("all", 7.0, 7.1), ("last", 6.0, 6.1))
    rows = [seeds(*values) for values in fids]
    found = study.lines(rows, {"student": "GET", "rates": [1e-3, 3e-3]})
    assert column(found, "turn") == ["higher", "higher", "lower", "lower"]
    text = study.text(found)
    assert "rate of 0.001 and with the lowest residual decoded, FID is higher for GET (+46.50" in text


def test_gradients_compare_the_implicit_one_with_the_unrolled_one_of_the_same_state() -> None:
    rows = [seeds(name, fid, fid + 0.1) for name, fid in (("every", 8.0), ("last", 9.0), ("implicit", 8.5))]
    found = studies.load("gradients").lines(rows, {"student": "GET", "rates": [1e-3]})
    assert column(found, "to") == ["every", "last"]
    assert column(found, "turn") == ["higher", "lower"]


def test_initial_states_compare_variants_of_one_student() -> None:
    apart = {"independent": 0.0, "shared": 3.0, "zeros": 2.0}
    drawn = varied("GET", {"independent": 9.0, "shared": 8.0, "zeros": 9.0}, apart=apart)
    found = studies.load("initial").lines([drawn], {})
    assert column(found, "turn") == ["lower", "undecided"]
    assert column(found, "apart") == [0.0, 3.0, 2.0]


@pytest.fixture
def solved() -> Row:
    solvers = ("plain", "anderson", "anderson-ridge")
    fids = {f"{solver}-{count}": 9.0 + place for place, solver in enumerate(solvers) for count in (3, 6)}
    residuals = {solver: [4.0, 3.0, 2.0, 1.0, 1.0, 0.5 + place] for place, solver in enumerate(solvers)}
    return varied("GET", fids, residuals=residuals)


def test_solvers_are_compared_at_equal_evaluations(solved: Row) -> None:
    study = studies.load("solvers")
    found = study.lines([solved], {"evaluations": [3, 6]})
    assert column(found, "change") == [1.0, 2.0, 1.0, 2.0]
    text = study.text(found)
    assert "higher in 2; after 6 the residual is that of the plain iteration times 5.00" in text


def test_files_of_a_study(solved: Row, tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"study.{kind}" for kind in ("csv", "md", "html", "pdf", "png")}
    write_study(studies.load("solvers"), [solved], {"evaluations": [3, 6]}, caption="Caption.", paths=paths)
    text = paths["md"].read_text()
    assert text.count("| GET ") == 4
    assert "nan" not in text
    assert "Plain iteration or Anderson acceleration" in paths["html"].read_text()
    assert len(paths["csv"].read_text().splitlines()) == 7
    assert all(paths[kind].stat().st_size > 1000 for kind in ("pdf", "png"))


def test_a_study_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert studies.NAMES == ["gradients", "initial", "pairs", "solvers", "states", "supervision"]
    with pytest.raises(UserError, match="study: 'x' must be one of gradients"):
        studies.load("x")
    monkeypatch.setattr(plugins, "load", lambda *_: sys)
    with pytest.raises(UserError, match=r"states\.py assigns no Study"):
        studies.load("states")


def test_loading_studies_imports_little() -> None:
    heavy = ("torch", "pandas", "matplotlib")
    code = f"""
import sys
from get import studies
from get.runtime import plugins
for name in studies.NAMES:
    studies.load(name)
assert not set({heavy}) & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
