"""How sure a difference is: intervals, p-values, and how often they are wrong."""

import numpy as np
import pytest
from fabricate_results import VIT, costs, row, run, scores, seeds
from scipy import stats

from get.paper.claims import Claim, Judgement, Topic, Verdict, corrected
from get.paper.results import Row, Scores
from get.paper.statistics import Advantage, advantage, holm
from get.paper.versus import at_compute, at_equal_compute, at_equal_steps, at_equal_time, versus

ONE, OTHER = (12.0, 13.5, 12.2), (9.0, 11.0, 10.4)


def test_seeds_are_compared_one_by_one() -> None:
    """Against an independent computation: Student's t of the differences."""
    found = advantage(seeds("other", *OTHER), seeds("one", *ONE), "fid_train")
    wanted = stats.ttest_rel(ONE, OTHER)
    assert found.value == pytest.approx(np.mean(ONE) - np.mean(OTHER))
    assert found.by_seed == pytest.approx(np.subtract(ONE, OTHER))
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval()))


def test_another_number_of_seeds() -> None:
    found = advantage(seeds("other", 9.0, 9.5), seeds("one", *ONE), "fid_train")
    assert found.p == pytest.approx(stats.ttest_rel(ONE[:2], (9.0, 9.5)).pvalue)
    single = advantage(seeds("other", 9.0), seeds("one", *ONE), "fid_train")
    assert single.value == 3.0
    assert single.scatter is None
    assert np.isnan(single.p)


def test_the_interval_is_no_narrower_than_that_of_the_samples() -> None:
    """Seeds that happen to agree do not make the samples of each more."""
    one, other = seeds("one", 10.0, 10.0, 10.0), seeds("other", 9.0, 9.0, 9.0, noise=50)
    found = advantage(other, one, "fid_train")
    assert found.scatter == 0
    assert found.interval == pytest.approx((1 - 1.96 * found.sampling, 1 + 1.96 * found.sampling))
    assert found.p == pytest.approx(2 * stats.norm.sf(1 / found.sampling))


def test_the_floor_where_seeds_scatter_little() -> None:
    found = Advantage(1.0, 2.0, (0.9, 1.0, 1.1), 0.06)
    assert found.interval == pytest.approx((1 - 3.92, 1 + 3.92))
    assert found.p == pytest.approx(2 * stats.norm.sf(0.5))


