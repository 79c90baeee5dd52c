"""What the commands make of checkpoints, images and other files, without Snakemake."""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from conftest import GET, NETWORK, SHAPE, VIT
from miniature import inception_weights
from PIL import Image
from test_scores import classifier, noisy  # noqa: F401 (a fixture)

from get import cli
from get.cli import main
from get.data.store import read_split, write_store
from get.imports.students import import_student
from get.networks import denoiser as network
from get.runtime import plugins
from get.runtime.seeding import fold_in, normal
from get.sampling.comparison import short_names
from get.sampling.files import new_samples, open_samples
from get.sampling.one_step import great_circle
from get.scoring import extractors
from get.scoring.images import open_images, write_folder
from get.scoring.metrics import resamples_of
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.hashing import fingerprint, record_of, sha256
from get.storage.weights import write_weights
from get.student import checkpoint, models
from get.teacher import generation
from get.teacher.samplers import Sampler

CPU = ["--device", "cpu"]


def write_student(path: Path, description: dict[str, Any], seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = models.build(description)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    header = {
        "model": description,
        "step": 7,
        "seed": 0,
        "pairs": "abc",
        "teacher": "t",
        "training": {"lr": 0.1},
    }
    write_weights(path, "student", model.state_dict(), header)
    return path


def write_teacher(path: Path, **change: int) -> Path:
    description = {**NETWORK, **SHAPE, **change}
    torch.manual_seed(0)
    write_weights(path, "teacher", network.build(description).state_dict(), {"model": description})
    return path


@pytest.fixture
def student(tmp_path: Path) -> Path:
    return write_student(tmp_path / "student.safetensors", {**SHAPE, **GET})


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def run(*arguments: object) -> None:
    assert main(list(map(str, arguments))) == 0


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the message of a command that fails: one line on standard error, after the log's."""
    assert main(list(map(str, arguments))) == UserError.exit_code
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert last.startswith("get: ")
    return last


# --------------------------------------------------------------------------------------------------- sampling


def test_sample_file_and_folder_hold_the_same_images(student: Path, tmp_path: Path) -> None:
    options = ["--seeds", "3-8,20", "--batch", "4", *CPU]
    run("sample", student, *options, "--out", tmp_path / "s.h5")
    run("sample", student, *options, "--out", tmp_path / "pictures")
    names = [f"{number:06d}.png" for number in (3, 4, 5, 6, 7, 8, 20)]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == names
    with open_samples(tmp_path / "s.h5") as file, open_images(tmp_path / "pictures") as pictures:
        assert file.labels.tolist() == [3, 4, 5, 6, 7, 8, 0]
        assert (file.info["step"], file.info["conditional"]) == (7, True)
        assert pictures.shape == (7, 1, 8, 8)
        assert (pictures[:] == file.variants["lowest-residual"][:]).all()
        assert len(np.unique(pictures[:], axis=0)) == 7


def test_a_folder_that_holds_something_is_left_alone(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    out.mkdir()
    run("sample", student, "--seeds", "0-1", *CPU, "--out", out)
    before = sorted(out.iterdir())
    assert "exists already" in refusal(capsys, "sample", student, "--seeds", "5", *CPU, "--out", out)
    assert sorted(out.iterdir()) == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_strip_leads_from_one_sample_to_the_other(student: Path, tmp_path: Path) -> None:
    same = ["--initial", "zeros", "--label", "2", *CPU]
    for ends, batch in (("3,9", 64), ("3,9", 2), ("9,3", 64)):
        out = tmp_path / f"{ends}-{batch}.png"
        run("sample", student, "--interpolate", ends, "--columns", 5, "--batch", batch, *same, "--out", out)
    run("sample", student, "--seeds", "3,9", *same, "--out", tmp_path / "ends.png")
    strip, ends_ = picture(tmp_path / "3,9-64.png").astype(int), picture(tmp_path / "ends.png")
    assert strip.shape == (64, 5 * 72 - 8)
    assert abs(strip[:, :64] - ends_[:, :64]).max() <= 1
    assert abs(strip[:, -64:] - ends_[:, -64:]).max() <= 1
    assert abs(strip[:, 144:208] - ends_[:, :64]).max() > 1
    assert abs(picture(tmp_path / "3,9-2.png") - strip).max() <= 1
    back = picture(tmp_path / "9,3-64.png").astype(int)
    assert abs(back[:, :64] - strip[:, -64:]).max() <= 1


def test_options_that_would_be_ignored_are_refused(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_student(tmp_path / "vit.safetensors", {**SHAPE, **VIT})
    for option in (["--iterations", 2], ["--rule", "last"], ["--initial", "zeros"]):
        told = refusal(capsys, "sample", plain, *option, *CPU, "--out", tmp_path / "x.png")
        assert told.startswith(f"get: {option[0][2:]} is of students with a state")
    for out in ("x.h5", "folder"):
        told = refusal(capsys, "sample", student, "--columns", 3, *CPU, "--out", tmp_path / out)
        assert "--columns" in told
    teacher = write_teacher(tmp_path / "teacher.safetensors")
    told = refusal(capsys, "compare", teacher, plain, "--iterations", 2, *CPU, "--out", tmp_path / "x.png")
    assert "iterations is of students with a state" in told
    card = ["--licence", "mit", "--out", tmp_path / "x.pth"]
    assert "--licence is of a folder" in refusal(capsys, "export", student, *card)
    with pytest.raises(SystemExit, match="2"):
        run("sample", student, "--seeds", "1", "--interpolate", "1,2", "--out", tmp_path / "x.png")
    assert not list(tmp_path.glob("x*"))


def test_great_circle_keeps_the_norm() -> None:
    first, last = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    last = last * first.norm() / last.norm()
    path = great_circle(first, last, 7)
    torch.testing.assert_close(path.flatten(1).norm(dim=1), first.norm().expand(7))
    steps = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(6))
    assert great_circle(first, first, 3).isfinite().all()


def test_a_strip_is_a_picture(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name a .png" in refusal(
        capsys, "sample", student, "--interpolate", "1,2", "--out", tmp_path / "x.h5"
    )
    for ends in ("1", "1,2,3", "-1,2", "a,b"):
        with pytest.raises(SystemExit, match="2"):
            main(["sample", str(student), f"--interpolate={ends}", "--out", "x.png"])


# -------------------------------------------------------------------------------------------------- comparing


def test_compare_gives_all_models_the_same_noise(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = write_teacher(tmp_path / "teacher.safetensors")
    other = write_student(tmp_path / "vit.safetensors", {**SHAPE, **VIT, "conditioning": "none"})
    out = tmp_path / "rows.png"
    steps = ["--num-steps", "3", "--seeds", "2-6", "--batch", "2", "--seed", "1", "--json", *CPU]
    run("compare", teacher, student, other, *steps, "--out", out)
    told = json.loads(capsys.readouterr().out)
    assert (list(told["l1"]), told["picture"]) == (["student", "vit"], str(out))
    noise, labels = normal(range(2, 7), (1, 8, 8), 1, "evaluation", "noise"), torch.arange(2, 7)
    sampler = Sampler(num_steps=3, sigma_min=0.002, sigma_max=80.0, rho=7.0, precision="float32", batch=5)
    solved = generation.sample(generation.load(teacher), noise, labels, sampler, torch.device("cpu"))
    drawn = checkpoint.load(other)[0].generate(noise, None, None).images
    assert told["l1"]["vit"] == pytest.approx(float((drawn - solved).abs().mean()), rel=1e-4)
    assert Image.open(out).size[1] > 500  # five samples, each with a row of differences below


def test_models_that_do_not_compare(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", tmp_path / "x.png", *CPU]
    large = write_teacher(tmp_path / "large.safetensors", size=16)
    assert f"{student} draws images (1, 8, 8)" in refusal(capsys, "compare", large, student, *out)
    few = write_teacher(tmp_path / "few.safetensors", classes=4)
    assert "different numbers of classes" in refusal(capsys, "compare", few, student, *out)
    assert "holds no teacher, but student" in refusal(capsys, "compare", student, student, *out)
    assert not (tmp_path / "x.png").exists()


def test_names_of_models() -> None:
    milestones = [Path(f"results/students/get/seed0/{step}.safetensors") for step in (1, 2)]
    assert short_names(milestones) == ["get/seed0/1", "get/seed0/2"]
    assert short_names([Path("a/x.safetensors"), Path("b/x.safetensors")]) == [
        "a/x.safetensors",
        "b/x.safetensors",
    ]


# ---------------------------------------------------------------------------------------------------- scoring


def scores(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    run("score", *arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_scores_do_not_depend_on_where_the_images_are(
    digits: Path,
    classifier: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = noisy(read_split(digits, "train").images[:], 0.3, 150)
    write_folder(tmp_path / "pictures", [images[:100], images[100:]], range(150))
    with new_samples(tmp_path / "s.h5", ["a", "b"], torch.zeros(150, dtype=torch.int64), (1, 8, 8)) as file:
        file.variants["a"][:], file.variants["b"][:] = images[::-1] * 0, images
    options = ["--extractor", "classifier", "--weights", classifier, "--kid-subset-size", 100, *CPU]
    by_folder = scores(capsys, tmp_path / "pictures", "--reference", digits, *options)
    by_file = scores(capsys, tmp_path / "s.h5", "--choice", "b", "--reference", digits, *options)
    for name in ("fid", "fid_sd", "kid", "is", "precision", "recall", "samples"):
        assert by_folder[name] == pytest.approx(by_file[name], rel=1e-6), name
    assert by_folder["samples"] == 150
    statistics = ["--extractor", "classifier", "--weights", classifier, *CPU]
    run("statistics", digits, *statistics, "--out", tmp_path / "real.npz")
    run("statistics", tmp_path / "pictures", *statistics, "--out", tmp_path / "ours.npz")
    capsys.readouterr()
    by_moments = scores(capsys, tmp_path / "pictures", "--reference", tmp_path / "real.npz", *options)
    run("fid", tmp_path / "ours.npz", tmp_path / "real.npz")
    assert float(capsys.readouterr().out) == pytest.approx(by_folder["fid"], rel=1e-4)
    assert by_moments["fid"] == pytest.approx(by_folder["fid"], rel=1e-6)
    assert "precision" not in by_moments
    assert "kid" not in by_moments
    test = scores(capsys, tmp_path / "pictures", "--reference", digits, "--reference-split", "test", *options)
    assert test["fid"] != pytest.approx(by_folder["fid"], rel=1e-3)
    swapped = scores(capsys, digits, "--reference", tmp_path / "pictures", *options)
    assert (swapped["precision"], swapped["recall"]) == (by_folder["recall"], by_folder["precision"])
    assert by_folder["precision"] != by_folder["recall"]
    same = scores(capsys, tmp_path / "pictures", "--reference", tmp_path / "pictures", *options)
    assert same["fid"] == pytest.approx(0, abs=1e-4 * by_folder["fid"])
    assert (same["precision"], same["recall"]) == (1, 1)
    run("score", tmp_path / "pictures", "--reference", digits, *options)
    assert f"fid       {by_folder['fid']:.5g} ±" in capsys.readouterr().out


def test_resamples_are_drawn_by_a_name_of_their_own(
    digits: Path,
    classifier: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds = []

    def draw(count: int, number: int, seed: int) -> np.ndarray:
        seeds.append(seed)
        return resamples_of(count, number, seed)

    monkeypatch.setattr("get.scoring.scores.resamples_of", draw)
    options = ["--extractor", "classifier", "--weights", classifier, "--kid-subsets", 1, "--seed", 3, *CPU]
    run("score", digits, "--reference", digits, *options)
    assert seeds == [fold_in(3, "bootstrap")]


def test_images_that_cannot_be_scored(
    student: Path,
    digits: Path,
    classifier: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--reference", digits, "--extractor", "classifier", "--weights", classifier, *CPU]
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert "holds no pictures" in refusal(capsys, "score", folder, *options)
    (folder / "0.png").write_bytes(b"no picture")
    assert f"{folder / '0.png'} is no picture" in refusal(capsys, "score", folder, *options)
    Image.new("I;16", (8, 8)).save(folder / "0.png")
    assert "it has 16 bits a channel" in refusal(capsys, "score", folder, *options)
    changed = tmp_path / "changed.h5"
    run("sample", student, "--seeds", "0-30", *CPU, "--out", changed)
    changed.write_bytes(changed.read_bytes()[:-1])
    assert "was changed since it was written" in refusal(capsys, "score", changed, *options)
    images = np.zeros((30, 1, 8, 8), np.uint8)
    for name, count in (("one", 1), ("three", 3), ("nine", 9)):
        write_folder(tmp_path / name, [images[:count]], range(count))
    few = f"{tmp_path / 'three'} has too few images (3); name at least 4"
    assert few in refusal(capsys, "score", tmp_path / "three", *options)
    three = ["--reference", tmp_path / "three", *options[2:]]
    assert few in refusal(capsys, "score", tmp_path / "nine", "--splits", 9, *three)
    assert "--splits 10: " in refusal(capsys, "score", tmp_path / "nine", *options)
    out = [*options[2:], "--out", tmp_path / "x.npz"]
    assert "has too few images (1)" in refusal(capsys, "statistics", tmp_path / "one", *out)
    write_folder(tmp_path / "wide", [np.zeros((30, 1, 8, 9), np.uint8)], range(30))
    assert "compare images of one shape" in refusal(capsys, "score", tmp_path / "wide", *options)
    wide = ["--reference", tmp_path / "wide", *options[2:]]
    assert "is of images (1, 8, 8)" in refusal(capsys, "score", tmp_path / "wide", *wide)
    write_folder(tmp_path / "mixed", [images], range(30))
    Image.new("RGB", (8, 8)).save(tmp_path / "mixed/000007.png")
    assert "000007.png is (3, 8, 8) but" in refusal(capsys, "score", tmp_path / "mixed", *options)
    assert "has no 'val'; it has train, test" in refusal(capsys, "score", digits, "--choice", "val", *options)
    assert "it has pictures" in refusal(capsys, "score", tmp_path / "one", "--choice", "test", *options)


def test_inception_reads_grey_as_colour_that_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ["--weights", inception_weights(tmp_path / "inception.pth"), *CPU]
    grey = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), np.uint8)
    found = []
    for name, images in (("grey", grey), ("colour", grey.repeat(3, axis=1))):
        write_folder(tmp_path / name, [images], range(4))
        run("statistics", tmp_path / name, *weights, "--out", tmp_path / f"{name}.npz")
        found.append(dict(np.load(tmp_path / f"{name}.npz")))
    assert info(capsys, tmp_path / "grey.npz")["features"] == 2048
    np.testing.assert_array_equal(found[0]["sigma"], found[1]["sigma"])


def test_samples_in_an_npz_score_as_a_folder_of_them(
    classifier: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), np.uint8)
    write_folder(tmp_path / "x", [images], range(30))
    np.savez(tmp_path / "x.npz", arr_0=images.transpose(0, 2, 3, 1), arr_1=np.arange(30))
    found = []
    for path in (tmp_path / "x", tmp_path / "x.npz"):
        capsys.readouterr()
        options = ["--extractor", "classifier", "--weights", classifier, "--splits", 3, "--json", *CPU]
        run("score", path, "--reference", path, *options)
        scores = json.loads(capsys.readouterr().out)
        found.append({name: scores[name] for name in ("samples", "fid", "kid", "is", "precision", "recall")})
    assert found[0] == found[1]


def test_pictures_in_colour_come_back(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), np.uint8)
    write_folder(tmp_path / "x", [images], range(5))
    with open_images(tmp_path / "x") as found:
        assert (found[:] == images).all()
        assert (found[2:4] == images[2:4]).all()


# ----------------------------------------------------------------------------------------------- information


def info(capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, Any]:
    capsys.readouterr()
    run("info", path, "--json")
    return json.loads(capsys.readouterr().out)[str(path)]


def test_info(
    student: Path, digits: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = info(capsys, student)
    assert (told["kind"], told["model"], told["step"]) == ("student", {**SHAPE, **GET}, 7)
    assert told["parameters"] == models.parameter_count(checkpoint.load(student)[0])
    assert told["as_written"]
    store = info(capsys, digits)
    assert (store["kind"], store["images"], store["train"] + store["test"]) == ("image store", 1797, 1797)
    manifest = info(capsys, pairs.parent)
    assert (manifest["pairs"], manifest["held_out"], manifest["shards"]) == (200, 30, 3)
    assert (manifest["identity"], manifest["missing"]) == ("abc", [])
    shard = info(capsys, pairs.parent / "train-00001.h5")
    assert (shard["kind"], shard["pairs"], shard["start"]) == ("shard of pairs", 80, 120)
    run("sample", student, "--seeds", "0-4", *CPU, "--out", tmp_path / "s.h5")
    capsys.readouterr()
    samples = info(capsys, tmp_path / "s.h5")
    assert (samples["kind"], samples["samples"], samples["variants"]) == (
        "sample file",
        5,
        ["lowest-residual"],
    )
    run("info", student, digits)
    assert "  conditioning" not in (printed := capsys.readouterr().out)
    assert f"{student}\n  kind           student\n" in printed


def test_info_on_changed_and_other_files(
    student: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(student.read_bytes())
    content[-1] ^= 1
    student.write_bytes(content)
    assert info(capsys, student)["as_written"] is False
    for name, content in (("x.safetensors", b"x" * 20), ("x.h5", b"x"), ("x.json", b"{}"), ("x.npz", b"")):
        (tmp_path / name).write_bytes(content)
        assert str(tmp_path / name) in refusal(capsys, "info", tmp_path / name)
    (tmp_path / "x.png").touch()
    assert "name one of .safetensors, .h5" in refusal(capsys, "info", tmp_path / "x.png")
    assert "holds no manifest of pairs" in refusal(capsys, "info", tmp_path)
    assert "does not exist" in refusal(capsys, "info", tmp_path / "nothing")
    assert "does not exist" in refusal(capsys, "info", tmp_path / "y.h5")
    assert "with the package come digits/get-48" in refusal(capsys, "info", "digits/get-49")
    assert info(capsys, "digits/get-48")["kind"] == "student"


SAID = {"kind": "x", "bytes": 1, "sha256": "x", "as_written": "x", "parameters": 1, "fingerprint": "x"}


def test_what_a_file_says_of_itself_gives_way_to_what_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, weights = models.build({**SHAPE, **GET}), tmp_path / "x.safetensors"
    write_weights(weights, "student", model.state_dict(), {"model": {**SHAPE, **GET}, **SAID})
    write_store(tmp_path / "x.h5", np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2), np.zeros(2, np.uint8),
                name="x", classes=1, source="x")  # fmt: skip
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file.attrs.update(SAID, images=5)
    record_of(tmp_path / "x.h5").unlink()
    write_json(tmp_path / "x.json", {"headline": "a", "scores": {"a": {**SAID, "variants": []}}})
    told = {path: info(capsys, path) for path in (weights, tmp_path / "x.h5", tmp_path / "x.json")}
    for path, facts in told.items():
        assert (facts["bytes"], facts["sha256"]) == (path.stat().st_size, sha256(path))
        assert list(facts)[:4] == ["kind", "bytes", "sha256", "as_written"]
    assert [facts["kind"] for facts in told.values()] == ["student", "image store", "scores"]
    assert told[weights]["parameters"] == models.parameter_count(model)
    assert told[weights]["fingerprint"] == fingerprint({**SHAPE, **GET})
    assert (told[tmp_path / "x.h5"]["images"], told[tmp_path / "x.json"]["variants"]) == (2, ["a"])


def test_info_reads_no_other_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"], file["split"] = np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = np.zeros((2, 1, 8, 8), np.uint8)
        file["split"] = h5py.ExternalLink("other.h5", "split")
    assert "split is no dataset of this file" in refusal(capsys, "info", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        del file["split"]
        file.create_dataset("split", (2**40,), np.uint8, chunks=(2**20,))
    assert "split does not lie in the file" in refusal(capsys, "info", tmp_path / "x.h5")


def test_other_json_is_not_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in ({"model": {}, "pairs": ""}, {"scores": 1}, [1]):
        write_json(tmp_path / "x.json", content)
        message = refusal(capsys, "info", tmp_path / "x.json")
        assert "neither a manifest of pairs nor scores" in message
        assert "delete" not in message


# ------------------------------------------------------------------------------------------------ giving away


def scored(path: Path, student: Path, **change: Any) -> Path:
    best = {"samples": 5000, "fid_train": 7.123456, "fid_train_sd": 0.7, "precision": 0.75}
    best |= {"fid_train_low": 5.75, "fid_train_high": 8.5}
    content = {
        "weights": sha256(student),
        "features": "classifier",
        "headline": "last-3",
        "scores": {"last-3": best},
    }
    write_json(path, content | change)
    return path


def test_export_a_folder(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "given"
    options = ["--licence", "mit", "--data", "digits", "--repository", "https://example.org/get"]
    run("export", student, "--scores", scored(tmp_path / "s.json", student), *options, "--out", out)
    written = {path.name for path in out.iterdir()}
    assert written == {"README.md", "config.json", "model.safetensors", "preview.png"}
    ours, theirs = (checkpoint.load(path)[0].state_dict() for path in (student, out))
    assert all(values.equal(theirs[name]) for name, values in ours.items())
    assert json.loads((out / "config.json").read_text())["model"] == {**SHAPE, **GET}
    card = (out / "README.md").read_text()
    for line in (
        "license: mit",
        "| FD, train split | 7.123 | 0.7 | 5.75 to 8.5 |",
        "| precision | 0.75 |  |  |",
        "| lr | 0.1 |",
        "| width | 16 |",
        f"| weights (SHA-256) | {sha256(out / 'model.safetensors')} |",
    ):
        assert line in card.splitlines(), line
    assert "Of 5,000 samples (last-3), in the features of a small classifier." in card
    assert "In a clone of https://example.org/get, with this folder" in card
    assert "# GET, " in card
    assert "plateau" not in card
    assert not re.search(r"\$[a-z]", card)
    # The grid has a column for each class, as `get sample` draws it
    run("sample", out, "--seeds", "0-79", "--columns", 10, *CPU, "--out", tmp_path / "grid.png")
    assert (picture(out / "preview.png") == picture(tmp_path / "grid.png")).all()
    assert "exists already" in refusal(capsys, "export", student, "--out", out)
    assert "trained on: digits." in card
    # A folder that is exported again keeps what its card says, but for what is given anew
    run("export", out, "--licence", "apache-2.0", "--out", tmp_path / "again")
    again = (tmp_path / "again/README.md").read_text()
    assert again.startswith(card[: card.index("license: mit")] + "license: apache-2.0\n")
    assert card[card.index("## Scores") :] == again[again.index("## Scores") :]
    # as long as its weights are those
    shutil.copyfile(write_student(tmp_path / "others", {**SHAPE, **GET}, seed=1), out / "model.safetensors")
    run("export", out, "--out", tmp_path / "changed")
    assert "Not scored." in (tmp_path / "changed/README.md").read_text()
    # Of what is not known nothing is said
    run("export", student, "--out", tmp_path / "plain")
    plain = (tmp_path / "plain/README.md").read_text()
    assert "Not scored." in plain
    assert "license" not in plain
    assert "model-index" not in plain
    run("export", write_student(tmp_path / "vit", {**SHAPE, **VIT}), "--out", tmp_path / "title")
    assert "# ViT, " in (tmp_path / "title/README.md").read_text()


def test_the_hub_reads_the_card(student: Path, tmp_path: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    out = tmp_path / "given"
    run("export", student, "--scores", scored(tmp_path / "s.json", student), "--licence", "mit", "--out", out)
    data = huggingface_hub.ModelCard.load(out / "README.md").data
    assert (data.license, data.library_name, data.tags[-1]) == ("mit", "get-distillation", "get")
    fid, precision = data.eval_results
    assert (fid.metric_type, fid.metric_value, precision.metric_value) == ("fid_train", 7.123456, 0.75)
    assert fid.metric_args == {"features": "classifier", "samples": 5000, "sd": 0.7, "low": 5.75, "high": 8.5}


@pytest.mark.parametrize("extractor", plugins.names(extractors.PACKAGE))
def test_a_card_names_the_features(extractor: str, student: Path, tmp_path: Path) -> None:
    path = scored(tmp_path / "s.json", student, features=extractor)
    run("export", student, "--scores", path, "--out", tmp_path / "given")
    card = (tmp_path / "given/README.md").read_text()
    assert ("| FID, train split |" in card) == (extractor == "inception")
    assert ("They compare with no number in the features of Inception." in card) == (extractor != "inception")


def test_scores_of_another_student(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    another = write_student(tmp_path / "another.safetensors", {**SHAPE, **VIT})
    path = scored(tmp_path / "s.json", another)
    message = refusal(capsys, "export", student, "--scores", path, "--out", tmp_path / "given")
    assert f"{path} has the scores of another student" in message
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize("family", [GET, VIT])
def test_export_as_published(family: dict[str, Any], tmp_path: Path) -> None:
    student = write_student(tmp_path / "student.safetensors", {**SHAPE, **family})
    run("export", student, "--out", tmp_path / "student.pth")
    content = torch.load(tmp_path / "student.pth", weights_only=True)
    assert {"model", "ema", "opt", "args"} == content.keys()
    assert "x_embedder.proj.weight" in content["ema"]
    write_json(tmp_path / "settings.json", {"model": family, "pairs": "abc", "training": {}})
    import_student(
        source=tmp_path / "student.pth",
        sha256=None,
        settings=tmp_path / "settings.json",
        seed=0,
        step=1,
        shape=[1, 8, 8],
        classes=10,
        output=tmp_path / "back.safetensors",
    )
    ours, theirs = (
        checkpoint.load(path)[0].state_dict() for path in (student, tmp_path / "back.safetensors")
    )
    assert all(values.equal(theirs[name]) for name, values in ours.items())


# ----------------------------------------------------------------------------------------- the command itself


def test_plan_needs_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", tmp_path / "plan.csv"]
    assert "plan.json does not exist; correct" in refusal(capsys, "plan", tmp_path / "plan.json", *out)
    settings = tmp_path / "results/settings/plan.json"
    assert f"make it with: snakemake --cores all {settings}" in refusal(capsys, "plan", settings, *out)


def test_every_command_shows_examples_that_parse() -> None:
    """An example that names an option which is not there would fail here."""
    top = cli.parser()
    found = 0
    for name, command in commands(top):
        lines = (command.epilog or "").split("\n")[1:]
        assert lines or name in ("import", "train-teacher"), name
        for line in lines:
            top.parse_args(line.split()[1:])
            found += 1
    assert found > 20


def commands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    """Return all commands of a parser, those of commands included."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found += [(name, command), *commands(command)]
    return found


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("get.cli.describe.describe", interrupted)
    assert main(["info", "x.h5"]) == 130
    assert capsys.readouterr().err.endswith("get: stopped\n")


def test_json_of_verify(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("verify", pairs, pairs.parent, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == {str(pairs): {"shards": 3}, str(pairs.parent): {"files": 4, "unrecorded": []}}
