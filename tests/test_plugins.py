"""docs/extend.md does what it says: its student, loss, data set and foreign teacher, through the workflow."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from fabricate import edm_pickle
from warm import python

from get.data import sets
from get.experiment.config.files import Source
from get.runtime import plugins
from get.runtime.plugins import Argument
from get.sampling.files import open_samples
from get.storage.errors import UserError
from get.storage.weights import read_header
from get.student import architectures, losses, objectives
from get.student.objectives.pairs import decoded_states
from get.teacher import samplers

TEACHER = {
    "sigma_data": 0.5,
    "channels": 1,
    "size": 8,
    "classes": 4,
    "model_channels": 8,
    "channel_mult": [1, 2],
    "blocks": 1,
    "attention_resolutions": [4],
    "dropout": 0.1,
    "augment_dim": 9,
}


def section(title: str) -> str:
    """Return what the document says under a heading."""
    return (ROOT / "docs/extend.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def entries(title: str) -> list[Any]:
    """Return the entries of the config under a heading."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", section(title), re.M | re.S)
    return [yaml.safe_load(block) for block in blocks]


def module(title: str) -> tuple[Path, str]:
    """Return where the module under a heading goes, and what it says."""
    where = re.search(r"goes to\s+`(\S+\.py)`", section(title))
    code = re.search(r"^```python\n(.*?)^```", section(title), re.M | re.S)
    assert where
    assert code
    return Path(where[1]), code[1]


