"""Trials of one key of training: the students they train, what is chosen, said, drawn and written."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fabricate_results import GET, VIT, run_content, seeds, write_scores
from matplotlib.collections import PathCollection
from snakemake.utils import update_config

from get.cli import main
from get.experiment import ConfigError, tuning
from get.experiment.dependents import with_dependents
from get.paper.tuning import Trial, Tried, draw, in_words, read_trials, write_trials
from get.studies import documents, load_experiment

Config = dict[str, Any]
VALUES = (1e-3, 2e-3, 4e-3)


def tried() -> Tried:
    """Return trials of two students, whose best value at the last milestone is inside and at an end."""
    trials = [
        Trial(seeds(label, fid, fid + 0.2, model=model, step=step), student, value, own=2e-3)
        for student, label, model, fids in (
            ("get", "GET", GET, {10: (9.0, 8.0, 7.0), 20: (6.0, 5.0, 5.5)}),
            ("vit", "ViT", VIT, {10: (1.0, 3.0, 2.0), 20: (3.0, 3.0, 2.0)}),
        )
        for step, each in fids.items()
        for value, fid in zip(VALUES, each, strict=True)
    ]
    return Tried("students", "lr", trials)


def test_the_last_milestone_decides() -> None:
    chosen, ends = in_words(tried())
    assert chosen.endswith(
        "GET 0.002 (FID 5.10 ± 0.14; next 0.004, +0.50; as in the config); ViT 0.004 (FID 2.10 ± 0.14; next"
        " 0.001, +1.00; the config has 0.002)."
    )
    assert ends.endswith("for ViT (above 0.004).")


def test_the_table_and_the_config_that_follows(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {kind: tmp_path / f"lr.{kind}" for kind in ("csv", "md", "html", "pdf", "png")}
    write_trials(tried(), "A caption.", paths)
    table = pd.read_csv(paths["csv"])
    assert len(table) == 12
    chosen = table[table["chosen"]]
    assert chosen[["tried_for", "value", "steps"]].to_numpy().tolist() == [
        ["get", 2e-3, 20],
        ["vit", 4e-3, 20],
    ]
    assert "chosen, open above" in paths["md"].read_text()
    assert '<img src="data:image/png;base64,' in paths["html"].read_text()
    # laid over the config, as Snakemake does it, it is the config with these rates
    assert main(["tuned", str(paths["csv"])]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# vit: a better value may lie above those tried\nstudents:")
    merged = copy.deepcopy(config)
    update_config(merged, yaml.safe_load(printed))
    students = load_experiment(merged).students
    assert (students["get"].training.lr, students["vit"].training.lr) == (2e-3, 4e-3)
    assert students["get"].training.batch == config["students"]["get"]["training"]["batch"]
    # rivals have what was chosen for them; another table is refused
    write_trials(Tried("rivals.methods", "lr", tried().trials), "A caption.", paths)
    assert main(["tuned", str(paths["csv"])]) == 2
    assert "methods of rivals have the values that were chosen already" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main(["tuned", str(tmp_path / "other.csv")]) == 2
    assert "no table of trials: there is no column part" in capsys.readouterr().err


def test_what_was_chosen_before_stays_chosen(tmp_path: Path) -> None:
    """Though trials were scored anew, so that another would be the best."""
    (tmp_path / "settings.json").write_text('{"training": {"lr": 0.002}}')
    settings = {"part": "rivals.methods", "key": "lr", "rows": []}
    for value, fid in ((1e-3, 5.0), (2e-3, 6.0)):
        path = write_scores(tmp_path / f"{value}.json", run_content(fid, VIT, seed=0))
        entry = {"label": "ViT", "student": "x", "scores": [str(path)], "tried_for": "vit", "value": value}
        settings["rows"] += [entry | {"own": 1e-3, "settings": str(tmp_path / "settings.json")}]
    (words, ends) = in_words(read_trials(settings))
    assert "ViT 0.002 (FID 6.00 (± 1.00); next 0.001, -1.00, undecided)" in words
    assert "above 0.002" in ends
    # where one was tried, nothing is next or open
    settings["rows"] = settings["rows"][1:]
    (words,) = in_words(read_trials(settings))
    assert words.endswith("ViT 0.002 (FID 6.00 (± 1.00)).")


def test_the_figure_rings_what_is_chosen(tmp_path: Path, drawn: list[Any]) -> None:
    draw(tried(), [tmp_path / "lr.png"])
    (figure,) = drawn
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["GET", "ViT"]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["GET", "ViT (open)"]
    for axes, point in ((left, [2e-3, 5.1]), (right, [4e-3, 2.1])):
        (ring,) = (each for each in axes.collections if isinstance(each, PathCollection))
        assert ring.get_offsets().tolist() == [pytest.approx(point)]


def test_students_of_trials(config: Config) -> None:
    found = load_experiment(config).all_students
    for name, rate in (("try-get-lr-0p001", 1e-3), ("try-get-lr-0p002", 2e-3)):
        trial = found[name]
        assert (trial.training.lr, trial.milestones, trial.seeds) == (rate, [2, 4], [100])
        assert trial.model == found["get"].model
    parts = with_dependents(
        load_experiment(config), ["students/try-get-lr-0p001"], documents(load_experiment(config))
    )
    assert "scores/students/try-get-lr-0p001" in parts
    assert "tuning/lr" in parts


WRONG = [
    ("students", ["gan"], "tuning.students: no student 'gan'"),
    ("values", [2e-3, 1e-3], "tuning.values must increase"),
    ("milestones", [4, 2], "tuning.milestones must increase"),
    ("seeds", [0, 100], "tuning.seeds: get has the seeds [0] too; take others"),
    ("key", "objective", "tuning.key: the training of get has no number 'objective'"),
    ("key", "prefetch", "tuning.key: the training of get has no number 'prefetch'"),
    ("key", "ema_warmup", "tuning.key: the training of get has no number 'ema_warmup'"),
    ("key", "batch", "tuning.values: 0.001 for batch: Input should be a valid integer"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_wrong_keys_are_named(key: str, value: Any, message: str, edit: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_experiment(edit(value, "tuning", key))


def test_disabled_students_have_no_trials(config: Config) -> None:
    edited = copy.deepcopy(config)
    edited["tuning"]["students"] = ["get", "vit"]
    edited["students"]["vit"]["disabled"] = "for now"
    edited["paper"] = {}
    assert tuning.names(load_experiment(edited)) == ["try-get-lr-0p001", "try-get-lr-0p002"]


def test_names_that_clash(config: Config) -> None:
    edited = copy.deepcopy(config)
    edited["students"]["try-get-lr-0p001"] = edited["students"]["get"]
    with pytest.raises(ConfigError, match=r"students\.try-get-lr-0p001: `tuning` makes one, too"):
        load_experiment(edited)
