"""The paper's config on a CPU: its miniature through Snakemake, on fabricated inputs; and bad inputs."""

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
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
from fabricate import vgg16
from miniature import CONFIGS, NETWORK, merged, mini_config, write_inputs
from warm import python

from get.storage.hashing import sha256
from get.storage.weights import read_header

RESULTS = "results/cifar10-mini"
FILES = f"{RESULTS}/fabricated"
ARCHIVE, VGG = "cifar-10-python.tar.gz", "vgg16-random.pth"
Config = dict[str, Any]


def run(folder: Path, overlay: Config, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder` on the paper's config, the miniature and `overlay`, laid over each other."""
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    command = [python(), "-m", "snakemake", *arguments, "--cores", "2"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile"]
    command += [str(CONFIGS / name) for name in ("cifar10.yaml", "cifar10-mini.yaml")]
    return subprocess.run([*command, str(folder / "overlay.yaml")], capture_output=True, text=True, cwd=ROOT)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    write_inputs(folder / FILES)
    torch.save(vgg16().state_dict(), folder / FILES / VGG)
    return folder


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[Config]:
    """An overlay that takes CIFAR-10 and VGG-16 from a server; the checksum of the first is not known."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / FILES)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    few = {"samples": 10, "batch": 10}  # a score in Inception's features takes seconds
    vgg = {"url": f"{address}/{VGG}", "sha256": sha256(folder / FILES / VGG)}
    yield {
        "data": {"source": {"url": f"{address}/{ARCHIVE}", "path": None}},
        "students": {"vit-base": {"training": {"loss": {"name": "lpips", "source": vgg}}}},
        "evaluation": few,
    }
    server.shutdown()


@pytest.fixture(scope="module")
def finished(folder: Path, web: Config) -> Path:
    done = run(folder, web)
    logs = "".join(path.read_text() for path in folder.rglob("logs/**/*.log") if "error" in path.read_text())
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:] + logs
    return folder / RESULTS


def test_every_rule_runs_and_a_second_run_has_nothing_to_do(
    finished: Path, folder: Path, web: Config
) -> None:
    for number in range(1, 7):
        assert (finished / f"table{number}.tex").stat().st_size > 100
    for name in ("2a", "2b", "3a", "3b", "4a", "4b"):
        assert (finished / f"figures/figure{name}.pdf").stat().st_size > 1000
    assert "Nothing to be done" in (done := run(folder, web)).stdout + done.stderr
    assert [path.name for path in (folder / "results").iterdir()] == ["cifar10-mini"]


def test_downloads_are_whole_and_recorded(finished: Path) -> None:
    assert [path.name for path in sorted((finished / "inputs").glob("[!.]*"))] == [
        ARCHIVE,
        f"{ARCHIVE}.sha256",
        VGG,
    ]
    digest = sha256(finished / "inputs" / ARCHIVE)
    assert (finished / "inputs" / f"{ARCHIVE}.sha256").read_text().startswith(digest)
    with h5py.File(finished / "data/images.h5") as file:
        assert digest in file.attrs["source"]
        assert file["images"].shape == (5 * 4 + 12, 3, 32, 32)


def test_the_teachers_are_the_published_ones(finished: Path, folder: Path) -> None:
    for name, kind, classes in (("conditional", "cond", 10), ("unconditional", "uncond", 0)):
        header = read_header(finished / f"teachers/{name}.safetensors", "teacher")
        assert header["model"]["classes"] == classes
        assert header["source"]["sha256"] == sha256(folder / FILES / f"edm-cifar10-32x32-{kind}-vp.pkl")
        manifest = json.loads((finished / f"pairs/{name}/manifest.json").read_text())
        assert manifest["teacher"] == sha256(finished / f"teachers/{name}.safetensors")


def test_a_student_is_trained_with_the_weights_of_lpips(finished: Path, folder: Path) -> None:
    header = read_header(finished / "students/vit-base/seed0/2.safetensors", "student")
    assert header["loss"] == sha256(folder / FILES / VGG)
    costs, plain = (
        json.loads((finished / "costs.json").read_text())["students"][name]["training_flops"]
        for name in ("vit-base", "get-mini")
    )
    assert costs > 50 * plain  # as VGG-16 is far larger than they are
    curves = json.loads((finished / "settings/paper/training-curves.json").read_text())["histories"]
    assert {curve["label"]: curve.get("loss") for curve in curves}["ViT-B"] == "LPIPS"


def test_scores_are_in_inceptions_features(finished: Path) -> None:
    assert np.load(finished / "features/reference-train.npy", mmap_mode="r").shape == (20, 2048)
    with np.load(finished / "features/reference-train.npz") as file:
        assert (file["mu"].shape, file["sigma"].shape) == ((2048,), (2048, 2048))


def test_published_numbers_stand_beside_ours(finished: Path) -> None:
    table4 = pd.read_csv(finished / "table4.csv").set_index("method")
    assert table4.loc["GET-Mini", "fid_published"] == 10.72
    assert table4.loc["GET-Mini", "training_memory_published"] == 9.2e9
    assert table4.loc["GET-Mini, O(1) memory", "training_speed_published"] == 4.53
    assert table4.loc["ViT-B", "macs_published"] == 23.0e9
    ours, theirs = table4.loc["ViT-B", ["fid_test", "fid_published"]]
    assert table4.loc["ViT-B", "fid_difference"] == pytest.approx(100 * (ours / theirs - 1), rel=1e-4)
    table1 = pd.read_csv(finished / "table1.csv")
    assert table1[table1["method"] == "EDM teacher"]["fid_published"].dropna().tolist() == [2.04]
    claims = pd.read_csv(finished / "reproduction.csv").set_index("claim")["verdict"]
    assert claims["Table 2: GET-Mini, FID"] == "single run"
    assert claims["Table 2: GET-Mini, parameters"] == "not reproduced"
    assert claims["Table 2: GET-Tiny, FID"] == "not run"


def test_a_published_student_is_scored_without_training(finished: Path) -> None:
    made = finished / "students/vit-base-injection/seed0"
    assert [path.name for path in made.glob("[!.]*")] == ["2.safetensors"]
    assert "ViT-B (injection)" in pd.read_csv(finished / "table6.csv")["method"].tolist()


def test_another_file_from_outside_is_imported_anew(finished: Path, folder: Path, web: Config) -> None:
    """However old it is: downloads often are older than what was made of others."""
    for name, overlay in {
        "edm-cifar10-32x32-cond-vp.pkl": lambda path: {"teachers": {"conditional": {"source": path}}},
        "published-vit.pt": lambda path: {"students": {"vit-base-injection": {"import": path}}},
    }.items():
        other = folder / f"other-{name}"
        shutil.copy(folder / FILES / name, other)
        os.utime(other, (0, 0))
        done = run(folder, merged(web, overlay({"path": str(other)})), "--dry-run")
        assert re.search("^rule import_(teacher|student):", done.stdout + done.stderr, re.MULTILINE), name


# ---------------------------------------------------------------------------------------------- bad inputs


def spoil(name: str, change: Callable[[bytes], bytes], folder: Path) -> Config:
    """Return an overlay that takes the input `name` from a changed copy."""
    path = folder / f"spoilt-{name}"
    path.write_bytes(change((folder / FILES / name).read_bytes()))
    return {"path": str(path)}


BAD: dict[str, tuple[Callable[[Path], Config], str, str]] = {
    "wrong checksum": (
        lambda folder: {"data": {"source": {"sha256": "0" * 64}}},
        "data/images.h5",
        r"cifar-10-python.tar.gz .*0{64}",
    ),
    "truncated archive": (
        lambda folder: {"data": {"source": spoil(ARCHIVE, lambda content: content[:5000], folder)}},
        "data/images.h5",
        r"spoilt-cifar-10-python.tar.gz",
    ),
    "pickle with code in it": (
        lambda folder: {
            "teachers": {"conditional": {"source": spoil(
                "edm-cifar10-32x32-cond-vp.pkl", lambda _: b"cos\nsystem\n(X\t\0\0\0touch rantR.", folder
            )}}
        },
        "teachers/conditional.safetensors",
        r"spoilt-edm-cifar10-32x32-cond-vp.pkl.*os.system",
    ),
    "teacher of the other kind": (
        lambda folder: {
            "teachers": {"conditional": {"source": {"path": f"{FILES}/edm-cifar10-32x32-uncond-vp.pkl"}}}
        },
        "teachers/conditional.safetensors",
        r"an unconditional teacher, but teachers.*conditional is true",
    ),
    "weights of another network": (
        lambda folder: {"features": {"source": {"path": f"{FILES}/published-vit.pt"}}},
        "features/inception.pth",
        r"published-vit.pt is no file of weights of torch-fidelity's Inception",
    ),
    "student of another size": (
        lambda folder: {"students": {"vit-base-injection": {"model": {"depth": 2}}}},
        "students/vit-base-injection/seed0/2.safetensors",
        r"published-vit.pt: its averaged weights \(ema\) are of another model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_nothing_is_made(name: str, folder: Path, tmp_path: Path) -> None:
    overlay, target, message = BAD[name]
    (tmp_path / "results/cifar10-mini").mkdir(parents=True)
    (tmp_path / FILES).symlink_to(folder / FILES)
    done = run(tmp_path, overlay(folder), f"{RESULTS}/{target}")
    assert done.returncode != 0
    logs = "".join(path.read_text() for path in (tmp_path / RESULTS / "logs").rglob("*.log"))
    assert re.search(message, logs), logs
    assert "Traceback" not in logs
    assert not (tmp_path / RESULTS / target).exists()
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"data": {"source": {"path": "nowhere"}}}, "data.source.path: there is no nowhere"),
        ({"data": {"shape": [3, 64, 64]}}, r"data.shape: cifar10 has images of shape \[3, 32, 32\]"),
        ({"data": {"classes": 100}}, "data.classes: cifar10 has 10 classes"),
        ({"data": {"source": {"sha256": "abc"}}}, "data.source.sha256: 'abc' does not match"),
        ({"teachers": {"conditional": {"steps": 5}}}, "teachers.conditional"),
        ({"students": {"vit-base": {"model": {"heads": 3}}}}, "students.vit-base.model.heads must divide"),
        ({"students": {"vit-base": {"model": {"patch": 5}}}}, "model.patch must divide the image size 32"),
        (
            {"paper": {"figure4": {"unconditional": "get-tiny"}}},
            "figure4.unconditional: get-tiny is disabled",
        ),
        ({"students": {"vit-base-injection": {"milestones": [2, 4]}}}, "an imported student has one step"),
    ],
)
def test_impossible_configs_name_the_key(overlay: Config, message: str, folder: Path) -> None:
    done = run(folder, overlay, "--dry-run")
    assert done.returncode != 0
    assert re.search(message, done.stdout + done.stderr), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_miniature_is_laid_over_the_papers_config(cifar_config: Config) -> None:
    """All it changes is sizes and places: everything that it does not name is the paper's."""
    mini = mini_config()
    assert mini == merged(cifar_config, yaml.safe_load((CONFIGS / "cifar10-mini.yaml").read_text()))
    assert mini["teachers"]["conditional"]["source"]["url"].startswith("https://")
    assert mini["features"]["extractor"] == "inception"
    assert mini["students"].keys() == cifar_config["students"].keys()


def small(config: Config, folder: Path) -> Config:
    """Return a config with its models and numbers made small, and its files those of the miniature."""
    paths = {
        "data": ARCHIVE,
        "features": "weights-inception-2015-12-05-6726825d.pth",
        "teachers": "edm-cifar10-32x32-uncond-vp.pkl",
    }
    sources = {key: {"path": str(folder / FILES / name), "sha256": None} for key, name in paths.items()}
    jobs = {key: {"threads": 1, "mem_mb": 2000, "gpu": 0} for key in config["jobs"]}
    network = {key: NETWORK[key] for key in ("model_channels", "channel_mult", "blocks")}
    models = {
        "get": {
            "patch": 8,
            "width": 16,
            "heads": 2,
            "injection_depth": 1,
            "equilibrium_depth": 1,
            "expansion": 2,
        },
        "vit": {"patch": 8, "width": 16, "heads": 2, "depth": 1},
        "unet": {"network": network},
    }
    students = {
        name: {
            "model": models[student["model"]["family"]],
            "training": {"batch": 8},
            "milestones": list(range(1, len(student["milestones"]) + 1)),
        }
        for name, student in config["students"].items()
    }
    pairs = {"count": 40, "held_out": 10, "shards": 2, "sampler": {"num_steps": 4, "batch": 10}}
    scoring = {"splits": 2, "bootstrap": 2, "kid_subsets": 2, "kid_subset_size": 10, "nearest": 5}
    return {
        "results": "results/small",
        "data": {"source": sources["data"]},
        "features": {"source": sources["features"]},
        "teachers": {"unconditional": {"source": {"path": sources["teachers"]["path"]}}},
        "pairs": {"unconditional": pairs},
        "students": students,
        "evaluation": {"samples": 20, "batch": 20, "scoring": scoring},
        "jobs": jobs,
    }


@pytest.mark.parametrize("name", ["cifar10-hour.yaml", "cifar10-day.yaml"])
def test_the_steps_towards_the_paper_run(name: str, folder: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(small(config, folder)))
    # of the shorter one the students (the miniature's scores are as here), of the longer one the plan
    ends = [f"{student}/seed0/{len(given['milestones'])}" for student, given in config["students"].items()]
    students = [f"results/small/students/{end}.safetensors" for end in ends]
    target = students if name == "cifar10-hour.yaml" else ["--dry-run"]
    command = [python(), "-m", "snakemake", *target, "--cores", "2", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", tmp_path, "--configfile", CONFIGS / name, tmp_path / "overlay.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    logs = "".join(path.read_text() for path in tmp_path.rglob("logs/**/*.log") if "rror" in path.read_text())
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:] + logs
    if target is students:
        families = [read_header(tmp_path / path, "student")["model"]["family"] for path in students]
        assert families == ["get", "vit", "unet"]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("all", {"download": 4, "generate_pairs": 202, "train_student": 48, "score_student": 48, "score": 4}),
        # nine trainings of GET-Tiny more, from pairs that are there
        (
            "studies",
            {"download": 4, "generate_pairs": 202, "train_student": 44, "sample_study": 6, "study": 6},
        ),
    ],
)
def test_the_papers_experiment_is_planned_whole(target: str, wanted: dict[str, int], tmp_path: Path) -> None:
    command = [python(), "-m", "snakemake", target, "--dry-run", "--cores", "1"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    command += ["--configfile", CONFIGS / "cifar10.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    assert {name: int(counts[name]) for name in wanted} == wanted