def extended_config(folder: Path) -> dict[str, Any]:
    """Return the small config with the entries of the document, trained for two steps."""
    config = yaml.safe_load((ROOT / "tests/config.yaml").read_text())
    titles = ("A student", "A loss", "A data set", "An extractor of features", "Another teacher")
    student, loss, data, features, teachers = (entries(title)[0] for title in titles)
    torch.save(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)), folder / "matrix.pt")
    config |= (
        data
        | features
        | {
            "students": student,
            "paper": {},
            "pairs": {"conditional": config["pairs"]["conditional"]},
        }
    )
    student["convolutional"]["milestones"] = [2]
    student["convolutional"]["training"] |= loss
    for part in ("studies", "tuning"):  # of a GET
        config.pop(part)
    config["pairs"]["conditional"]["shards"] = 1
    (entry,) = teachers["teachers"].values()
    path = edm_pickle(folder / entry["source"]["path"], TEACHER)
    config["teachers"] = {"conditional": {**entry, "conditional": True}}
    assert path.exists()
    return config


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the modules of the document, in which the experiment has run to Table 1."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("Snakefile", "get", "workflow", "profiles", "envs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for title in ("A student", "A loss", "A data set", "An extractor of features"):
        path, code = module(title)
        (folder / path).write_text(code)
    (folder / "config.yaml").write_text(yaml.safe_dump(extended_config(folder)))
    targets = ("results/table1.csv", "results/costs.json", "results/figures/training-curves.png")
    done = snakemake(folder, *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python(), "-m", "snakemake", "--cores", "2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_student_of_the_document_is_in_table_1(project: Path) -> None:
    table = pd.read_csv(project / "results/table1.csv").set_index("method")
    row = table.loc["Convolutional"]
    assert row["parameters"] == 3 * (32 * 32 * 9 + 32) + (9 * 32 + 32) + (9 * 32 + 1) + 4 * 32
    assert (row["nfe"], row["steps"], row["seeds"]) == (1, 2, 3)
    assert np.isfinite(row[["fid_train", "fid_test", "l1_held_out"]].astype(float)).all()
    text = (project / "results/table1.md").read_text()
    assert "Data set: stripes. FD is the Fréchet distance in the features of a matrix." in text
    assert "IS" not in text.partition("\n")[0]  # no logits
    costs = json.loads((project / "results/costs.json").read_text())["students"]["convolutional"]
    assert list(costs["training"]) == ["plain"]
    assert list(costs["sampling"]) == ["1"]


def test_the_loss_of_the_document_is_trained_with_and_named(project: Path) -> None:
    header = read_header(project / "results/students/convolutional/seed0/2.safetensors", "student")
    assert header["training"]["loss"] == {"name": "charbonnier", "c": 0.001}
    curves = json.loads((project / "results/settings/paper/training-curves.json").read_text())["histories"]
    assert [curve["loss"] for curve in curves] == ["Charbonnier"]
    names: dict[str, Any] = {}
    exec((project / module("A loss")[0]).read_text(), names)
    errors = names["LOSS"](c=3.0)(torch.tensor([4.0, 1.0, -3.0]), torch.tensor([0.0, 1.0, 1.0]))
    assert errors.tolist() == [2.0, 0.0, 2.0]


def test_the_document_names_the_weights_of_lpips() -> None:
    lpips = entries("A loss")[1]["loss"]
    losses.check(lpips, "loss")
    assert Source.model_validate(lpips["source"]).file == "vgg16-397923af.pth"


def test_a_wrong_argument_of_the_loss_is_refused_at_once(project: Path) -> None:
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["students"]["convolutional"]["training"]["loss"]["c"] = 0.0
    (project / "wrong.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(project, "--dry-run", "--configfile", "wrong.yaml")
    assert done.returncode != 0
    message = "students.convolutional.training.loss.c is 0.0; it must be from 1e-06 to 1"
    assert message in done.stdout + done.stderr


def test_three_seeds_give_mean_and_spread(project: Path) -> None:
    scores = [
        json.loads((project / f"results/scores/students/convolutional/seed{seed}/2.json").read_text())
        for seed in (0, 1, 2)
    ]
    row = pd.read_csv(project / "results/table1.csv").set_index("method").loc["Convolutional"]
    for name in ("fid_train", "fid_test"):
        values = [run["scores"][run["headline"]][name] for run in scores]
        assert len(set(values)) == 3
        assert row[name] == pytest.approx(np.mean(values), rel=1e-4)  # of six digits
        assert row[f"{name}_sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    shown = next(
        line
        for line in (project / "results/table1.md").read_text().splitlines()
        if line.startswith("| Convolutional")
    )
    assert re.search(r"\d ± \d", shown)
    assert "(±" not in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "students.convolutional.model.width is 0; it must be at least 1"),
        (
            {"heigth": 3},
            "students.convolutional.model.heigth: there is no such key; there are conditioning, width",
        ),
        (
            {"family": "convolutionel"},
            "model.family: 'convolutionel' must be one of convolutional, get, unet, vit",
        ),
    ],
)
def test_a_wrong_entry_is_refused_at_once(change: dict[str, Any], message: str, project: Path) -> None:
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["students"]["convolutional"]["model"] |= change
    (project / "wrong.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(project, "--dry-run", "--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_images_of_another_shape_than_the_noise_are_refused() -> None:
    noise = torch.zeros(2, 3, 8, 8)
    with pytest.raises(UserError, match=r"images of shape .2, 1, 8, 8. for noise of shape .2, 3, 8, 8."):
        decoded_states(lambda noise, label: noise[:, :1], noise, None, None)


SAMPLER = """
    import sys
    from pathlib import Path

    from get.teacher.samplers import check, evaluations

    folder, entry = Path(sys.argv[1]), {entry}
    check(entry)
    assert evaluations(entry) == 34
    assert "torch" not in sys.modules

    import torch
    from get.networks.denoiser import build
    from get.pairs.manifest import write_manifest
    from get.pairs.indices import HELD_OUT
    from get.sampling.sources import teacher_samples
    from get.storage.weights import write_weights
    from get.teacher.generation import write_pairs
    from get.teacher.samplers import Sampler

    calls = []
    torch.manual_seed(0)
    model = {model}
    write_weights(folder / "teacher.safetensors", "teacher", build(model).state_dict(), {{"model": model}})
    count = lambda module, *_: calls.append(type(module).__name__)
    torch.nn.modules.module.register_module_forward_hook(count)
    for name, indices in (("train", range(20)), ("held-out", range(HELD_OUT, HELD_OUT + 10))):
        write_pairs(
            teacher=folder / "teacher.safetensors", indices=indices, sampler=Sampler(**entry), seed=0,
            identity="abc", device="cpu", output=folder / f"{{name}}.h5",
        )
    assert calls.count("Denoiser") == 3 * 34
    write_manifest(folder / "manifest.json", [folder / "train.h5", folder / "held-out.h5"], "abc")
    nfe = Sampler(**entry).evaluations
    teacher_samples(manifest=folder / "manifest.json", samples=20, nfe=nfe, output=folder / "samples.h5")
"""


def test_the_sampler_of_the_document_draws_pairs_and_counts_its_evaluations(
    project: Path, tmp_path: Path
) -> None:
    """Its settings are checked and its NFE is known without torch; its name is in the shards."""
    path, code = module("A teacher's sampler")
    (project / path).write_text(code)
    entry = entries("A teacher's sampler")[0]["sampler"] | {"batch": 10}
    script = textwrap.dedent(SAMPLER).format(entry=entry, model=TEACHER)
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(tmp_path / "train.h5") as shard:
        attributes = {key: shard.attrs[key] for key in entry}
    assert attributes == entry
    with open_samples(tmp_path / "samples.h5") as samples:
        assert samples.info["nfe"] == 34


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "midpoint"}, "sampler.name: 'midpoint' must be one of dpm, euler, heun, or a new module"),
        ({"steps": 3}, r"sampler.steps: there is no such key; there are num_steps.*, name \(or not\)"),
        ({"num_steps": 0}, "sampler.num_steps is 0; it must be at least 1"),
        ({"rho": "7"}, "sampler.rho is '7'; it must be of type float"),
        ({"sigma_max": float("inf")}, "sampler.sigma_max is inf; it must be finite"),
    ],
)
def test_wrong_settings_of_a_sampler_are_refused(change: dict[str, Any], message: str) -> None:
    entry = {
        "num_steps": 3,
        "sigma_min": 0.01,
        "sigma_max": 5.0,
        "rho": 7.0,
        "precision": "float32",
        "batch": 8,
    }
    samplers.check(entry)
    samplers.check(entry | {"name": "heun"})
    with pytest.raises(UserError, match=message):
        samplers.check(entry | change)
    with pytest.raises(UserError, match=r"sampler.batch is missing"):
        samplers.check({key: value for key, value in entry.items() if key != "batch"})


