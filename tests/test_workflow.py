"""The workflow itself: a tiny experiment end to end, and what an edit re-runs."""

import base64
import copy
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import reduce
from html.parser import HTMLParser
from operator import getitem
from pathlib import Path
from typing import Any

import browser
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from warm import python

from get.cli import main
from get.cli.inspection import runs, verify_folder
from get.storage.atomic import write_json
from get.storage.hashing import record_of, sha256
from get.storage.reading import read_json

Config = dict[str, Any]
SHOWN = {"table", "figure", "reproduction", "summary"}


def snakemake(
    folder: Path, config: Config | Path, *arguments: str, project: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder`, whose results it makes, on a config that is given as a dict or a file."""
    if isinstance(config, dict):
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
    else:
        path = config
    command = [
        python(),
        "-m",
        "snakemake",
        *arguments,
        "--cores",
        "2",
        "--snakefile",
        project / "Snakefile",
    ]
    command += ["--directory", folder, "--configfile", path]
    return subprocess.run(command, capture_output=True, text=True, cwd=project)


def planned(folder: Path, config: Config, *targets: str) -> list[str]:
    """Return what a dry run would do: a line 'rule first-output' per job."""
    done = snakemake(folder, config, *targets, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    jobs = re.findall(r"^(?:local)?rule (\w+):.*?^    output: ([^\s,]+)", text, re.MULTILINE | re.DOTALL)
    if not jobs:
        assert "Nothing to be done" in text
    return [f"{rule} {output.removeprefix('results/')}" for rule, output in jobs]


def rules(jobs: list[str]) -> set[str]:
    return {job.split()[0] for job in jobs}


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny experiment has run. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("tiny")
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_everything_is_made(finished: Path) -> None:
    table = pd.read_csv(finished / "results/table1.csv")
    assert table["method"].tolist() == [
        "GET", "ViT", "EDM teacher", "EDM teacher", "real test images", "pure noise",
    ]  # fmt: skip
    assert table["nfe"].dropna().tolist() == [1, 1, 11, 11]
    assert table["fid_train"].notna().all()
    assert table["l1_held_out"].notna().sum() == 2
    assert (table["source"] == "measured").all()
    tables = [f"table{number}.{kind}" for number in range(1, 7) for kind in ("csv", "md", "tex", "html")]
    names = ["2a", "2b", "3a", "3b", "4a", "4b"]
    stems = [f"figure{name}" for name in names] + ["residuals", "training-curves"]
    stems += [f"same-noise-{name}" for name in ("conditional", "unconditional")]
    for name in tables + [f"figures/{stem}.{kind}" for stem in stems for kind in ("pdf", "png")]:
        assert (finished / "results" / name).stat().st_size > 100
    claims = pd.read_csv(finished / "results/reproduction.csv")
    assert (claims["verdict"] == "not comparable").sum() == (claims["kind"] == "number").sum() > 40
    table4 = pd.read_csv(finished / "results/table4.csv")
    assert table4["method"].tolist() == ["ViT", "GET", "GET, O(1) memory"]
    assert table4["training_speed"].notna().all()
    table5 = pd.read_csv(finished / "results/table5.csv")
    assert table5["teacher_evaluations"][0] == 40 * 11
    assert "Digits 8x8" in (finished / "results/table2.md").read_text()
    logs = [path for path in (finished / "results/logs").rglob("*.log") if "error" in path.read_text()]
    assert not logs


def test_the_summary_says_what_was_found(finished: Path) -> None:
    text = (finished / "results/overview.md").read_text()
    claims = pd.read_csv(finished / "results/reproduction.csv").query("kind == 'measured ordering'")[
        "verdict"
    ]
    yes = claims.str.startswith("reproduced").sum()
    assert f"{yes} reproduced" in text
    assert "A GET beside the ViT of its size, at equal training compute: its FD is " in text
    found = json.loads((finished / "results/provenance.json").read_text())
    weights = found["sha256"]["students/get/seed0/4.safetensors"]
    assert weights == sha256(finished / "results/students/get/seed0/4.safetensors")
    jobs = {rule["rule"]: rule["jobs"] for rule in found["rules"]}
    assert jobs["train_student"] == 3
    assert jobs["generate_pairs"] == 5
    assert found["seeds"]["student get"] == [0]
    assert len(found["source"]["fingerprint of the config"]) == 16


@pytest.fixture(scope="module")
def report(finished: Path, config: Config) -> Path:
    """Snakemake's page of the tiny experiment."""
    done = snakemake(finished, config, "--report", "results/report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    return finished / "results/report.html"


def test_the_report_holds_every_result(report: Path) -> None:
    """Every table, figure and grid as it is on disk, with a caption; and nothing from elsewhere."""
    results = json.loads(re.search(r"<script id=\"results\">\s*var results = (.*);\n", report.read_text())[1])
    folder = report.parent
    shown = [f"table{number}.html" for number in range(1, 7)]
    shown += ["overview.html", "reproduction.html", "costs.html", "provenance.html"]
    shown += [str(path.relative_to(folder)) for path in folder.glob("figures/*.html")]
    assert len(shown) == 20
    shown += [str(path.relative_to(folder)) for path in folder.glob("samples/students/**/*.png")]
    assert set(results) == {f"results/{name}" for name in shown}
    for name, entry in results.items():
        text = html.unescape(re.sub("<[^>]+>", "", entry["caption"]))
        assert len(text.split()) > 15, name
        content = base64.b64decode(entry["data_uri"].partition("base64,")[2])
        assert content == (folder.parent / name).read_bytes()
        if name.endswith(".html"):
            assert_complete_page(content.decode())


def assert_complete_page(text: str) -> None:
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "iframe")
            if tag == "img":
                assert str(dict(attributes)["src"]).startswith("data:image/png;base64,")
                assert dict(attributes)["alt"]
            elif tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(text)
    assert not open_tags
    assert "nan" not in re.sub("<style>.*?</style>", "", text, flags=re.DOTALL).lower().split()
    assert not re.search(r"https?:|url\(|@import", re.sub('base64,[^"]*', "", text))


def test_the_report_in_a_browser(report: Path, tmp_path: Path) -> None:
    """Every entry of every menu shows what it names, from its top on, and the console has no error."""
    if absent := browser.missing():
        message = (
            f"no browser here ({', '.join(absent)}); on Debian: apt-get install chromium chromium-driver"
        )
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with browser.opened(report.as_uri(), tmp_path) as page:
        assert "The answer of this experiment" in page.landing()
        shown = page.all_results()
        assert not page.errors()
    assert len(shown) == len(re.findall('"data_uri"', report.read_text()))
    for path, found in shown.items():
        assert found.width > 100, path
        assert found.height > 100, path
        assert found.top >= 0, path
        if path.endswith(".html"):
            assert len(found.text.split()) > 20, path
            assert found.font >= 12, path
            assert not found.overflows, path


STUDIES = ("states", "initial", "solvers", "gradients", "supervision", "pairs")


def test_studies(finished: Path, config: Config, edit: Callable[..., Config], tmp_path: Path) -> None:
    """They train what they need and nothing of the paper's again, and say what they found."""
    folder = tmp_path / "studied"
    shutil.copytree(finished, folder)
    done = snakemake(folder, config, "studies")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_teacher" not in done.stdout + done.stderr
    for name, lines in zip(STUDIES, (2, 3, 6, 6, 8, 2), strict=True):
        found = pd.read_csv(folder / f"results/studies/{name}.csv")
        assert len(found) == lines
        assert found["change"].notna().sum() == found["turn"].notna().sum() > 0
        text = (folder / f"results/studies/{name}.md").read_text()
        assert "nan" not in text
        assert "Digits 8x8" in text
        assert_complete_page((folder / f"results/studies/{name}.html").read_text())
        assert (folder / f"results/studies/{name}.png").stat().st_size > 1000
    settings = folder / "results/settings/students"
    assert json.loads((settings / "get-implicit.json").read_text())["training"]["implicit"] is True
    assert json.loads((settings / "get-last-state.json").read_text())["training"]["loss_decay"] == 0
    assert "implicit" not in json.loads((settings / "get.json").read_text())["training"]
    assert len(list((folder / "results/pairs/conditional-60").glob("train-*.h5"))) == 3
    assert planned(folder, config, "studies") == []
    assert planned(folder, config) == []
    # other evaluations are seen below a manifest that is made again too
    edited = edit(4, "pairs", "conditional", "shards")
    edited["studies"]["evaluations"] = [4, 1]
    jobs = planned(folder, edited, "results/studies/solvers.csv")
    assert "sample_study samples/studies/solvers/get/seed0.h5" in jobs
    assert "train_student" not in rules(jobs)
    # and the largest number of pairs concerns those alone that go beyond the config's pairs
    jobs = planned(folder, edit([20, 80], "studies", "pairs"), "studies")
    assert [job for job in jobs if job.startswith("train")] == [
        "train_student students/get-80-pairs/seed0/4.pt"
    ]
    report = snakemake(folder, config, "studies", "--report", "studies.html")
    assert report.returncode == 0, report.stdout + report.stderr


def test_tuning(finished: Path, config: Config, edit: Callable[..., Config], tmp_path: Path) -> None:
    """Trials train beside what is there, and values or milestones that are added train themselves alone."""
    folder = tmp_path / "tuned"
    shutil.copytree(finished, folder)
    done = snakemake(folder, config, "tuning")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(folder / "results/tuning/lr.csv")
    assert table["steps"].tolist() == [2, 4, 2, 4]
    assert table["chosen"].sum() == 1
    last = table[table["steps"] == 4]
    assert last.loc[last["chosen"], "fid_train"].item() == last["fid_train"].min()
    assert_complete_page((folder / "results/tuning/lr.html").read_text())
    assert (folder / "results/tuning/lr.png").stat().st_size > 1000
    assert planned(folder, config, "tuning") == []
    assert planned(folder, config) == []
    assert not list((folder / "results/samples/students").glob("try-*/**/*.h5"))  # which nobody asks for
    more = planned(folder, edit([1e-3, 2e-3, 4e-3], "tuning", "values"), "tuning")
    assert [job for job in more if job.startswith("train")] == [
        f"train_student students/try-get-lr-0p004/seed100/{step}.pt" for step in (2, 4)
    ]
    longer = planned(folder, edit([2, 4, 6], "tuning", "milestones"), "tuning")
    assert len([job for job in longer if job.startswith("train")]) == 2


@pytest.mark.parametrize("part", ["tuning", "studies"])
def test_a_config_without_a_part_has_none(part: str, config: Config, tmp_path: Path) -> None:
    done = snakemake(tmp_path, {key: each for key, each in config.items() if key != part}, part)
    assert done.returncode != 0
    assert f"there is no key {part}" in done.stdout + done.stderr


def test_the_page_of_formats_names_all_that_is_in_files(finished: Path) -> None:
    """docs/files.md has every dataset, attribute and key of score, manifest and costs."""
    text = (ROOT / "docs/files.md").read_text()
    results, names = finished / "results", set()
    samples = "samples/students/get/seed0/4.h5"
    for path in ("data/images.h5", "pairs/conditional/train-00000.h5", samples):
        with h5py.File(results / path) as file:
            names |= {*file, *file.attrs}
    scores = json.loads((results / "scores/students/get/seed0/4.json").read_text())
    manifest = json.loads((results / "pairs/conditional/manifest.json").read_text())
    names |= {*manifest, *manifest["shards"][0], *scores["scores"][scores["headline"]]}
    names |= set(json.loads((results / "costs.json").read_text())["students"]["get"])
    with np.load(results / "features/reference-train.npz") as moments:
        names |= {"mu", "sigma"} & set(moments)
    assert len(names) > 40
    bare = {re.sub(r"_(sd|low|high)$", "", name) for name in names}
    assert not [name for name in bare if f"`{name}" not in text]


# -------------------------------------------------------------------------------- students of every objective


@pytest.fixture(scope="module")
def distilled(
    finished: Path, with_objectives: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A folder in which a student of every objective was trained too, up to Table 1; what Snakemake said."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("distilled") / "tiny"))
    done = snakemake(folder, with_objectives, TABLE1)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


TABLE1 = "results/table1.csv"
IMAGES, MANIFEST = "data/images.h5", "pairs/conditional/manifest.json"
TEACHER = "teachers/conditional.safetensors"
LEARNED_FROM = {
    "kd": {MANIFEST, TEACHER},
    "reflow": {MANIFEST},
    "cd": {IMAGES, TEACHER},
    "ct": {IMAGES},
    "pd": {IMAGES, TEACHER},
}


def test_students_of_every_objective_are_in_table_1(distilled: tuple[Path, str]) -> None:
    folder, _ = distilled
    table = pd.read_csv(folder / TABLE1).set_index("method")
    rows = table.loc[[name.upper() for name in LEARNED_FROM]]
    assert (rows["nfe"] == 1).all()
    assert np.isfinite(rows[["fid_train", "fid_test", "is", "l1_held_out"]].to_numpy(float)).all()
    weights = [folder / f"results/students/{name}/seed0/2.safetensors" for name in LEARNED_FROM]
    assert len({sha256(path) for path in weights}) == 5
    ended = {run.name: (run.state, run.step) for run in runs(folder / "results")}
    assert {ended[f"students/{name}/seed0"] for name in LEARNED_FROM} == {("done", 2)}
    assert verify_folder(folder / "results").unrecorded == []


def test_a_job_is_given_what_its_objective_needs(distilled: tuple[Path, str]) -> None:
    """And no other files: a student that learns from images waits for no pairs."""
    folder, said = distilled
    lines = r"^(?:local)?rule (train|score)_student:\n    input: (.*)\n    output: \S*students/(\w+)/"
    inputs = {
        (rule, name): {each.removeprefix("results/") for each in given.split(", ")}
        for rule, given, name in re.findall(lines, said, re.MULTILINE)
    }
    for name, files in LEARNED_FROM.items():
        assert inputs["train", name] == {*files, f"settings/students/{name}.json"}
        weights, settings = f"students/{name}/seed0/2.safetensors", f"settings/sampling/{name}/2.json"
        assert inputs["score", name] >= {weights, settings, "pairs/conditional/held-out.h5", IMAGES}
        log = (folder / f"results/logs/train_student/{name}-seed0-2.log").read_text()
        given = {option: f" --{option} results/" in log for option in ("manifest", "images", "teacher")}
        assert given == {
            "manifest": MANIFEST in files,
            "images": IMAGES in files,
            "teacher": TEACHER in files,
        }


@pytest.mark.parametrize(
    ("edits", "trained"),
    [
        (
            {
                "students.ct.training.accumulate": 2,
                "students.pd.training.prefetch": 2,
                "trackers": {"csv": {}},
            },
            set(),
        ),
        ({"students.cd.training.levels": 9}, {"cd"}),
        ({"pairs.conditional.count": 50}, {"get", "kd", "reflow"}),
        ({"teachers.conditional.steps": 4}, {"get", "kd", "reflow", "cd", "pd"}),
    ],
    ids=["none", "own", "pairs", "teacher"],
)
def test_an_edit_trains_those_again_that_it_concerns(
    edits: Config, trained: set[str], distilled: tuple[Path, str], with_objectives: Config
) -> None:
    edited = copy.deepcopy(with_objectives)
    for keys, value in edits.items():
        *path, last = keys.split(".")
        reduce(getitem, path, edited)[last] = value
    jobs = planned(distilled[0], edited, TABLE1)
    assert {job.split("/")[1] for job in jobs if job.startswith("train_student")} == trained
    assert trained or jobs == []


@pytest.mark.parametrize(
    ("part", "trained"),
    [
        ("data", {"get", "vit", *LEARNED_FROM}),
        ("teachers/conditional", {"get", "kd", "reflow", "cd", "pd"}),
        ("pairs/conditional", {"get", "kd", "reflow"}),
    ],
)
def test_what_is_forgotten_reaches_students_by_what_they_learned_from(
    part: str,
    trained: set[str],
    distilled: tuple[Path, str],
    with_objectives: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(shutil.copytree(distilled[0], tmp_path / "copy"))
    monkeypatch.chdir(folder)
    assert main(["forget", part, "--yes"]) == 0
    left = {
        name for name in ("get", "vit", *LEARNED_FROM) if list(Path("results/students", name).rglob("*.pt"))
    }
    assert left == {"get", "vit", *LEARNED_FROM} - trained
    jobs = planned(folder, with_objectives, TABLE1)
    assert {job.split("/")[1] for job in jobs if job.startswith("train_student")} == trained
    assert {job.split("/")[2] for job in jobs if job.startswith("score_student")} >= trained


def test_a_second_run_has_nothing_to_do(finished: Path, config: Config) -> None:
    assert planned(finished, config) == []


def test_scoring_settings_train_nothing(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit(4, "evaluation", "scoring", "bootstrap"))
    assert rules(jobs) == {"settings", "score", "score_student", "figure4", *SHOWN}


def test_sampling_settings_train_nothing(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit(30, "evaluation", "samples"))
    assert rules(jobs) == {
        "settings",
        "sample_teacher",
        "sample_baseline",
        "score",
        "score_student",
        "figure4",
        *SHOWN,
    }


def test_iterations_are_swept_at_the_headline_of_gets_alone(
    finished: Path, edit: Callable[..., Config]
) -> None:
    jobs = planned(finished, edit([1], "evaluation", "iterations"))
    assert [job for job in jobs if job.startswith("score_student")] == [
        "score_student samples/students/get/seed0/4.h5"
    ]


def test_one_students_learning_rate_re_runs_its_chain_alone(
    finished: Path, edit: Callable[..., Config]
) -> None:
    jobs = planned(finished, edit(2e-3, "students", "get", "training", "lr"))
    assert sorted(job for job in jobs if job.split()[0] not in SHOWN) == [
        "figure4 figures/figure4b.pdf",
        "same_noise figures/same-noise-conditional.pdf",
        "score_student samples/students/get/seed0/2.h5",
        "score_student samples/students/get/seed0/4.h5",
        "settings settings/students/get.json",
        "train_student students/get/seed0/2.pt",
        "train_student students/get/seed0/4.pt",
    ]


def test_what_a_student_costs_is_measured_anew_only_where_it_changes(
    finished: Path, edit: Callable[..., Config]
) -> None:
    assert "costs" in rules(planned(finished, edit(32, "students", "get", "training", "batch")))
    assert "costs" not in rules(planned(finished, edit(0.5, "students", "get", "training", "ema")))


def test_a_label_changes_tables_and_figures_alone(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit("another", "students", "get", "label"))
    assert rules(jobs) == {"settings", "figure4", "same_noise", *SHOWN}
    jobs = planned(finished, edit([{"student": "get", "label": "x"}], "paper", "table2"))
    assert sorted(jobs) == [
        "reproduction reproduction.csv",
        "settings settings/paper/reproduction.json",
        "settings settings/paper/table2.json",
        "summary overview.html",
        "table table2.csv",
    ]


def test_a_table_asks_for_what_it_shows_alone(config: Config, tmp_path: Path) -> None:
    jobs = planned(tmp_path, config, "results/table6.csv")
    assert [job for job in jobs if job.startswith("train_student")] == [
        "train_student students/vit/seed0/3.pt"
    ]
    assert "costs" not in rules(jobs)


def test_a_teacher_re_runs_what_it_taught_alone(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit(4, "teachers", "unconditional", "steps"))
    assert not [job for job in jobs if "students/get" in job or "/conditional" in job]
    assert {"train_teacher", "generate_pairs", "make_manifest", "train_student"} <= rules(jobs)


@pytest.mark.parametrize(
    ("gpu", "given", "device"),
    [(0, "1", "cpu"), (1, "1", "cuda"), (1, "0", "auto")],
    ids=["no", "yes", "none"],
)
def test_a_job_that_was_given_a_gpu_must_find_one(
    gpu: int, given: str, device: str, config: Config, tmp_path: Path
) -> None:
    """On a machine without GPUs, where the profile gives none, the same job computes on the CPU."""
    edited = {**config, "device": "auto", "jobs": {"student": {"gpu": gpu}}}
    target = "results/students/get/seed0/2.pt"
    done = snakemake(tmp_path, edited, target, "--dry-run", "--printshellcmds", "--resources", f"gpu={given}")
    assert f"--device {device} " in done.stdout + done.stderr


def test_a_later_milestone_continues(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit([2, 4, 6], "students", "get", "milestones"))
    assert [job for job in jobs if job.startswith("train_student")] == [
        "train_student students/get/seed0/6.pt"
    ]
    assert rules(jobs) == {
        "train_student",
        "score_student",
        "settings",
        "figure4",
        "same_noise",
        *SHOWN,
    }


def test_a_milestone_in_between_re_runs_no_other(
    finished: Path, edit: Callable[..., Config], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    edited = edit([2, 3, 4], "students", "get", "milestones")
    jobs = planned(folder, edited)
    assert [job for job in jobs if job.startswith(("train", "sample", "score"))] == [
        "train_student students/get/seed0/3.pt",
        "score_student samples/students/get/seed0/3.h5",
    ]
    assert snakemake(folder, edited).returncode == 0
    assert planned(folder, edited) == []


def test_a_seed_adds_its_own_run(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit([0, 1], "students", "vit", "seeds"))
    assert sorted(job for job in jobs if job.split()[0] not in {"settings", *SHOWN}) == [
        "score_student samples/students/vit/seed1/3.h5",
        "train_student students/vit/seed1/3.pt",
    ]


def test_a_student_adds_its_own_chain(finished: Path, config: Config, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit({**config["students"]["vit"], "label": "new"}, "students", "vit-2"))
    made = {"train_student", "score_student"}
    assert all("vit-2" in job for job in jobs if job.split()[0] in made)
    assert rules(jobs) == {"settings", "costs", "same_noise", *made, *SHOWN}


def test_a_shard_made_again_trains_nothing(finished: Path, config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    shard = "results/pairs/conditional/train-00001.h5"
    before = (folder / shard).read_bytes()
    (folder / shard).unlink()
    assert snakemake(folder, config, shard).returncode == 0
    assert (folder / shard).read_bytes() == before
    assert "train_student" not in rules(planned(folder, config))
    assert snakemake(folder, config).returncode == 0
    assert planned(folder, config) == []


def test_a_run_does_not_end_well_while_something_is_missing(
    finished: Path, config: Config, tmp_path: Path
) -> None:
    """Snakemake looks at nothing behind finished students where pairs are made again in the same run."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    shard, table = "results/pairs/unconditional/train-00000.h5", "results/table6.csv"
    # with a student that is missing, all is made
    for name in (shard, table, "results/students/vit/seed0/3.safetensors", "results/students/vit/seed0/3.pt"):
        (folder / name).unlink()
    done = snakemake(folder, config, table, shard)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / table).exists()
    # with finished students it is said, and the same command goes on
    for name in (shard, table):
        (folder / name).unlink()
    done = snakemake(folder, config, table, shard)
    assert done.returncode == 1
    assert f"{table} is still to be made (1 such files); run the same command again" in done.stderr
    assert snakemake(folder, config, table, shard).returncode == 0
    assert (folder / table).exists()


def test_other_images_reach_every_student(finished: Path, config: Config, tmp_path: Path) -> None:
    """Where students go stale, the message has the command, as it is typed, that leaves nothing stale."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    images = folder / "results/data/images.h5"
    (folder / "results/teachers/conditional.safetensors").unlink()
    with h5py.File(images, "r+") as file:  # what a change of the code would write
        file["images"][:] = file["images"][:][:, :, ::-1]
    record_of(images).unlink()
    done = snakemake(folder, config, "--keep-going")
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "was trained on pairs of another teacher than those in" in text
    commands = set(re.findall(r"delete it and all that follows with: python (-m get forget .*?) \(and", text))
    for command in commands:
        run = [python(), *command.split()]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(run, cwd=folder, input="y\n", text=True, check=True, env=env)
    assert {command.split()[-1] for command in commands} == {"results/students/get", "results/students/vit"}
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(folder, config) == []
    for name in ("get/seed0/4", "get/seed0/2", "vit/seed0/3"):
        weights = f"results/students/{name}.safetensors"
        assert sha256(folder / weights) != sha256(finished / weights), name


def test_a_clock_that_is_ahead_costs_no_training(finished: Path, config: Config, tmp_path: Path) -> None:
    """Snakemake deletes what is older than its inputs: of each kind of training, the state survives."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    names = [
        "features/classifier.safetensors",
        "teachers/conditional.safetensors",
        "students/vit/seed0/3.safetensors",
    ]
    trained = [f"results/{name}" for name in names]
    for name in trained:
        (folder / name).unlink()
    later = time.time() + 7200
    inputs = [folder / "results" / name for name in ("data/images.h5", "settings/students/vit.json")]
    for path in inputs:
        os.utime(path, (later, later))
    failed = snakemake(folder, config, *trained, "--keep-going")
    assert (failed.stdout + failed.stderr).count("has older modification time") == 3
    assert not any((folder / name).exists() for name in trained)
    for path in inputs:
        os.utime(path)
    done = snakemake(folder, config, *trained)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in trained:
        path = folder / name
        assert sha256(path) == sha256(finished / name)
        journal = [json.loads(line) for line in path.with_suffix(".journal.jsonl").read_text().splitlines()]
        last = [line for line in journal if line.get("event") == "start"][-1]
        assert last["step"] == last["stop"], "it has only written what was trained before"
        assert not path.with_suffix(".unfinished.pt").exists()


def test_a_copy_without_times_is_made_whole(finished: Path, config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    for path in sorted(finished.rglob("*"), reverse=True):  # as `cp -r` may come upon them
        if path.is_file() and ".snakemake" not in path.parts:
            (folder / path.relative_to(finished)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path.relative_to(finished))
    assert planned(folder, config)
    verify = [python(), "-m", "get", "verify", folder / "results"]
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = re.findall(r"if it is a copy: python (.*)$", done.stdout, re.MULTILINE)
    subprocess.run([python(), *shlex.split(command)], cwd=ROOT, check=True)
    assert planned(folder, config) == []
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "if it is a copy" not in done.stdout
    scores = folder / "results/scores/students/vit/seed0/3.json"
    write_json(scores, {**read_json(scores), "weights": 64 * "0"})  # of a student that was trained anew since
    done = subprocess.run([*verify, "--times"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{scores} (1 such files) is of another teacher or student than the one" in done.stderr


def test_two_edits_at_once_leave_nothing_stale(finished: Path, edit: Callable[..., Config]) -> None:
    """Below a manifest that is made again, settings of sampling and scoring are still seen."""
    edited = edit(4, "pairs", "conditional", "shards")
    edited["evaluation"]["scoring"]["nearest"] = 6
    jobs = planned(finished, edited)
    assert {job for job in jobs if job.startswith("score")} >= {
        "score_student samples/students/get/seed0/4.h5",
        "score_student samples/students/vit/seed0/3.h5",
    }
    assert "train_student" not in rules(jobs)
    edited["students"]["get"]["label"] = "another"
    assert {"figure4", "table"} <= rules(planned(finished, edited))


def test_more_shards_train_nothing(finished: Path, edit: Callable[..., Config]) -> None:
    jobs = planned(finished, edit(4, "pairs", "conditional", "shards"))
    assert "train_student" not in rules(jobs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "students: {get: {training: {bacth: 3}}}",
            "Error in the config: students.get.training.bacth: there is no such",
        ),
        ("students: {get: {training: *gett}}", "Config file is not valid JSON or YAML"),
        ("students: {}\nseed: 1\nseed: 2", r"config.yaml, line \d+: seed is there twice"),
    ],
    ids=["unknown-key", "undefined-anchor", "key-twice"],
)
def test_errors_of_the_config_are_short(text: str, message: str, config: Config, tmp_path: Path) -> None:
    """tests/test_experiment.py has all that can be wrong with a config."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**config, "students": {}}).replace("students: {}", text))
    done = snakemake(tmp_path, path, "--dry-run")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert re.search(message, said, re.DOTALL), said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 10
