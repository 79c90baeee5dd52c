"""Graphs of students: ONNX files and programs of torch.export, run as others run them."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import GET, NETWORK, SHAPE, VIT
from test_cli_commands import refusal, run, write_student
from torch import Tensor

import get
from get.export import onnx_file, program
from get.export.check import check
from get.export.graph import Graph, Options
from get.export.onnx_file import BOUNDS
from get.runtime.seeding import normal
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.student import models
from get.student.initial import sample_state

onnxruntime = pytest.importorskip("onnxruntime")

SMALL = {**GET, "equilibrium_depth": 1, "iterations": 2}
MODELS: dict[str, dict[str, Any]] = {
    "get": {**SHAPE, **SMALL},
    "get-unconditional": {**SHAPE, **SMALL, "conditioning": "none"},
    "get-32": {**SHAPE, **SMALL, "channels": 3, "size": 32, "patch": 4},
    "vit": {**SHAPE, **VIT},
    "vit-adaln-zero": {**SHAPE, **VIT, "conditioning": "adaln-zero"},
    "vit-unconditional": {**SHAPE, **VIT, "conditioning": "none"},
    "unet": {**SHAPE, "family": "unet", "network": NETWORK, "conditioning": "embedding"},
}
CPU = torch.device("cpu")
Export = Callable[..., tuple[Path, str]]


@pytest.fixture(autouse=True)
def _timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("get.export.check.LEAST", 1e-9)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("students")
    return {name: write_student(folder / f"{name}.safetensors", model) for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def export(files: dict[str, Path]) -> Export:
    """Export a student as a file with this ending, once; return it, and what was printed."""

    @cache
    def export(name: str, ending: str) -> tuple[Path, str]:
        path = files[name].with_name(f"{name}{ending}")
        with redirect_stdout(StringIO()) as said:
            run("export", files[name], "--out", path)
        return path, said.getvalue()

    return export


def inputs(student: get.Generator, count: int, state: bool = True) -> dict[str, Tensor]:
    """Return the inputs of which the student draws its first samples."""
    given = {"noise": normal(range(count), student.shape, 0, "evaluation", "noise")}
    if student.classes:
        given["label"] = torch.arange(count) % student.classes
    if student.network.state_shape and state:
        z_0 = sample_state(student.network.state_shape, range(count), 0, "independent", CPU)
        assert z_0 is not None
        given["state"] = z_0
    return given


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def onnx_images(path: Path, given: dict[str, Tensor]) -> list[np.ndarray]:
    return session(path).run(None, {name: value.numpy() for name, value in given.items()})


def of_torch(path: Path, given: dict[str, Tensor]) -> list[np.ndarray]:
    return [each.numpy() for each in torch.export.load(path).module()(**given)]


@pytest.mark.parametrize(
    ("name", "ending", "ran"),
    [
        *((name, ".onnx", onnx_images) for name in MODELS),
        *((name, ".pt2", of_torch) for name in ("get", "vit", "vit-unconditional")),
    ],
)
def test_the_images_are_the_students(
    name: str,
    ending: str,
    ran: Callable[..., list[np.ndarray]],
    files: dict[str, Path],
    export: Export,
) -> None:
    out, said = export(name, ending)
    assert "differs from torch by " in said
    student = get.load(files[name], "cpu")
    for count in (1, 5):  # any number, though the graph was traced with another
        (images,) = ran(out, inputs(student, count))
        assert np.abs(images - student.sample(count, raw=True).numpy()).max() < 1e-4


def test_no_file_names_this_machine(export: Export) -> None:
    for ending in (".onnx", ".pt2"):
        written = export("get", ending)[0].read_bytes()
        assert str(Path(get.__file__).parent).encode() not in written
        assert b"site-packages" not in written


def test_the_rule_all_gives_every_iteration(files: dict[str, Path], tmp_path: Path) -> None:
    run("export", files["get"], "--rule", "all", "--iterations", 4, "--out", tmp_path / "x.onnx")
    student = get.load(files["get"], "cpu")
    images, residuals = onnx_images(tmp_path / "x.onnx", inputs(student, 5))
    expected = student.trajectory(5, iterations=4, raw=True)
    assert np.abs(images - expected.images.numpy()).max() < 1e-4
    assert np.allclose(residuals, expected.residuals, rtol=1e-4)


@pytest.mark.parametrize("initial", ["shared", "zeros"])
def test_the_state_can_lie_in_the_graph(initial: str, files: dict[str, Path], tmp_path: Path) -> None:
    options = ["--rule", "last", "--iterations", 2, "--initial", initial]
    run("export", files["get"], *options, "--out", tmp_path / "x.onnx")
    student = get.load(files["get"], "cpu")
    (images,) = onnx_images(tmp_path / "x.onnx", inputs(student, 5, state=False))
    expected = student.sample(5, raw=True, rule="last", iterations=2, initial=initial)
    assert np.abs(images - expected.numpy()).max() < 1e-4


def test_weights_of_fewer_bytes(files: dict[str, Path], export: Export, tmp_path: Path) -> None:
    student = get.load(files["get-32"], "cpu")
    expected, sizes = student.sample(5, raw=True).numpy(), []
    for weights, bound in BOUNDS.items():
        out = tmp_path / f"{weights}.onnx"
        if weights == "float32":
            out, _ = export("get-32", ".onnx")
        else:
            run("export", files["get-32"], "--weights", weights, "--out", out)
        (images,) = onnx_images(out, inputs(student, 5))
        difference = np.abs(images - expected).max()
        assert difference < bound
        assert (difference > 1e-5) == (weights != "float32")
        sizes.append(out.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)


def test_what_a_graph_says_of_itself(files: dict[str, Path], tmp_path: Path) -> None:
    names = ",".join(f"digit {number}" for number in range(10))
    for ending in (".onnx", ".pt2"):
        run("export", files["get"], "--classes", names, "--out", tmp_path / f"x{ending}")
    graph = session(tmp_path / "x.onnx")
    assert [(each.name, each.shape) for each in graph.get_inputs()] == [
        ("noise", ["batch", 1, 8, 8]),
        ("label", ["batch"]),
        ("state", ["batch", 16, 16]),
    ]
    assert [(each.name, each.shape) for each in graph.get_outputs()] == [("images", ["batch", 1, 8, 8])]
    said = json.loads(graph.get_modelmeta().custom_metadata_map["get"])
    extra = {"get.json": ""}
    torch.export.load(tmp_path / "x.pt2", extra_files=extra)
    assert json.loads(extra["get.json"]) == {
        key: value for key, value in said.items() if key not in ("opset", "precision")
    }
    assert said["classes"][3] == "digit 3"
    assert said["weights"] == sha256(files["get"])
    assert (said["rule"], said["iterations"], said["initial"]) == ("lowest-residual", 2, "input")
    assert (said["model"], said["step"], said["precision"]) == (MODELS["get"], 7, "float32")


@pytest.mark.parametrize(
    ("student", "options", "message"),
    [
        ("vit", ["--rule", "last", "--out", "x.onnx"], "rule is of students with a state"),
        ("vit", ["--rule", "all", "--out", "x.pt2"], "rule is of students with a state"),
        ("vit", ["--initial", "zeros", "--out", "x.onnx"], "initial is of students with a state"),
        ("get", ["--initial", "independent", "--out", "x.onnx"], "it must be one of input, shared, zeros"),
        ("get", ["--rule", "best", "--out", "x.onnx"], "it must be one of lowest-residual, last, all"),
        ("get", ["--classes", "a,b", "--out", "x.onnx"], "has 2 names, but the student sees 10 classes"),
        ("vit-unconditional", ["--classes", "a", "--out", "x.pt2"], "but the student sees 0 classes"),
        ("get", ["--weights", "int8", "--out", "x.pt2"], "--weights is of .onnx; leave it out"),
        ("get", ["--rule", "last", "--out", "folder"], "--rule is of .pt2 or .onnx"),
        ("get", ["--licence", "mit", "--out", "x.onnx"], "--licence is of a folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    student: str,
    options: list[str],
    message: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, "export", files[student], *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("module", "name"), [(onnx_file, "x.onnx"), (program, "x.pt2")])
def test_a_graph_that_draws_other_images_is_not_written(
    module: Any,
    name: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bounds = {"BOUNDS": {"float32": -1.0}} if module is onnx_file else {"BOUND": -1.0}
    for key, value in bounds.items():
        monkeypatch.setattr(module, key, value)
    told = refusal(capsys, "export", files["vit-unconditional"], "--out", tmp_path / name)
    assert "the exported graph differs from the student by " in told
    assert not list(tmp_path.iterdir())


def test_a_difference_that_is_no_number_is_none_to_pass(files: dict[str, Path]) -> None:
    graph = Graph(get.load(files["get"], "cpu").network, Options(rule="all")).eval()
    for wrong in (0, 1):  # images, residuals

        def run(given: dict[str, Tensor], wrong: int = wrong) -> list[Tensor]:
            found = graph(**given)
            if len(given["noise"]) > 1:
                found[wrong] = found[wrong] * torch.nan
            return found

        with pytest.raises(UserError, match="differs from the student by"):
            check(graph, run, 1.0)


def test_large_models_are_tried_with_few(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("get.export.check.LONGEST", 0.0)
    graph = Graph(get.load(files["get"], "cpu").network, Options()).eval()
    assert list(check(graph, lambda given: graph(**given), 1.0).here) == [1, 2]


class Odd(models.Student):
    """A student that is no graph of any number of samples."""

    def forward(self, noise: Tensor, label: Tensor | None) -> Tensor:
        return noise + noise.new_zeros(len(noise), 1, 1, 1)


def test_a_student_that_is_no_graph() -> None:
    with pytest.raises(UserError, match=r"Odd is no graph .* take noise.shape\[0\], not len\(noise\)"):
        Graph(Odd(channels=1, size=8, classes=0, conditioning="none"), Options()).program()


def test_the_packages_are_named(
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    told = refusal(capsys, "export", files["get"], "--out", tmp_path / "x.onnx")
    assert told.endswith("pip install -e '.[onnx]' -c envs/constraints.txt")