# ------------------------------------------------------------------------------------------------- registry


@pytest.mark.parametrize(
    "name", ["os", "../vit", "vit.x", "get.student.models", "__init__", "", "VIT", "vit\n", None, ["vit"], 3]
)
def test_a_name_leads_into_its_folder_or_nowhere(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"{name} was imported"))
    with pytest.raises(UserError, match="must be one of get, unet, vit"):
        plugins.load(architectures.PACKAGE, name, "model.family")


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [1, 5], [0, -1, 1.0, True, "1", None]),
        ("float", [1, 0.5, -1], [True, "1", None, float("nan"), float("inf")]),
        ("bool", [True, False], [0, "true"]),
        ("str", ["a"], [1, None]),
        ("Literal['a', 'b']", ["a", "b"], ["c", 1, None]),
        ("Literal['a']", ["a"], ["b"]),
        ("Literal[1, 2]", [1, 2], [3, 1.0, True, "1"]),
        ("list[int]", [[1], "what the constructor makes of it"], []),
    ],
)
def test_values_fit_annotations(annotation: str, good: list[Any], bad: list[Any]) -> None:
    argument = Argument(annotation, optional=False)
    assert [value for value in good if argument.problem(value)] == []
    assert [value for value in bad if not argument.problem(value)] == []


def test_an_argument_with_a_default_may_be_left_out() -> None:
    wanted = {"a": Argument("int", optional=False), "b": Argument("int", optional=True)}
    plugins.check_arguments({"a": 1}, wanted, "model")
    with pytest.raises(UserError, match=r"model\.a is missing; it needs a, b"):
        plugins.check_arguments({"b": 1}, wanted, "model")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "does not say SHAPE"),
        ("SHAPE = (1, 8, 8)\nCLASSES = 2\nIMAGES = 9\nWRITE = f", "has no f"),
        ("SHAPE = (1, 8, 8)\nCLASSES = 2\nIMAGES = 9\nWRITE = f\ndef f(path, *, size): ...", "wants size"),
    ],
)
def test_a_module_that_lacks_something(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    (tmp_path / "data/sets").mkdir(parents=True)
    (tmp_path / "data/sets/incomplete.py").write_text(code)
    plugins._source.cache_clear()
    plugins.constants.cache_clear()
    with pytest.raises(UserError, match=message):
        sets.describe("incomplete")


@pytest.mark.parametrize("left_out", objectives.ASSIGNED)
def test_an_objective_that_lacks_something(
    left_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    (tmp_path / "student/objectives").mkdir(parents=True)
    module = {"OBJECTIVE": "Half", "NEEDS": {"pairs": None}, "DEFAULT_LOSS": "'l1'", "FORM": "'denoiser'"}
    plugins._source.cache_clear()
    plugins.constants.cache_clear()
    lines = [f"{name} = {value}" for name, value in module.items() if name != left_out]
    (tmp_path / "student/objectives/half.py").write_text("class Half: ...\n" + "\n".join(lines))
    with pytest.raises(UserError, match=rf"objectives/half\.py assigns nothing to {left_out}"):
        objectives.check("half", {}, "training")


def test_a_loss_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    (tmp_path / "student/losses").mkdir(parents=True)
    (tmp_path / "student/losses/incomplete.py").write_text("LABEL = 'none'")
    assert losses.defaults("incomplete") == {}
    for refused in (partial(losses.check, key="training.loss"), losses.build):
        with pytest.raises(UserError, match=r"incomplete.py assigns no LOSS, or no LABEL"):
            refused({"name": "incomplete"})


@pytest.mark.parametrize("name", ["digits", "photos", "cifar10"])
def test_data_sets_describe_themselves(name: str) -> None:
    images = sets.describe(name).images
    assert (sum(images) if isinstance(images, tuple) else images) in (1797, 9600, 60_000)
