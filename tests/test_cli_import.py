"""`get import`: pair sets, teachers and students as the published code keeps them."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from conftest import DISTILLATION, NETWORK, SHAPE, VIT
from fabricate import edm_pickle, published_student
from test_published import Call

from get.cli import main
from get.networks import denoiser
from get.pairs.dataset import held_out_pairs, training_pairs
from get.pairs.manifest import read_manifest, verify
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.student import checkpoint, models

COUNTS = {"000000099.pkl": 100, "000000149.pkl": 50}


def draw(seed: int, count: int) -> torch.Tensor:
    return torch.randn((count, 1, 8, 8), generator=torch.Generator().manual_seed(seed))


def published_pairs(folder: Path, classes: int = 0) -> Path:
    """Write a pair set as the paper's code does."""
    for kind in ("latent", "image"):
        (folder / kind).mkdir(parents=True)
    for number, (name, count) in enumerate(COUNTS.items()):
        noise, image = draw(number, count), draw(10 + number, count).tanh()
        labels = torch.eye(classes)[(number + torch.arange(count)) % classes] if classes else None
        torch.save([noise, labels] if classes else noise, folder / "latent" / name)
        torch.save(image if classes else image.double(), folder / "image" / name)
    return folder


@pytest.mark.parametrize("classes", [0, 10])
def test_pairs(classes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = published_pairs(tmp_path / "set", classes), tmp_path / "pairs"
    assert main(["import", "pairs", str(source), "--held-out", "20", "--out", str(out)]) == 0
    manifest = read_manifest(out / "manifest.json")
    assert f"130 pairs and 20 held-out ones in {out}/manifest.json" in capsys.readouterr().out
    assert (manifest.classes, manifest.shape, verify(out / "manifest.json")) == (classes, [1, 8, 8], 3)
    held_out = held_out_pairs(out / "held-out.h5", manifest.identity).batch(torch.arange(20))
    trained = training_pairs(manifest).batch(torch.arange(130))
    assert torch.cat([held_out.noise, trained.noise]).equal(torch.cat([draw(0, 100), draw(1, 50)]).half())
    image = torch.cat([draw(10, 100), draw(11, 50)]).tanh()
    assert torch.cat([held_out.image, trained.image]).equal(
        image.double().half() if not classes else image.half()
    )
    wanted = torch.cat([torch.arange(100), 1 + torch.arange(50)]) % 10 if classes else torch.zeros(150)
    assert torch.cat([held_out.label, trained.label]).tolist() == wanted.tolist()


def test_students_learn_from_imported_pairs(tmp_path: Path) -> None:
    assert (
        main(["import", "pairs", str(published_pairs(tmp_path / "set", 10)), "--out", str(tmp_path / "p")])
        == 0
    )
    manifest, settings = tmp_path / "p/manifest.json", tmp_path / "settings.json"
    identity = read_manifest(manifest).identity
    write_json(settings, {"model": VIT, "training": DISTILLATION, "pairs": identity})
    rest = ["--steps", "3", "--seed", "0", "--device", "cpu", "--output", str(tmp_path / "3.pt")]
    assert main(["train-student", "--manifest", str(manifest), "--settings", str(settings), *rest]) == 0
    header = checkpoint.load(tmp_path / "3.safetensors")[1]
    assert (header["pairs"], header["teacher"]) == (identity, f"of the pairs {identity[:16]}")


def test_files_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = published_pairs(tmp_path / "set")
    for kind in ("latent", "image"):
        (source / kind / "000000149.pkl").rename(source / kind / "9.pkl")
    assert main(["import", "pairs", str(source), "--out", str(tmp_path / "pairs")]) == 0
    first = training_pairs(read_manifest(tmp_path / "pairs/manifest.json")).batch(torch.arange(50))
    assert first.noise.equal(draw(1, 50).half())


def spoil(source: Path, kind: str, content: Any) -> None:
    torch.save(content, source / kind / "000000149.pkl")


@pytest.mark.parametrize(
    ("classes", "kind", "content", "message"),
    [
        (0, "image", torch.zeros(49, 1, 8, 8), "do not belong together"),
        (0, "image", torch.zeros(50, 8, 8), "has a tensor (50, 8, 8) of float32"),
        (0, "image", torch.zeros(1, 1, 1, 1).expand(50, 1, 8, 8), "that repeats 4 bytes"),
        (0, "image", torch.full((50, 1, 8, 8), float("nan")), "not finite"),
        (0, "image", torch.full((50, 1, 8, 8), 50.0), "the files differ"),
        (0, "image", torch.full((50, 1, 8, 8), 50.5), "pixels lie from 50.5 to 50.5"),
        (0, "image", {"a": 1}, "has a dict; images are"),
        (0, "latent", Call(os.getcwd), "asks for posix.getcwd; refused, and nothing was run"),
        (
            0,
            "latent",
            [draw(1, 50), torch.eye(10).repeat(5, 1)],
            "10 classes, pixels in about -1 to 1); import them apart",
        ),
        (10, "latent", [draw(1, 50), torch.ones(50, 10)], "not one-hot"),
        (10, "latent", [draw(1, 50), torch.eye(10).repeat(4, 1)], "40 labels"),
    ],
)
def test_spoilt_pairs_are_refused(
    classes: int, kind: str, content: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = published_pairs(tmp_path / "set", classes)
    spoil(source, kind, content)
    assert main(["import", "pairs", str(source), "--out", str(tmp_path / "pairs")]) == UserError.exit_code
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_pairs_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "pairs")]
    assert main(["import", "pairs", str(tmp_path), *out]) == 2
    assert "has no folders latent/ and image/" in capsys.readouterr().err
    source = published_pairs(tmp_path / "set")
    assert main(["import", "pairs", str(source), "--held-out", "100", *out]) == 2
    assert "--held-out 100: the first file has 100 pairs" in capsys.readouterr().err
    (source / "image/000000099.pkl").unlink()
    assert main(["import", "pairs", str(source), *out]) == 2
    assert "000000099.pkl is in only one of latent/ and image/" in capsys.readouterr().err


