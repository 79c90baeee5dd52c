"""The Python API: what `get.load`, `get.load_teacher` and `get.open_pairs` return."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import GET, ROOT, SHAPE, VIT
from test_cli_commands import write_student, write_teacher

import get
from get.cli import main
from get.export.card import Said
from get.export.folder import export_folder
from get.networks import denoiser
from get.runtime.seeding import classes_of, normal
from get.sampling.files import open_samples
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.teacher import generation
from get.teacher.samplers import Sampler

MODELS = {
    "get": {**SHAPE, **GET},
    "get-unconditional": {**SHAPE, **GET, "conditioning": "none"},
    "vit": {**SHAPE, **VIT},
    "vit-unconditional": {**SHAPE, **VIT, "conditioning": "none"},
    "get-in-colour": {**SHAPE, **GET, "channels": 3, "size": 16},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("api")
    return {name: write_student(folder / f"{name}.safetensors", model) for name, model in MODELS.items()}


@pytest.fixture
def student(files: dict[str, Path]) -> get.Generator:
    return get.load(files["get"], "cpu")


def command(out: Path, *arguments: object) -> Any:
    """Return the images (N, H, W, C) that `get sample` draws."""
    assert main([*map(str, ["sample", *arguments, "--device", "cpu", "--out", out])]) == 0
    with open_samples(out) as file:
        (images,) = file.variants.values()
        return np.moveaxis(images[:], 1, -1)


@pytest.mark.parametrize("name", MODELS)
def test_the_images_are_those_of_get_sample(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    drawn = get.load(files[name], "cpu").sample(70, seed=5)
    size, channels = MODELS[name]["size"], MODELS[name]["channels"]
    assert drawn.shape == (70, size, size, channels)
    assert drawn.dtype == np.uint8
    assert (drawn == command(tmp_path / "all.h5", files[name], "--seeds", "0-69", "--seed", 5)).all()


def test_so_are_those_of_options(files: dict[str, Path], student: get.Generator, tmp_path: Path) -> None:
    options = ["--label", 3, "--iterations", 2, "--rule", "last", "--initial", "zeros", "--seeds", "9,4"]
    expected = command(tmp_path / "some.h5", files["get"], *options)
    drawn = student.sample([9, 4], label=3, iterations=2, rule="last", initial="zeros", batch=1)
    assert (drawn == expected).all()
    assert (student.sample([9, 4]) != expected).any()


def test_what_names_a_sample(student: get.Generator) -> None:
    all_of_them = student.sample(20)
    assert (student.sample(range(7, 9)) == all_of_them[7:9]).all()
    assert (student.sample([8, 7], label=[8, 7]) == all_of_them[[8, 7]]).all()
    assert (student.sample(np.array([7, 8])) == all_of_them[7:9]).all()
    assert (student.sample(np.int64(20)) == all_of_them).all()
    for count in (np.array(20), torch.tensor(20)):
        assert (student.sample(count, seed=np.int64(0), batch=np.int32(7)) == all_of_them).all()
    for label in (np.array(3), torch.tensor(3), [3, 3], np.array([3, 3]), torch.tensor([3, 3])):
        assert (student.sample(2, label=label) == student.sample(2, label=3)).all()
    assert (student.sample(label=[0, 1, 2]) == all_of_them[:3]).all()
    assert (student.sample([7], label=0) != all_of_them[7]).any()
    assert (student.sample([7], seed=1) != all_of_them[7]).any()
    assert (student.sample() == all_of_them[:1]).all()


def test_raw_images_are_the_networks_own(student: get.Generator) -> None:
    noise = normal(range(4), student.shape, 0, "evaluation", "noise")
    raw = student.sample(4, raw=True)
    assert raw.shape == (4, 1, 8, 8)
    assert torch.equal(student.sample(4, noise=noise, raw=True), raw)
    assert not torch.equal(student.sample(4, noise=-noise, raw=True), raw)
    for given in (noise.double(), noise.numpy(), noise.numpy().astype(np.float64)):
        assert torch.equal(student.sample(noise=given, raw=True), raw)
    assert torch.equal(
        student.sample(3, noise=noise[:3].half(), raw=True),
        student.sample(noise=noise[:3].half().float(), raw=True),
    )
    bytes_ = (raw * 127.5 + 128).clip(0, 255).byte().permute(0, 2, 3, 1)
    assert (student.sample(4) == bytes_.numpy()).all()


def test_a_trajectory_has_every_iteration(student: get.Generator) -> None:
    images, residuals = student.trajectory(5, iterations=4)
    assert images.shape == (4, 5, 8, 8, 1)
    assert residuals.shape == (4, 5)
    for count in (1, 4):
        assert (images[count - 1] == student.sample(5, iterations=count, rule="last")).all()
    best = residuals.argmin(axis=0)
    assert (images[best, range(5)] == student.sample(5, iterations=4)).all()


def test_a_student_without_a_state_has_one(files: dict[str, Path]) -> None:
    vit = get.load(files["vit"], "cpu")
    images, residuals = vit.trajectory(5)
    assert (images[0] == vit.sample(5)).all()
    assert residuals.shape == (0, 5)
    assert vit.interpolate(0, 1, 3).shape == (3, 8, 8, 1)
    with pytest.raises(UserError, match="iterations is of students with a state"):
        vit.sample(1, iterations=2)


def test_an_interpolation_begins_and_ends_with_samples(student: get.Generator) -> None:
    strip = student.interpolate(3, 11, 6)
    assert strip.shape == (6, 8, 8, 1)
    ends = student.sample([3, 11], label=3, initial="shared")
    assert abs(strip[[0, -1]].astype(int) - ends).max() <= 1
    assert (strip[2] != strip[3]).any()
    assert student.interpolate(3, 11, 2, label=5, raw=True).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda student: student.sample(0), "samples is 0; give a count from 1"),
        (lambda student: student.sample(10**12), "give a count from 1 to 10,000,000"),
        (lambda student: student.sample([]), "samples is \\[\\]"),
        (lambda student: student.sample([-1]), "or numbers from 0"),
        (lambda student: student.sample([2**63]), "or numbers from 0"),
        (lambda student: student.sample(2, label=10), "label 10: the classes are 0 to 9"),
        (lambda student: student.sample(2, label=[1]), "label has 1 classes for 2 samples"),
        (lambda student: student.sample(2, label=[1, -1]), "label -1: the classes"),
        (lambda student: student.sample(2, noise=torch.zeros(1, 1, 8, 8)), "noise has the shape"),
        (lambda student: student.sample(2, noise="x"), "noise is a str; give an array"),
        (lambda student: student.sample(noise="randn"), "noise is a str; give an array"),
        (lambda student: student.sample(noise=np.full((1, 1, 8, 8), np.nan)), "noise has values that are no"),
        (lambda student: student.sample(2.0), "samples is 2.0; it must be a whole number"),
        (lambda student: student.sample([1.9]), "samples is 1.9; it must be a whole number"),
        (lambda student: student.sample("12"), "samples is '12'; it must be a whole number"),
        (lambda student: student.sample(True), "samples is True; it must be a whole number"),
        (lambda student: student.sample(2, seed=None), "seed is None; it must be a whole number"),
        (lambda student: student.sample(2, seed=1.0), "seed is 1.0; it must be a whole number"),
        (lambda student: student.sample(2, label="cat"), "label is 'cat'; it must be a whole number"),
        (lambda student: student.sample(2, label=[3.7, 1]), "label is 3.7; it must be a whole number"),
        (lambda student: student.sample(2, batch="2"), "batch is '2'; it must be a whole number"),
        (lambda student: student.sample(2, iterations=2.5), "iterations is 2.5; it must be a whole number"),
        (lambda student: student.sample(2, lable=2), "lable: there is no such argument here; of"),
        (lambda student: student.interpolate(1, 2, label=[1, 2]), "it must be a whole number"),
        (lambda student: student.sample(2, rule="best"), "rule is 'best'"),
        (lambda student: student.sample(2, precision="float16"), "float16"),
        (lambda student: student.interpolate(-1, 2), "first is -1; it must be from 0"),
        (lambda student: student.interpolate(1, 2, 0), "count is 0; it must be from 1"),
        (lambda student: student.sample(noise=np.full((1, 1, 8, 8), 1j)), "values that are no real"),
        (lambda student: student.trajectory(2, iterations=0), "iterations is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    call: Callable[[get.Generator], Any], message: str, student: get.Generator
) -> None:
    with pytest.raises(UserError, match=message):
        call(student)


def test_without_classes_a_label_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="label 3: this model is unconditional"):
        get.load(files["vit-unconditional"], "cpu").sample(2, label=3)


@pytest.mark.parametrize("deviation", [80, 0])
def test_noise_of_another_variance_is_drawn_with_a_warning(student: get.Generator, deviation: int) -> None:
    noise = deviation * np.random.default_rng(0).standard_normal((2, 1, 8, 8))
    with pytest.warns(UserWarning, match="noise has a standard deviation of") as told:
        student.sample(noise=noise)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="models know 1") as told:
        student.trajectory(noise=noise)
    assert told[0].filename == __file__


@pytest.mark.parametrize("name", ["x.onnx", "x.pt2", "x.pt", "x.pth"])
def test_files_of_other_kinds(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match="holds no checkpoint; name one"):
        get.load(tmp_path / name)


def test_what_a_student_says_of_itself(files: dict[str, Path], student: get.Generator) -> None:
    assert (student.shape, student.classes, student.iterations) == ((1, 8, 8), 10, 3)
    assert student.header["step"] == 7
    assert repr(student) == (
        f"<get.Generator: get, {student.parameters:,} parameters, images 1x8x8, 10 classes, on cpu>"
    )
    assert "no classes" in repr(get.load(files["vit-unconditional"], "cpu"))


def test_an_exported_folder_loads(files: dict[str, Path], student: get.Generator, tmp_path: Path) -> None:
    export_folder(weights=files["get"], scores=None, said=Said(), output=tmp_path / "out")
    assert (get.load(tmp_path / "out", "cpu").sample(3) == student.sample(3)).all()
    assert not list((tmp_path / "out").glob(".*"))
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", "user/model", "x" * 300):
        with pytest.raises(UserError, match=r"with the package come digits/get-48, digits/vit-48"):
            get.load(path, torch.device("cpu"))
    with pytest.raises(UserError, match="is no file of a teacher"):
        get.load_teacher(tmp_path)
    with pytest.raises(UserError, match="none comes with the package"):
        get.load_teacher("digits/get-48")


@pytest.mark.parametrize("classes", [10, 0])
def test_a_teacher_draws_from_the_same_noise(classes: int, tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "teacher.safetensors", classes=classes)
    teacher = get.load_teacher(path, "cpu")
    raw = teacher.sample(range(3, 6), seed=2, num_steps=3, raw=True)
    noise = normal(range(3, 6), teacher.shape, 2, "evaluation", "noise")
    label = classes_of(range(3, 6), classes) if classes else None
    sampler = Sampler(num_steps=3, sigma_min=0.002, sigma_max=80.0, rho=7.0, precision="float32", batch=3)
    model = denoiser.load(path)
    assert torch.equal(raw, generation.sample(model, noise, label, sampler, torch.device("cpu")))
    assert torch.equal(
        teacher.sample(3, noise=noise, label=[3, 4, 5] if classes else None, num_steps=3, raw=True), raw
    )
    assert teacher.sample(2, sampler="euler", num_steps=np.int64(2), batch=np.int64(1)).shape == (2, 8, 8, 1)
    assert repr(teacher).startswith(
        "<get.Teacher: images 1x8x8, " + ("10 classes" if classes else "no classes")
    )
    with pytest.raises(UserError, match=r"sampler\.num_step"):
        teacher.sample(2, num_step=2)
    with pytest.raises(UserError, match=r"sampler\.name"):
        teacher.sample(2, sampler="huen")


def test_pairs_open_by_their_folder(pairs: Path) -> None:
    for path in (pairs, pairs.parent):
        found = get.open_pairs(path)
        assert len(found) == 200
        noise, image, label = found.batch(torch.tensor([150, 3]))
        assert noise.shape == image.shape == (2, 1, 8, 8)
        assert found.batch([150, 3]).noise.equal(noise)
        assert label.tolist() == [0, 3]
        for wrong in (-1, 200):
            with pytest.raises(UserError, match="there are 0 to 199"):
                found.batch(torch.tensor([0, wrong]))


@pytest.mark.slow
def test_the_package_imports_torch_at_first_use() -> None:
    code = (
        "import sys, get; assert 'torch' not in sys.modules; assert 'load' in dir(get); get.load;"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        get.lode  # type: ignore[attr-defined]  # noqa: B018


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    shown: list[Any] = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    cells = json.loads((ROOT / "docs/python.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    space: dict[str, Any] = {}
    for part in code:
        exec(compile(part, "docs/python.ipynb", "exec"), space)
    plt.close("all")
    assert len(shown) == 6
    assert space["raw"].shape == (4, 1, 8, 8)


@pytest.mark.parametrize("name", ["get-48", "vit-48"])
def test_what_comes_with_the_package(name: str, tmp_path: Path) -> None:
    folder = ROOT / "get/pretrained/digits" / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| weights (SHA-256) | {sha256(folder / 'model.safetensors')} |" in card
    student = get.load(f"digits/{name}", "cpu")
    assert student.header["step"] == 2000
    # Images of digits: each is like others of its class, and not like those of another
    images = student.sample(200)[..., 0].reshape(20, 10, 64).astype(float)
    means = images[:10].mean(axis=0)
    distance = np.abs(images[10:, :, None] - means).mean(axis=3)
    assert (distance.argmin(axis=2) == np.arange(10)).mean() > 0.8
    # By the command, too; and a file or folder of that name comes first
    assert (command(tmp_path / "x.h5", f"digits/{name}", "--seeds", "0-9") == student.sample(10)).all()
    with pytest.raises(UserError, match="digits/get-47 does not exist"):
        get.load("digits/get-47")
