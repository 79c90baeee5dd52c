"""From a folder to a report: `get init`, and what it writes, run at tiny settings."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from test_folder import folder, numbered, save, zipped
from warm import python

from get.cli import main
from get.experiment import contents
from get.experiment.config.data import Data, Features, check_features
from get.experiment.drafting import Look, Machine, draft, look, results_of
from get.studies import load_experiment

PAGE = (ROOT / "docs/own-images.md").read_text(encoding="utf-8")
MACHINES = [
    Machine(1, 0, 2 * 10**9),
    Machine(2, 0, 8 * 10**9),
    Machine(16, 1, 10**11),
    Machine(64, 8, 10**12),
]
fast = pytest.mark.fast
workflow = pytest.mark.workflow


def colour(path: Path) -> list[str]:
    folder(path, *numbered("cats", "dogs", count=60), size=(16, 16))
    return []


def grey(path: Path) -> list[str]:
    folder(path, *numbered("", count=60), mode="L")
    return []


def edm(path: Path) -> list[str]:
    names = numbered("00000", count=60)
    inner = folder(path.with_name("edm"), *names)
    labels = [[name, number % 2] for number, name in enumerate(names)]
    (inner / "dataset.json").write_text(json.dumps({"labels": labels}))
    zipped(inner, path)
    return []


def arrays(path: Path) -> list[str]:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(path, arr_0=images, labels=np.arange(60) % 3)
    return []


def mixed(path: Path) -> list[str]:
    for number, size in enumerate([(40, 30), (16, 16), (90, 20), (17, 33)]):
        folder(path, *(f"train/{number}/{name}" for name in numbered("", count=12)), size=size)
        folder(path, *(f"test/{number}/{name}" for name in numbered("", count=4)), size=size)
    return ["--resize", "16"]


SETS: dict[str, tuple[Callable[[Path], list[str]], int]] = {
    "colour": (colour, 2), "grey": (grey, 0), "edm.zip": (edm, 2), "arrays.npz": (arrays, 3),
    "mixed": (mixed, 4),
}  # fmt: skip


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with its numbers cut down: no key is added, none is left out."""
    size = config["data"].get("resize") or (16 if config["data"]["source"]["path"].endswith("colour") else 8)
    (teacher,), (pairs,) = config["teachers"].values(), config["pairs"].values()
    teacher["network"] |= {"model_channels": 8, "channel_mult": [1], "attention_resolutions": []}
    teacher |= {"steps": 3} | {"training": teacher["training"] | {"batch": 16, "warmup": 1}}
    sampler = {"num_steps": 6, "sigma_max": 5.0, "batch": 20}
    pairs |= {"count": 40, "held_out": 10, "shards": 1, "sampler": sampler}
    for student in config["students"].values():
        student["model"] |= {"width": 8, "heads": 2, "patch": size // 2}
        student["training"] |= {"batch": 16, "warmup": 1}
        student["milestones"] = [2]
    config["evaluation"] |= {"samples": 20, "batch": 20, "scoring": {
        "splits": 2, "bootstrap": 3, "kid_subsets": 2, "kid_subset_size": 10, "nearest": 5}}  # fmt: skip
    name = config["features"]["extractor"]
    config["features"][name] |= {"model": {"width": 4, "features": 8}, "steps": 3}
    return config


def snakemake(where: Path, *arguments: str, project: Path = ROOT) -> str:
    """Run Snakemake in a folder that is not the repository, and return what it prints."""
    command = [python(), "-m", "snakemake", "--snakefile", str(project / "Snakefile"), "--cores", "2"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run(
        [*command, *arguments], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@workflow
@pytest.mark.parametrize("name", SETS)
def test_from_a_folder_to_table_1(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, classes = SETS[name]
    monkeypatch.chdir(tmp_path)
    options = make(tmp_path / name)
    assert main(["init", name, *options, "--out", "own.yaml"]) == 0
    written = yaml.safe_load((tmp_path / "own.yaml").read_text())
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(tiny(written)))
    asked = "--configfile", "own.yaml", "--", f"{written['results']}/table1.csv"
    snakemake(tmp_path, *asked)
    table = pd.read_csv(tmp_path / written["results"] / "table1.csv").set_index("method")
    few = {"EDM teacher, dpm"}
    assert {"GET", "ViT", "EDM teacher", "real test images", "pure noise"} | few == {*table.index}
    assert sorted(table.loc["EDM teacher, dpm", "nfe"]) == [5, 10]
    assert np.isfinite(table["fid_train"]).all()
    assert table.loc["GET", "conditional"] == bool(classes)
    assert "Nothing to be done" in snakemake(tmp_path, "--dry-run", *asked)
    if name == "colour":  # another picture makes the students anew, too
        save(tmp_path / name / "cats/more.png", Image.new("RGB", (16, 16)))
        assert re.search(r"train_student +2", snakemake(tmp_path, *asked))


def commands() -> list[str]:
    """Return the commands of the page, in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)
    return [line for language, block in found if not language for line in block.splitlines()]


@fast
def test_the_extractors_of_the_page_are_configs() -> None:
    blocks = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S))
    features = [Features.model_validate(block["features"]) for block in blocks if "features" in block]
    assert [each.extractor for each in features] == ["autoencoder", "dinov2", "clip"]
    data = Data(name="photos")
    for each in features:
        check_features(each, data)


@workflow
def test_the_commands_of_the_page(hasty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crops, `get init`, the plan, the run and the report, as the page says, at tiny settings."""
    code = re.search(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert code
    monkeypatch.chdir(tmp_path)
    exec(code[1].replace("64, 16)", "64, 90)"), {})
    init, plan, run, report = commands()
    assert main(shlex.split(init)[1:]) == 0
    config = yaml.safe_load((tmp_path / "crops.yaml").read_text())
    (tmp_path / "crops.yaml").write_text(yaml.safe_dump(tiny(config)))
    for command in (plan, run, report):
        program, *arguments = shlex.split(command)
        assert program == "snakemake"
        snakemake(tmp_path, *arguments, project=hasty)
    results = tmp_path / "results/crops"
    for name in ("plan.csv", "overview.html", "figures/figure4b.png", "report.html"):
        assert (results / name).stat().st_size > 0
    assert "Data set: crops" in (results / "table1.md").read_text()


# ---------- what is written


@fast
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("name", SETS)
def test_a_draft_is_a_config(name: str, machine: Machine, tmp_path: Path) -> None:
    make, classes = SETS[name]
    resize = 16 if make(tmp_path / name) else None
    found = look(tmp_path / name, None, resize)
    assert len(found.classes) == classes
    experiment = load_experiment(yaml.safe_load(draft(tmp_path / name, None, resize, found, machine, "x")))
    assert experiment.config.data.classes == classes
    assert len(experiment.students) == 2
    assert {job.threads for job in experiment.jobs.values()} <= set(range(1, machine.cores + 1))
    assert experiment.jobs["teacher"].gpu == min(machine.gpus, 1)


@fast
@pytest.mark.parametrize("size", [8, 12, 16, 20, 28, 32, 64, 96, 128])
@pytest.mark.parametrize("machine", MACHINES[1:3], ids=str)
def test_a_draft_fits_images_of_any_size(size: int, machine: Machine, tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("", count=20), size=(size, size))
    load_experiment(yaml.safe_load(draft(path, None, None, look(path, None, None), machine, "x")))


@fast
def test_the_deviation_is_measured(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("", count=40))
    assert look(path, None, None).deviation == pytest.approx(3**-0.5, abs=0.02)  # of noise in [-1, 1]


@fast
def test_a_config_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder(tmp_path / "x", *numbered(""))
    (tmp_path / "own.yaml").write_text("mine")
    assert main(["init", str(path), "--out", str(tmp_path / "own.yaml")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "own.yaml").read_text() == "mine"


@fast
def test_pictures_that_are_not_square_come_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder(tmp_path / "x", *numbered(""), size=(20, 13))
    assert main(["init", str(path), "--out", str(tmp_path / "own.yaml")]) == 2
    assert "20 x 13 pixels; images are square, with sides of a multiple of 4: add --resize 12" in (
        capsys.readouterr().err
    )


@fast
@pytest.mark.parametrize("name", ["a, b", "x: y", "#1", "'q'", 'a "b"', "ä ö"])
def test_a_draft_names_the_folder_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    path = folder(tmp_path / name, *numbered("", count=20))
    config = yaml.safe_load(draft(path, None, None, look(path, None, None), MACHINES[0], "x"))
    assert load_experiment(config).config.data.source.path == str(path)


@fast
def test_a_folder_with_braces_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "a{b}", *numbered("", count=20))
    config = yaml.safe_load(draft(path, None, None, look(path, None, None), MACHINES[0], "x"))
    with pytest.raises(Exception, match=r"data.source.path: Snakemake takes braces for wildcards"):
        load_experiment(config)


@fast
@pytest.mark.parametrize(
    ("names", "arguments", "why"),
    [
        (
            numbered(""),
            ["--resize", "16"],
            "8 of 8 pictures cannot be taken: 00.png: it has 8 x 8 pixels, less than 16",
        ),
        (numbered(""), ["--resize", "6"], "--resize 6; images are square, with sides of a multiple of 4"),
        ([*numbered("a"), "b/0.png"], [], "a split cannot be drawn: of 'b' there are 1 pictures"),
        (numbered(""), [], "data: 2 images are to test; scores want 4 or more"),
        (numbered(""), ["--labels", "no.csv"], "data.labels (--labels): there is no "),
    ],
)
def test_what_the_run_would_refuse_is_refused_at_once(
    names: list[str], arguments: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder(tmp_path / "x", *names)
    assert main(["init", str(path), *arguments, "--out", str(tmp_path / "own.yaml")]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "own.yaml").exists()


@fast
def test_each_config_has_results_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert results_of(Path("faces.yaml")) == "results/faces"
    assert results_of(Path("data.yaml")) == "results/own-data"
    assert results_of(Path("日本.yaml")) == "results/own-images"
    Path("results/faces").mkdir(parents=True)
    assert results_of(Path("faces.yaml")) == "results/faces-2"


@fast
@pytest.mark.parametrize(
    ("classes", "fewest", "extractor"),
    [(12, 60, "classifier"), (12, 20, "autoencoder"), (2, 800, "autoencoder"), (0, 800, "autoencoder")],
)
def test_a_classifier_wants_enough_to_tell_apart(
    classes: int, fewest: int, extractor: str, tmp_path: Path
) -> None:
    found = Look([3, 32, 32], [str(number) for number in range(classes)], fewest, 1000, 0.5, "")
    config = yaml.safe_load(draft(tmp_path, None, None, found, Machine(2, 0, 2**34), "results/x"))
    assert config["features"]["extractor"] == extractor


@fast
def test_without_classes_what_sees_one_is_left_out(tmp_path: Path, config: dict[str, Any]) -> None:
    path = folder(tmp_path / "x", *numbered("", count=40), mode="L")
    trained = config["features"]["classifier"]
    edited = config | {"data": {"name": "folder", "source": {"path": str(path)}}}
    with pytest.raises(Exception, match="a classifier wants classes, and the images have none"):
        load_experiment(edited)
    edited["features"] = {"extractor": "autoencoder", "autoencoder": trained}
    experiment = load_experiment(edited)
    assert list(experiment.students) == ["vit"]
    assert experiment.used_pairs == ["unconditional"]
    assert experiment.config.paper.figure4.conditional is None
    caption = contents.caption(experiment, "table1")
    assert "FD against the train and the test split, precision and recall." in caption
    assert "FD is the Fréchet distance in the features of a small autoencoder." in caption
    assert experiment.config.studies is None
    assert experiment.config.rivals is None
    edited["students"] = {"get": config["students"]["get"]}
    edited |= {"paper": {}, "tuning": None, "studies": None}
    with pytest.raises(Exception, match="the images have no classes, and all students see one"):
        load_experiment(edited)