def test_an_existing_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = published_pairs(tmp_path / "set"), tmp_path / "pairs"
    out.mkdir()
    (out / "mine").write_text("kept")
    assert main(["import", "pairs", str(source), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_teacher(tmp_path: Path) -> None:
    source = edm_pickle(tmp_path / "edm.pkl", {**NETWORK, **SHAPE})
    out = tmp_path / "teacher.safetensors"
    shape = ["--shape", "1,8,8", "--out", str(out)]
    assert main(["import", "teacher", str(source), "--conditional", *shape]) == 0
    assert denoiser.load(out).classes == 10
    assert main(["import", "teacher", str(source), *shape]) == 2


def test_student(tmp_path: Path) -> None:
    student = models.build({**SHAPE, **VIT})
    source = published_student(tmp_path / "vit.pth", student)
    write_json(tmp_path / "settings.json", {"model": VIT, "pairs": "abc", "training": {}})
    out = tmp_path / "vit.safetensors"
    settings = ["--settings", str(tmp_path / "settings.json"), "--step", "7", "--shape", "1,8,8"]
    assert main(["import", "student", str(source), *settings, "--out", str(out)]) == 0
    loaded, header = checkpoint.load(out)
    assert header["step"] == 7
    for name, values in loaded.state_dict().items():
        assert values.equal(student.state_dict()[name])


def test_shards_say_where_they_are_from(tmp_path: Path) -> None:
    assert (
        main(["import", "pairs", str(published_pairs(tmp_path / "set")), "--out", str(tmp_path / "p")]) == 0
    )
    with h5py.File(tmp_path / "p/train-00001.h5") as file:
        assert file.attrs["source"] == "000000149.pkl"
        assert file["noise"].dtype == np.float16
