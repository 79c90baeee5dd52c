"""The command line without Snakemake."""

import argparse
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch
from conftest import GET, SHAPE, VIT
from torch.distributed.run import get_args_parser

from get import cli
from get.cli import arguments
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student.models import build


@pytest.fixture(params=["get", "vit"])
def student(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    description = {**SHAPE, **(GET if request.param == "get" else VIT)}
    torch.manual_seed(0)
    model = build(description)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    path = tmp_path / "student.safetensors"
    write_weights(path, "student", model.state_dict(), {"model": description})
    return path


def test_sample_writes_a_grid(student: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    assert cli.main(["sample", str(student), "--seeds", "0-8", "--out", str(out)]) == 0
    assert matplotlib.image.imread(out).shape[:2] == (26 * 8, 26 * 8)


def test_samples_do_not_depend_on_the_batch(student: Path, tmp_path: Path) -> None:
    for name, batch, seeds in (("a", "2", "3-7"), ("b", "64", "3-7"), ("c", "1", "3,4,5,6,7")):
        arguments = [
            "--seeds",
            seeds,
            "--batch",
            batch,
            "--out",
            str(tmp_path / f"{name}.png"),
            "--columns",
            "5",
        ]
        assert cli.main(["sample", str(student), *arguments]) == 0
    pictures = [matplotlib.image.imread(tmp_path / f"{name}.png") for name in "abc"]
    for other in pictures[1:]:
        assert abs(other - pictures[0]).max() <= 1 / 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "10"], "the classes are 0 to 9"),
        (["--rule", "best"], "it must be one of lowest-residual, last"),
        (["--initial", "ones"], "it must be one of independent, shared, zeros"),
        (["--device", "tpu"], "must be auto, cpu, cuda, or cuda:N"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["sample", str(student), "--out", str(tmp_path / "x.png"), *arguments])
        == UserError.exit_code
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("content", [None, b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"x" * 1000])
def test_bad_checkpoints(content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "student.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["sample", str(path), "--out", str(tmp_path / "x.png")]) == UserError.exit_code
    assert str(path) in capsys.readouterr().err


def test_a_teacher_is_no_student(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "teacher.safetensors"
    write_weights(path, "teacher", {"w": torch.zeros(1)}, {"model": {}})
    assert cli.main(["sample", str(path), "--out", str(tmp_path / "x.png")]) == UserError.exit_code
    assert "holds no student, but teacher" in capsys.readouterr().err


def test_help_is_quick_and_complete() -> None:
    done = subprocess.run([sys.executable, "-m", "get", "sample", "--help"], capture_output=True, text=True)
    assert "examples:\n  get sample results" in done.stdout
    loaded = "import sys, get.cli; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    "arguments",
    [["--iterations", "0"], ["--batch", "-1"], ["--columns", "0"], ["--out", "x.jpg"], ["--seeds", "a"]],
)
def test_arguments_that_are_refused_at_once(
    arguments: list[str], student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", str(student), "--out", "x.png", *arguments])
    assert arguments[0] in capsys.readouterr().err


def test_settings_with_a_wrong_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"model": {}, "trainig": {}, "pairs": ""}')
    student = ["--seed", "0", "--manifest", "m", "--steps", "1", "--output", str(tmp_path / "out.pt")]
    code = cli.main(["train-student", "--settings", str(settings), *student])
    assert code == UserError.exit_code
    assert "settings.json: missing key training" in capsys.readouterr().err
    teacher = ["--seed", "0", "--store", "s", "--history", "h", "--output", str(tmp_path / "out.safetensors")]
    code = cli.main(["train-teacher", "--settings", '{"stpes": 1}', *teacher])
    assert code == UserError.exit_code
    assert "settings of the teacher: missing key conditional" in capsys.readouterr().err


def test_seed_list() -> None:
    assert arguments.seed_list("0-3,7") == [0, 1, 2, 3, 7]
    assert arguments.seed_list("5") == [5]


@pytest.mark.parametrize("text", ["a", "", "3,", "-4", "1.5"])
def test_seed_list_says_how_to_write_them(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", "student", "--out", "x.png", f"--seeds={text}"])
    assert f"argument --seeds: {text!r} names no numbers; write them as 0-63,70" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "s", "--out", "x.png", "--seeds", "1,7-3"], "'7-3' goes down; write 3-7"),
        (["sample", "s", "--out", "x.png", "--seeds", "0-5,9,4"], "'0-5,9,4' names 4 more than once"),
        (["sample", "s", "--out", "x.png", "--interpolate", "a,b"], "'a' is no whole number"),
        (["sample", "s", "--out", "x.png", "--batch", "x"], "'x' is no whole number"),
        (["import", "student", "s", "--step", "x"], "--step: 'x' is no whole number"),
        (["score", "i", "--kid-subset-size", "1"], "--kid-subset-size: 1 is less than 2"),
        (["statistics", "i", "--out", "x.json"], "x.json does not end in .npz"),
        (["compare", "t", "s", "--out", "x.png", "--rho", "7"], "unrecognized arguments: --rho"),
    ],
)
def test_messages_say_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert message in capsys.readouterr().err


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="--json: a number is not finite"):
        arguments.print_json({"kid": float("nan")})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["train-student", "train-teacher"])
def test_torchrun_leaves_the_options_of_training_alone(command: str) -> None:
    """It looks at all arguments, and takes what one of its own begins with for that."""
    commands = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = [name for a in commands.choices[command]._actions for name in a.option_strings]
    assert "--output" in options
    for option in options:
        arguments = ["-m", "get", command, option, "value"]
        assert get_args_parser().parse_args(arguments).training_script_args == arguments[2:]


def test_the_exit_code_is_that_of_the_command_whatever_happens_at_exit(student: Path) -> None:
    """A thread of a library that aborts while the interpreter ends, say."""
    code = (
        "import atexit, os, sys; atexit.register(os.abort); from get.cli import run; sys.argv[1:] = {}; run()"
    )
    for path, wanted in ((student, 0), (student.with_name("nowhere"), 2)):
        command = [sys.executable, "-c", code.format(["info", str(path)])]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == wanted
        assert done.stderr if wanted else "parameters" in done.stdout