@pytest.mark.parametrize("shift", [-9.0, -1.0, -0.2, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("sampling", [0.0, 0.3, 2.0])
def test_p_and_interval_judge_alike(shift: float, sampling: float) -> None:
    found = Advantage(shift, sampling, (0.0, 0.0, 0.0), 0.4)
    assert (found.p < 0.05) == (found.verdict != "undecided")


def cheap(label: str, fids: np.ndarray, noise: np.ndarray) -> Row:
    """A row whose scores were not checked, which would take most of the time."""
    runs = [
        Scores.model_construct(
            headline="x",
            seed=seed,
            step=1,
            scores={"x": scores(fid)},
            bootstrap={"x": {"fid_train": fid + drawn}},
        )
        for seed, (fid, drawn) in enumerate(zip(fids, noise, strict=True))
    ]
    return Row(label, runs, student=label)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_what_does_not_differ_is_seldom_reproduced(count: int) -> None:
    """Seeds scatter by 1, samples of each by 0.3: 2.5% are due to either side."""
    generator, times = np.random.default_rng(count), 1000
    verdicts = []
    for _ in range(times):
        one, other = generator.normal(10, (1 + 0.3**2) ** 0.5, (2, count))
        noise = generator.normal(0, 0.3, (2, count, 20))
        found = advantage(cheap("a", one, noise[0]), cheap("b", other, noise[1]), "fid_train")
        verdicts.append(found.verdict)
    for verdict in ("better", "worse"):
        assert verdicts.count(verdict) <= 0.04 * times  # three standard deviations above


def test_many_orderings_at_once() -> None:
    """Holm's correction, worked out by hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, and no less than that."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    better = Judgement(Verdict.REPRODUCED)
    claims = [Claim(f"{p}", Topic.SIZE, f"{p}", better, p=p) for p in (0.01, 0.04, 0.03, 0.005)]
    claims += [Claim("design", Topic.COLUMN, "design", better)]
    found = {claim.id: str(claim.judgement_holm) for claim in corrected(claims)}
    left = {"0.01": "reproduced", "0.04": "undecided", "0.03": "undecided", "0.005": "reproduced"}
    assert found == {**left, "design": "reproduced"}


# ---------- a GET against a ViT


def milestones(label: str, fids: dict[int, tuple[float, ...]], **change: object) -> list[Row]:
    model = {"model": VIT} if label == "vit" else {}
    return [
        row(label, *(run(fid, seed=seed, step=step, **model) for seed, fid in enumerate(values)), **change)
        for step, values in fids.items()
    ]


GETS = milestones("get", {1000: (20.0, 21.0), 2000: (10.0, 11.0)})
VITS = milestones("vit", {1000: (16.0, 17.0), 2000: (14.0, 14.5), 8000: (8.0, 8.5)}, costs=costs(macs=1))


def test_at_equal_steps() -> None:
    claim = at_equal_steps(GETS, VITS)
    assert claim.claim == "get has a lower FID than vit at equal steps (2,000)"
    assert claim.by_seed == pytest.approx([4.0, 3.5])
    assert at_equal_steps(GETS[:1], VITS[1:]).judgement.verdict is Verdict.NOT_RUN


def test_at_equal_compute_scores_lie_between_milestones() -> None:
    half = milestones("vit", {1000: (16.0, 17.0), 4000: (8.0, 9.0), 8000: (6.0, 7.0)})
    claim = at_equal_compute(GETS, half)
    assert claim.at == "equal training compute"
    between = [(16.0 * 8.0) ** 0.5, (17.0 * 9.0) ** 0.5]  # half way from 1,000 to 4,000 on a logarithmic axis
    assert claim.by_seed == pytest.approx(np.subtract(between, (10.0, 11.0)))
    found = at_compute(half, 1.8e7 * 64 * 2000)
    assert found is not None
    assert [each.of(None)["fid_train"] for each in found.runs] == pytest.approx(between)
    ends = [np.array(half[place].runs[0].resamples(None)["fid_train"]) for place in (0, 1)]
    assert np.square(found.runs[0].resamples(None)["fid_train"]) == pytest.approx(ends[0] * ends[1])
    assert at_compute(half, 1.0) is None
    unmeasured = milestones("vit", {2000: (1.0, 2.0)}, costs=None)
    for pair in ((GETS, unmeasured), (unmeasured, GETS)):
        assert "costs were not measured" in at_equal_compute(*pair).claim


def test_at_equal_time_the_get_has_fewer_iterations() -> None:
    """Two iterations take twice as long as one; the fabricated FID rises by one for each that is left out."""
    slow = milestones("vit", {2000: (14.0, 14.5)}, costs=costs(2.0))
    claim = at_equal_time(GETS, slow)
    assert claim.claim == "get has a lower FID than vit at equal sampling time (2 iterations)"
    assert claim.by_seed == pytest.approx([0.0, -0.5])
    fast = at_equal_time(GETS, milestones("vit", {2000: (14.0, 14.5)}, costs=costs(0.5)))
    assert fast.judgement.verdict is Verdict.NOT_RUN
    assert "one iteration of the GET takes 2.0 times as long" in fast.claim


def test_every_claim_has_a_name_of_its_own() -> None:
    found = list(versus([(GETS, VITS), (GETS, GETS)]))
    assert len(found) == len({claim.id for claim in found}) == 6
    assert list(versus([([], VITS)])) == []
