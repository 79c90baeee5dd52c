"""One-step methods at equal budgets: which students there are, their ledger, claims and words."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fabricate_results import VIT, costs, run_content, seeds, write_scores
from test_workflow import planned, snakemake

from get.costs.budgets import budgets, write_budgets
from get.experiment import ConfigError, rivals
from get.experiment.dependents import with_dependents
from get.paper.rival_figures import fid_over_budgets
from get.paper.rivals import Entry, at_equal, best_trial, claims_of, in_words, lines_of
from get.studies import documents, load_experiment, settings_text

ROOT = Path(__file__).parents[1]
Config = dict[str, Any]
MACS, NFE = 1000, 10


def entry(
    name: str, *fids: float, kind: str = "pairs", budget: float = 1.0, step: int = 100, **change: Any
) -> Entry:
    """Return a method at a budget, with a FID for each seed; `change` goes into its costs, or is of it."""
    about = {"method": name, "kind": kind, "from_teacher": False, "pairs": 500, "rates": [1.0, 2.0, 3.0]}
    about |= {"budget": budget} | {key: change.pop(key) for key in ("from_teacher", "pairs") if key in change}
    own = costs(**{"training_flops": 100.0, **change})
    row = replace(seeds(name.upper(), *fids, model=VIT, step=step), costs=own, batch=8)
    return Entry(row, about, MACS, NFE, 3.0)


def test_the_ledger_by_hand() -> None:
    shared = entry("kd", 5.0, 6.0)
    assert shared.images == 800
    assert shared.evaluations == 500 * NFE
    assert shared.pairs_flops == 500 * NFE * 2 * MACS
    assert shared.total_flops == 500 * NFE * 2 * MACS + 800 * 100
    asked = entry("cd", 5.0, 6.0, pairs=0, teacher_evaluations=2, networks=3)
    assert (asked.evaluations, asked.pairs_flops, asked.total_flops) == (1600, 0, 80000)
    first, second = lines_of([shared, asked])
    assert (first["networks"], second["networks"]) == (1, 3)
    assert first["training_seconds"] == pytest.approx(100 / 10)
    assert first["lr_at_the_edge"]
    assert not lines_of([Entry(shared.row, shared.about, MACS, NFE, 2.0)])[0]["lr_at_the_edge"]


def test_equal_budgets() -> None:
    """The reference at its largest budget, and the most expensive run of the other that takes no more."""
    ours = [entry("get", 5.0, 5.1, budget=b, step=s) for b, s in ((0.1, 10), (1.0, 100))]
    others = [
        entry("cd", 5.0, 5.1, budget=b, step=s, pairs=0) for b, s in ((0.1, 10), (1.0, 100), (3.0, 10**9))
    ]
    assert at_equal(ours, others, "total_flops") == (ours[1], others[1])
    dear = [entry("kd", 5.0, 5.1, step=100, training_flops=1e9)]
    assert at_equal(ours, dear, "total_flops") is None
    assert at_equal(ours, dear, "evaluations") == (ours[1], dear[0])  # of the same pairs
    about_as_dear = [entry("kd", 5.0, 5.1, step=101)]
    assert at_equal(ours, about_as_dear, "total_flops") == (ours[1], about_as_dear[0])


def test_claims_about_the_reference() -> None:
    get = entry("get", 10.0, 10.2, 10.1, kind="get")
    worse, better = entry("pd", 20.0, 20.2, 20.1), entry("kd", 5.0, 5.2, 5.1)
    near = [entry("ect", *fids, pairs=0, budget=b, step=s) for fids, b, s in (
        ((9.0, 11.0, 10.5), 1.0, 100), ((5.0, 5.1, 5.2), 3.0, 10**6))]  # fmt: skip
    asks = entry("cd", 5.0, 5.2, 5.1, pairs=0, teacher_evaluations=10**3)
    found = claims_of([get, worse, better, *near, asks], "get", "digits")
    more = "digits: GET has a lower FID than"
    assert {claim.claim: str(claim.judgement) for claim in found} == {
        f"{more} PD at no more total compute and teacher evaluations (PD: 100% and 100%)": "reproduced",
        f"{more} KD at no more total compute and teacher evaluations (KD: 100% and 100%)": "not reproduced",
        # of so many budgets those that cost as much: ECT trains for longer where evaluations are counted
        f"{more} ECT at no more total compute (ECT: 1%)": "undecided",
        f"{more} ECT at no more teacher evaluations (ECT: 0%)": "not reproduced",
        f"{more} CD at no more total compute (CD: 1%)": "not reproduced",
        f"{more} CD at no more teacher evaluations (CD: always more)": "not run",
    }
    assert found[0].measured == pytest.approx(10.0)
    assert found[0].seeds == 3


def test_the_words() -> None:
    entries = [
        entry("get", 10.0, 10.2, kind="get"),
        entry("vit", 20.0, 20.2, kind="vit"),
        entry("scratch", 6.0, 6.2),
        entry("kd", 4.0, 4.2, from_teacher=True),
        entry("cd", 7.0, 7.2, kind="distillation", pairs=0),
    ]
    first, control, start = in_words(entries, "get")
    assert first == (
        "At the operations of 100 steps of GET, those for pairs left out, its FID (10.10 ± 0.14; 2 seeds) is"
        " higher than that of SCRATCH (6.10 ± 0.14), KD (4.10 ± 0.14), CD (7.10 ± 0.14); lower than that of"
        " VIT (20.10 ± 0.14)."
    )
    assert control.endswith("6.10 ± 0.14 for SCRATCH, 10.10 ± 0.14 for GET, 20.10 ± 0.14 for VIT.")
    assert start == ("Start: the FID of KD (4.10 ± 0.14) is lower than that of SCRATCH (6.10 ± 0.14).")
    # a budget that the reference has not is in no sentence
    assert in_words([*entries, entry("cd", 1.0, 1.2, budget=2.0, step=200)], "get")[0] == first


def test_the_figure_shows_every_method(tmp_path: Path, drawn: list[Any]) -> None:
    entries = [
        entry(name, 9.0 / b, 8.0 / b, kind=kind, budget=b, step=int(100 * b), pairs=pairs, **asked)
        for name, kind, pairs, asked in (
            ("get", "get", 500, {}),
            ("ect", "training", 0, {}),
            ("cd", "distillation", 0, {"teacher_evaluations": 2}),
        )
        for b in (0.1, 1.0)
    ]
    fid_over_budgets(entries, [tmp_path / "x.png"])
    ((left, right),) = (figure.axes for figure in drawn)
    assert {text.get_text() for text in right.texts} == {"GET", "ECT", "CD"}
    x = [line.get_xdata() for line in right.lines if len(line.get_xdata()) == 2]
    assert any((values == [0.8, 5.0]).all() for values in x)  # thousands, all for the pairs that were seen
    assert any((values == [0.0, 0.0]).all() for values in x)
    assert left.get_xscale() == "log"
    assert all("mathdefault" not in text.get_text() for text in right.get_xticklabels())


def test_the_best_trial(tmp_path: Path) -> None:
    paths = [
        write_scores(tmp_path / f"{number}.json", run_content(fid, VIT, seed=0))
        for number, fid in enumerate((7.0, 4.0, 5.0))
    ]
    assert best_trial(paths) == 1


# ----------------------------------------------------------------------------------------------- students


def test_students_of_every_method(config: Config) -> None:
    experiment = load_experiment(config)
    chosen = rivals.trials_of(experiment)
    assert list(chosen) == [
        "rival-get-conditional",
        "rival-ect-conditional-at500",
        "rival-ect-conditional-at1000",
    ]
    # a chain of milestones, or with a schedule a run for each budget
    chain = experiment.all_students["rival-get-conditional"]
    assert (chain.milestones, chain.seeds) == ([2, 4], [0, 1])
    half, whole = (experiment.all_students[f"rival-ect-conditional-at{n}"] for n in (500, 1000))
    assert [(each.milestones, each.training.settings()["stage"]) for each in (half, whole)] == [
        ([2], 1),
        ([4], 2),
    ]
    # trials: short, with a seed of their own, each with its rate
    trials = chosen["rival-ect-conditional-at1000"]
    assert list(trials.values()) == [1e-3, 3e-3]
    for name, rate in trials.items():
        trial = experiment.all_students[name]
        assert (trial.training.lr, trial.seeds, trial.milestones) == (rate, [9], [2])
    scores = rivals.trial_scores(experiment, "rival-ect-conditional-at1000")
    assert scores == [
        f"results/scores/students/rival-ect-conditional-try{n}/seed9/2.json" for n in (1000, 3000)
    ]
    shown = json.loads(settings_text(experiment, "rivals/conditional"))["rows"]
    assert [(row["method"], row["kind"], row["budget"], row["pairs"]) for row in shown] == [
        ("get", "get", 0.5, 40), ("get", "get", 1.0, 40), ("ect", "training", 0.5, 0),
        ("ect", "training", 1.0, 0),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("config_file", ["config.yaml", "workflow/config/photos.yaml"])
def test_steps_of_the_config_take_equal_operations(config_file: str, tmp_path: Path) -> None:
    default = load_experiment(yaml.safe_load((ROOT / config_file).read_text()))
    path = tmp_path / "budgets.json"
    path.write_text(settings_text(default, "rivals-budgets"))
    table = budgets(path).set_index("method")
    assert set(table.index) == set(default.config.rivals.methods)
    assert table["share"].between(0.99, 1.01).all(), table
    # others are named
    content = json.loads(path.read_text())
    content["methods"]["kd-32"]["steps"] *= 2
    path.write_text(json.dumps(content))
    write_budgets(path, tmp_path / "budgets.md")
    text = (tmp_path / "budgets.md").read_text()
    assert text.endswith("Other steps than those of equal operations: kd-32.\n")
    assert "| kd-32 " in text


def test_where_the_teacher_sees_no_class_nobody_does(config: Config) -> None:
    edited = copy.deepcopy(config)
    edited["rivals"]["pairs"] = ["unconditional"]
    found = load_experiment(edited).all_students
    assert found["rival-get-unconditional"].model.conditioning == "none"
    assert found["rival-ect-unconditional-at500"].model.conditioning == "none"


WRONG = [
    ("reference", "gan", "rivals.reference: no method 'gan'"),
    ("budgets", [1.0, 0.5], "rivals.budgets must increase"),
    ("rates", [3.0, 1.0], "rivals.rates must increase"),
    ("trial_seed", 1, "rivals.trial_seed is one of rivals.seeds; take another"),
    ("pairs", ["none"], "rivals.pairs: no pairs 'none'"),
    (
        "methods.ect.scaled",
        ["objective"],
        "rivals.methods.ect.scaled: training has no number of steps 'objective'",
    ),
    (
        "methods.ect.pairs",
        ["unconditional"],
        "rivals.methods.ect.pairs: unconditional is none of rivals.pairs",
    ),
    ("methods.get.pairs", ["conditional"], "the reference is compared on all of rivals.pairs"),
    ("methods.ect.steps", 0, "rivals.methods.ect.steps"),
    ("methods.ect.budgets", [1.0, 0.5], "rivals.methods.ect.budgets must increase"),
    ("methods.ect.rates", [1.0], "rivals.methods.ect.rates must be 2, as rivals.rates are"),
    ("methods.get.budgets", [1.0], "rivals.methods.get.budgets: the reference has those of rivals.budgets"),
    ("methods.get.training.objective", "reflow", "objective: reflow evaluates a network at noise levels"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_wrong_keys_are_named(key: str, value: Any, message: str, edit: Callable[..., Config]) -> None:
    edited = copy.deepcopy(edit(1, "seed"))
    part = edited["rivals"]
    *path, last = key.split(".")
    for name in path:
        part = part[name]
    part[last] = value
    with pytest.raises(ConfigError) as caught:
        load_experiment(edited)
    assert message in str(caught.value)


def test_what_is_forgotten_with_a_student(config: Config) -> None:
    experiment = load_experiment(config)
    found = with_dependents(experiment, ["students/rival-get-conditional/seed0"], documents(experiment))
    assert set(found) >= {
        "scores/students/rival-get-conditional/seed0",
        "rivals/claims",
        "rivals/conditional",
    }
    assert "rivals/conditional-samples" in found
    assert not any("ect" in part for part in found)
    found = with_dependents(
        experiment, ["students/rival-ect-conditional-at1000/seed1"], documents(experiment)
    )
    assert "rivals/conditional" in found
    assert "rivals/conditional-samples" not in found  # samples are of the first seed
    # what a trial chose, and what was trained with it; so, too, with everything
    for part in ("students/rival-get-conditional-try1000", "rivals"):
        found = with_dependents(experiment, [part], documents(experiment))
        assert "settings/students/rival-get-conditional" in found
        assert "students/rival-get-conditional" in found
    assert "rivals/claims" in with_dependents(experiment, ["rivals/costs"], documents(experiment))


def test_names_that_clash(config: Config) -> None:
    edited = copy.deepcopy(config)
    edited["pairs"]["claims"] = edited["pairs"]["conditional"]
    edited["rivals"]["pairs"] = ["claims"]
    with pytest.raises(ConfigError, match="files of results/rivals are called 'claims'"):
        load_experiment(edited)
    edited = copy.deepcopy(config)
    edited["pairs"]["get-conditional"] = edited["pairs"]["conditional"]
    edited["rivals"]["pairs"] = ["conditional", "get-conditional"]
    edited["rivals"]["methods"]["get-get"] = edited["rivals"]["methods"]["get"]
    with pytest.raises(ConfigError, match="another one makes students called rival-get-get-conditional"):
        load_experiment(edited)


# ------------------------------------------------------------------------------------------------ workflow


@pytest.mark.workflow
def test_rivals(config: Config, tmp_path: Path) -> None:
    folder = tmp_path
    done = snakemake(folder, config, "rivals")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(folder / "results/rivals/conditional.csv")
    for name, evaluations in (("get", [32 * 11, 40 * 11]), ("ect", [0, 0])):  # of the pairs that were seen
        rows = table[table["name"] == name]
        assert rows["teacher_evaluations"].tolist() == evaluations
        assert rows["images"].tolist() == [32, 64]
    assert table["fid_train"].notna().all()
    claims = pd.read_csv(folder / "results/rivals/claims.csv")
    assert len(claims) == 1  # both axes compare the same two runs
    for name in (
        "conditional.html",
        "conditional.md",
        "conditional.png",
        "conditional-samples.png",
        "conditional-rates.html",
        "conditional-rates.png",
        "claims.html",
    ):
        assert (folder / "results/rivals" / name).stat().st_size > 300
    # the rate with the lower FID was chosen
    trials = [
        json.loads((folder / path).read_text())
        for path in rivals.trial_scores(load_experiment(config), "rival-get-conditional")
    ]
    fids = [run["scores"][run["headline"]]["fid_train"] for run in trials]
    settings = json.loads((folder / "results/settings/students/rival-get-conditional.json").read_text())
    assert settings["training"]["lr"] == [1e-3, 3e-3][fids.index(min(fids))]
    # nothing to be done; scores made anew choose nothing anew; other trials do, whatever else is edited
    assert planned(folder, config, "rivals") == []
    edited = copy.deepcopy(config)
    edited["evaluation"]["scoring"]["bootstrap"] = 4
    again = planned(folder, edited, "rivals")
    assert not [job for job in again if job.startswith(("train_student", "choose_rate"))]
    for key, value in (("rates", [1.0, 2.0]), ("trial", 1.0), ("trial_seed", 10)):
        edited["rivals"] = config["rivals"] | {key: value}
        again = planned(folder, edited, "rivals")
        assert sum(job.startswith("choose_rate") for job in again) == 3
        tried = sum(bool(re.match(r"train_student .*-try\d+/", job)) for job in again)
        assert tried == (2 if key == "rates" else 4)  # a rate that was tried is not tried again
    # a further budget: a milestone is trained and scored
    edited = copy.deepcopy(config)
    edited["rivals"]["budgets"] = [0.5, 1.0, 2.0]
    again = planned(folder, edited, "rivals")
    assert "train_student students/rival-get-conditional/seed0/8.pt" in again
    assert "score_rival samples/students/rival-get-conditional/seed0/8.h5" in again
    assert not [job for job in again if "-try" in job]


@pytest.mark.workflow
def test_a_config_without_rivals_has_none(config: Config, tmp_path: Path) -> None:
    done = snakemake(tmp_path, {key: part for key, part in config.items() if key != "rivals"}, "rivals")
    assert done.returncode != 0
    assert "there is no key rivals" in done.stdout + done.stderr
