"""The claims of the paper, and their verdicts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fabricate_results import NAN, VIT, cells_of, costs, row, run, seeds

from get.paper.claims import (
    Claim,
    Judgement,
    Kind,
    Topic,
    Verdict,
    corrected,
    support,
    write_reproduction,
)
from get.paper.published import published
from get.paper.reproduction import reproduction
from get.paper.results import Row


def claims_on(tables: dict[str, list[Row]], *larger: Row, cifar10: bool = False) -> dict[str, Claim]:
    return {claim.claim: claim for claim in reproduction(tables, larger, cifar10)}


def verdicts(tables: dict[str, list[Row]], *larger: Row, cifar10: bool = False) -> dict[str, str]:
    return {name: str(claim.judgement) for name, claim in claims_on(tables, *larger, cifar10=cifar10).items()}


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
    get = row("GET-Mini", run(1.0), published="GET-Mini", costs=costs(parameters=19_177_740))
    claims = claims_on({"4": [row("ViT", run(2.0, VIT)), get]}, cifar10=True)
    assert claims["Table 4: GET-Mini, parameters"].judgement.verdict is Verdict.REPRODUCED
    assert claims["Table 4: GET-Mini, MACs"].judgement.verdict is Verdict.NOT_REPRODUCED
    memory = claims["Table 4: GET-Mini-O(1), training memory (MB)"]
    assert memory.judgement.verdict is Verdict.OTHER_HARDWARE
    assert (memory.published, memory.measured) == (5000.0, 1.0)


def ladder(name: str, size: int, *fids: float, noise: int = 0) -> Row:
    return seeds(name, *fids, noise=noise, parameters=size)


def test_verdict_of_an_ordering() -> None:
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


def test_an_ordering_of_unequal_seeds_says_on_which() -> None:
    three, one = ladder("three", 1, 20.0, 21.0, 20.5), ladder("one", 2, 10.0)
    assert "Table 2: FID falls with size: one below three (on the one seed that both have)" in verdicts(
        {"2": [three, one]}
    )


def test_an_ordering_says_how_each_split_and_seed_judges_it() -> None:
    small, large = ladder("small", 1, 20.0, 21.0), ladder("large", 2, 10.0, 10.8)
    for content in large.runs:
        content.scores["lowest-residual-6"]["fid_test"] += 20
    claims = claims_on({"2": [small, large]})
    claim = claims["Table 2: FID falls with size: large below small"]
    assert claim.judgement == Judgement(Verdict.REPRODUCED)
    assert claim.judgement_test == Judgement(Verdict.NOT_REPRODUCED)
    assert (claim.split, claim.by_seed) == ("train", pytest.approx([10.0, 10.2]))
    for other in claims.values():
        if other.kind is Kind.NUMBER or other.judgement.verdict is Verdict.NOT_RUN:
            assert other.judgement_test is None
    table4 = claims_on({"4": [row("ViT", run(8.0, VIT)), row("GET", run(9.0))]})
    assert [claim.judgement_test is None for claim in table4.values()].count(False) == 1  # of FID alone


def test_a_verdict_from_one_run_says_so_and_weighs_less() -> None:
    found = [Judgement(Verdict.REPRODUCED), Judgement(Verdict.REPRODUCED, True), Judgement(Verdict.NO_SCORE)]
    found += [Judgement(Verdict.NOT_REPRODUCED, True), Judgement(Verdict.NOT_REPRODUCED)]
    shuffled = [found[place] for place in (3, 0, 4, 2, 1)]
    assert sorted(shuffled, key=support) == found
    assert str(found[1]) == "reproduced (single run)"


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
        content.scores["lowest-residual-6"]["is"] = 10.0
        content.bootstrap["lowest-residual-6"]["is"] = [10.0 + 0.01 * i for i in range(100)]
    for content in vit.runs:
        content.bootstrap["one-step"]["is"] = [9.0 + 0.01 * i for i in range(100)]
    found = verdicts({"4": [vit, get]})
    assert found["Table 4: GET beats ViT in every column"] == "reproduced"
    slower = row("GET", *get.runs, costs=costs(macs=7e6))
    found = verdicts({"4": [vit, slower]})
    assert found["Table 4: GET beats ViT in MACs"] == "not reproduced"
    assert found["Table 4: GET beats ViT in training memory (MB)"] == "reproduced"
    assert found["Table 4: GET beats ViT in every column"] == "not reproduced"
    unmeasured = row("GET", *get.runs, costs=costs(training={}, macs=7e6))
    assert verdicts({"4": [vit, unmeasured]})["Table 4: GET beats ViT in every column"] == "not reproduced"


def test_iterations_conditioning_and_the_larger_vit() -> None:
    adaln = row("adaln", run(30.0, {**VIT, "conditioning": "adaln-zero"}))
    found = verdicts(
        {"2": [row("GET", run(10.0))], "6": [adaln, row("ours", run(10.0, VIT))]},
        row("GET", run(10.0)),
        row("ViT", run(20.0, VIT, parameters=5000)),
    )
    assert found["Figure 3a: FID of GET improves from 2 to 6 iterations"] == "reproduced (single run)"
    assert found["Table 6: injection beats AdaLN-Zero"] == "reproduced (single run)"
    assert found["GET matches ViT in FID, 5.0 times its size"] == "reproduced (single run)"


def test_reproduction_is_readable(tmp_path: Path) -> None:
    """Two tables, in which a label breaks nothing and numbers are as people write them."""
    vit = row("ViT", run(8.0, VIT, parameters=9000), costs=costs(20_000.0))
    get = row("GET | mini", run(9.0, seed=0), published="GET-Mini")
    claims = reproduction({"4": [vit, get]}, [], cifar10=True)
    write_reproduction(claims, "A caption.", {kind: tmp_path / f"r.{kind}" for kind in ("csv", "md", "html")})
    text = (tmp_path / "r.md").read_text()
    first, second = text.split("## Published numbers")
    first, conjunctions = first.split("## Several in one")
    conjunctions, designs = conjunctions.split("## Facts of the design")
    assert first.startswith("## Measured orderings")
    assert text.endswith("\n\nA caption.\n")
    assert "nan" not in text
    parts = orderings, conjoined, designed, found = [
        cells_of(part) for part in (first, conjunctions, designs, second)
    ]
    assert [{len(line) for line in part} for part in parts] == [{10}, {2}, {3}, {5}]
    assert sum(map(len, parts)) == len(claims) + 2 * len(parts)
    judged = {line[0]: line[1:] for line in orderings}
    what = r"Table 4: GET \| mini beats ViT in"
    verdict = "not reproduced (single run)"
    numbers_of_fid = ["-1.00", "-1.00", "-1.00", "1", "-1.00"]
    assert judged[f"{what} FID"] == ["equal steps", verdict, *numbers_of_fid, "", verdict]
    assert judged[f"{what} training memory (MB)"][2] == "39,998"
    assert [line[1:] for line in designed if line[0] == f"{what} parameters"] == [["reproduced", "20M"]]
    assert conjoined[-1] == [f"{what} every column", verdict]
    numbers = {line[0]: line[1:] for line in found}
    assert numbers["Table 4: GET-Mini, parameters"] == ["19.2M", "1,000", "-100.0", "not reproduced"]
    assert numbers["Table 4: GET-Mini, MACs"][0] == "15.2G"
    plain = pd.read_csv(tmp_path / "r.csv").set_index("claim")
    assert len(plain) == len(claims)
    assert plain.loc["Table 4: GET | mini beats ViT in parameters", "measured"] == 19_999_000
    # numbers that compare with none are no table
    claims = reproduction({"4": [vit, get]}, [], cifar10=False)
    write_reproduction(claims, "A caption.", {kind: tmp_path / f"r.{kind}" for kind in ("csv", "md", "html")})
    text = (tmp_path / "r.md").read_text()
    assert "Table 2: GET-Tiny" not in text
    assert "Published numbers: 48, none comparable; the data are not the paper's." in text


def test_the_cifar_config_names_every_published_row(cifar_config: dict[str, Any]) -> None:
    """Each GET and ViT row of the paper has its counterpart, so that no number is left unjudged."""
    for number in ("1", "2", "3", "4", "6"):
        theirs = published(f"paper table {number}")["method"]
        wanted = {name.removesuffix("-O(1)") for name in theirs if name.startswith(("GET", "ViT"))}
        found = {r["published"] for r in cifar_config["paper"][f"table{number}"] if "published" in r}
        assert found == wanted


def test_the_same_test_counts_once() -> None:
    """Where a GET has the time for all its iterations, equal time and equal steps are one comparison."""
    first = Claim(
        "a", Topic.VERSUS, "", Judgement(Verdict.REPRODUCED), p=0.02, low=1.0, high=2.0, by_seed=(1.5, 1.6)
    )
    same, other = replace(first, id="b"), replace(first, id="c", by_seed=(1.4, 1.7))
    assert [claim.p_holm for claim in corrected([first, same])] == [0.02, 0.02]
    assert [claim.p_holm for claim in corrected([first, same, other])] == [0.04] * 3
