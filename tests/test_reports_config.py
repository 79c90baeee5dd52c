"""Configs and arguments that mean something else to YAML, Snakemake or the file system than to people."""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import yaml
from conftest import GET, ROOT, SHAPE
from safetensors.torch import save_file

from get.cli import main
from get.cli.arguments import seed_list
from get.experiment import ConfigError, Experiment
from get.experiment.config import OWN_FOLDERS
from get.experiment.text import check_files, check_options
from get.runtime.device import pick_device
from get.runtime.seeding import normal
from get.storage.atomic import atomic, new_folder, write_text
from get.storage.errors import UserError
from get.storage.hdf5 import new_hdf5
from get.storage.weights import write_weights
from get.student.models import build
from get.studies import load_experiment

Config = dict[str, Any]
Written = Callable[..., Experiment]


# -------------------------------------------------------------------------------- the config as it is written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Load the tests' config as the Snakefile does, with one piece of its text replaced."""

    def load(piece: str, by: str) -> Experiment:
        text = (ROOT / "tests/config.yaml").read_text()
        assert piece in text
        path = tmp_path / "config.yaml"
        path.write_text(text.replace(piece, by, 1))
        check_files([path])
        return load_experiment(yaml.load(path.read_text(), Loader=yaml.FullLoader))

    return load


VIT = "  vit:\n    label: ViT"
STUDENT = (
    "{label: a, pairs: conditional, model: *get, training: {batch: 4, lr: 1.0e-3, ema: 0.9}, milestones: [9]}"
)
TWICE = {
    "at-the-top": (
        "device: cpu",
        "seed: 1\nseed: 2",
        "line 5: seed is there twice, first in line 4; keep one",
    ),
    "student": (VIT, f"  get: {STUDENT}\n{VIT}", "line 31: students.get is there twice, first in line 23"),
    "in-one-line": ("width: 8,", "width: 8, width: 16,", "students.get.model.width is there twice"),
    "in-quotes": ("device: cpu", "device: cpu\n'device': cuda", "line 5: device is there twice"),
    "in-a-list": ("student: get, step: 2", "student: get, student: vit", "paper.table2[0].student is there"),
    "merge": ("device: cpu", "<<: {seed: 1}\n<<: {seed: 2}", "line 5: << is there twice"),
}


@pytest.mark.parametrize(("piece", "by", "message"), TWICE.values(), ids=TWICE)
def test_a_key_that_is_there_twice_is_refused(piece: str, by: str, message: str, written: Written) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        written(piece, by)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_a_key_that_is_there_twice_is_refused_in_json(
    indent: str | int | None, config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    text = json.dumps(config, indent=indent)
    path.write_text(text)
    check_files([path])
    path.write_text(text.replace('"results"', '"results": "r", "results"', 1))
    with pytest.raises(ConfigError, match=r"config\.json, line [12]: results is there twice"):
        check_files([path])


def test_a_key_of_another_file_or_of_an_anchor_may_be_there_again(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("seed: 1\nbase: &base {a: 1, b: 2}\nother: {<<: *base, a: 3}\nlist: [*base, *base]\n")
    check_files([*ROOT.glob("*.yaml"), *ROOT.glob("workflow/config/*.yaml"), more, more])


NUMBERS = [  # where, what is written, what the message says to write, and what is then read
    ("steps: 5,", "steps: {},", "16.0", ["16"]),
    ("steps: 5,", "steps: {},", "5.", ["5"]),
    ("steps: 5,", "steps: {},", "2e5", ["200000"]),
    ("steps: 5,", "steps: {},", "2.0e5", ["200000"]),
    ("steps: 5,", "steps: {},", "2.0e+5", ["200000"]),
    ("steps: 5,", "steps: {},", "'16'", ["16"]),
    ("steps: 5,", "steps: {},", "08", ["8"]),
    ("steps: 5,", "steps: {},", "010", ["8", "10"]),
    ("steps: 5,", "steps: {},", "1:30", ["90"]),
    ("lower_lr: 3.0e-4", "lower_lr: {}", "2e-4", ["0.0002"]),
    ("lower_lr: 3.0e-4", "lower_lr: {}", "1e-5", ["1.0e-05"]),
    ("sigma_max: 5.0", "sigma_max: {}", "1e2", ["100.0"]),
    ("sigma_max: 5.0", "sigma_max: {}", "1e16", ["1.0e+16"]),
    ("sigma_max: 5.0", "sigma_max: {}", "010", ["8", "10"]),
    ("sigma_max: 5.0", "sigma_max: {}", "1:30.5", ["90.5"]),
    ("num_steps: 6", "num_steps: {}", "8.0", ["8"]),
    ("width: 8, heads: 2, inj", "width: {}, heads: 2, inj", "1.6e+1", ["16"]),
    ("shards: 2", "shards: {}", "2.0", ["2"]),
    ("samples: 20", "samples: {}", "20.0", ["20"]),
    ("milestones: [2, 4]", "milestones: [2, {}]", "4.0e+0", ["4"]),
    ("pairs: [20, 60]", "pairs: [20, {}]", "1e2", ["100"]),
]


@pytest.mark.parametrize(("piece", "by", "given", "right"), NUMBERS)
def test_a_number_that_is_another_one_to_yaml_is_refused_with_a_spelling_that_loads(
    piece: str, by: str, given: str, right: list[str], written: Written
) -> None:
    with pytest.raises(ConfigError) as caught:
        written(piece, by.format(given))
    advised = re.search(r"; write (\S+?)(?: or (\S+?))?(?:,|$)", str(caught.value))
    assert advised, caught.value
    assert [spelling for spelling in advised.groups() if spelling] == right
    for spelling in right:
        written(piece, by.format(spelling))


def test_numbers_that_mean_what_they_look_like_stay(written: Written) -> None:
    for given, number in (("1_000", 1000), ("0x10", 16), ("+5", 5)):
        student = written("milestones: [2, 4]", f"milestones: [2, {given}]").students["get"]
        assert student.milestones == [2, number]


@pytest.mark.parametrize("name", ["no", "on", "null", "16", "010", "2024-01-01", "0x10"])
def test_a_name_that_is_no_text_to_yaml_is_refused_and_loads_in_quotes(name: str, written: Written) -> None:
    with pytest.raises(ConfigError, match=f'line 31: students.{name}: YAML reads .*; write "{name}"$'):
        written(VIT, f"  {name}: {STUDENT}\n{VIT}")
    assert name in written(VIT, f'  "{name}": {STUDENT}\n{VIT}').students


@pytest.mark.parametrize("label", ["no", "16", "1.5", "2024-01-01"])
def test_a_label_that_is_no_text_to_yaml_is_refused_and_loads_in_quotes(label: str, written: Written) -> None:
    with pytest.raises(ConfigError, match=r"students\.vit\.label: .*; in quotes it is text$"):
        written("label: ViT", f"label: {label}")
    assert written("label: ViT", f'label: "{label}"').students["vit"].label == label


def test_a_switch_that_is_no_boolean_is_refused(written: Written) -> None:
    with pytest.raises(ConfigError, match=r"conditional: .*; there is 'y'; write true or false$"):
        written("conditional: true", "conditional: y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["seed=1", "device=cpu", "seed=2"], "--config seed: it is there 2 times; keep one"),
        (["evaluation={samples: 20}"], "evaluation.samples: --config makes 20 text; write it into a file"),
        (
            ["paper={captions: {table1: a, table1: b}}"],
            "--config paper, line 1: captions.table1 is there twice",
        ),
    ],
)
def test_options_that_snakemake_misreads_are_refused(options: list[str], message: str) -> None:
    check_options(["seed=1", "results=a=b", "data={name: digits}", "device="])
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_options(options)


# ------------------------------------------------------------------------------------- the folder of results

OTHERS = [
    ".",
    "..",
    "/",
    "get",
    "get/x",
    "./workflow",
    "tests/x",
    ".git",
    "results/../docs",
    "~",
    "-x",
    "{x}",
]


@pytest.mark.parametrize(
    "results", [*OTHERS, "a b", "a\nb", "README.md", "README.md/x", str(ROOT), str(ROOT.parent)]
)
def test_results_that_would_lie_among_the_code_are_refused(
    results: str, edit: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(
        ConfigError, match=r"results: .*(is no folder of its own|is a file|match the pattern)"
    ):
        load_experiment(edit(results, "results"))


@pytest.mark.parametrize(
    "results", ["results", "results/new", "./mine", "../elsewhere", "/tmp/a/b", "get-results"]
)
def test_results_may_lie_in_any_folder_of_their_own(
    results: str, edit: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert load_experiment(edit(results, "results"))


def test_in_another_working_directory_names_of_our_folders_are_free_but_not_what_is_above_it(
    edit: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for results in ("docs", "."):
        assert load_experiment(edit(results, "results"))
    for results in ("..", str(tmp_path.parent)):
        with pytest.raises(ConfigError, match="is no folder of its own"):
            load_experiment(edit(results, "results"))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy without its history")
def test_all_folders_of_the_repository_are_closed_to_results() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.split("/")[0] for line in listed.splitlines() if "/" in line}
    assert folders - {"results"} <= set(OWN_FOLDERS)


# ---------------------------------------------------------------------------------- arguments of commands

BEYOND = str(2**63)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "C", "--seeds", BEYOND], f"'{BEYOND}': samples have numbers up to {2**63 - 1}"),
        (["sample", "C", "--seeds", f"0,{BEYOND}-{BEYOND}"], "samples have numbers up to"),
        (["sample", "C", "--seeds=-5"], "'-5' names no numbers"),
        (["sample", "C", "--interpolate", f"1,{BEYOND}"], f"{BEYOND} is more than {2**63 - 1}"),
        (["sample", "C", "--batch", BEYOND], f"{BEYOND} is more than {2**31 - 1}"),
        (["sample", "C", "--iterations", BEYOND], f"{BEYOND} is more than"),
        (["score", "S", "--bootstrap", BEYOND], f"{BEYOND} is more than"),
        (["train-student", "--threads", str(2**31)], f"{2**31} is more than"),
        (["train-student", "--prefetch", "-1"], "-1 is less than 0"),
    ],
)
def test_numbers_that_no_machine_has_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_the_last_sample_that_has_a_number_can_be_drawn() -> None:
    assert seed_list(f"0,{2**63 - 1}") == [0, 2**63 - 1]
    assert normal([2**63 - 1], (1,), seed=0).isfinite().all()


@pytest.mark.parametrize(
    "name", ["cpux", "cpu:1", "cpu:x", "cuda:x", "cuda:-1", "cudax", "mps", "", "CPU", "cuda:"]
)
def test_a_device_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device is '{name}'; it must be auto, cpu, cuda, or cuda:N"):
        pick_device(name)


def test_a_gpu_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="device is 'cuda:99', but the last GPU that torch sees is cuda:1"):
        pick_device("cuda:99")


# ------------------------------------------------------------------------------------- places to write to


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may have more than 4 kB, as after `ulimit -f 4`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


NUMBERS_TO_WRITE = np.random.default_rng(0).random((64, 64))


def draw(path: Path) -> None:
    figure = plt.figure()
    figure.add_axes((0.0, 0.0, 1.0, 1.0)).imshow(NUMBERS_TO_WRITE)
    figure.savefig(path, format=path.name.split(".")[2])


WRITERS: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: path.write_text("x" * 10_000),
    "weights.safetensors": lambda path: save_file({"x": torch.from_numpy(NUMBERS_TO_WRITE)}, path),
    "weights.pth": lambda path: torch.save(torch.from_numpy(NUMBERS_TO_WRITE), path),
    "pairs.h5": lambda path: new_hdf5(path, NUMBERS_TO_WRITE.nbytes),
    "figure.png": draw,
    "figure.pdf": draw,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("small_files")
def test_a_file_larger_than_the_limit_is_one_line_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    message = f"{name} is larger than a file may be here; raise the limit .ulimit -f. or name another disk"
    with pytest.raises(UserError, match=message), atomic(tmp_path / name) as temporary:
        WRITERS[name](temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_command_ends_in_order_where_a_file_may_not_be_so_large(tmp_path: Path) -> None:
    """HDF5 itself would crash the process as it ends."""
    header = {"model": {**GET, **SHAPE}}
    write_weights(tmp_path / "a.safetensors", "student", build(header["model"]).state_dict(), header)
    command = f"{sys.executable} -m get sample {tmp_path}/a.safetensors --seeds 0-999 --out {tmp_path}/x.h5"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 40; exec {command}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "x.h5 is larger than a file may be here; raise the limit (ulimit -f)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*x*.h5*"))


@pytest.mark.usefixtures("small_files")
def test_another_error_under_a_limit_of_file_sizes_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="of the network"), atomic(tmp_path / "a"):
        raise RuntimeError("of the network")


@pytest.mark.parametrize("out", ["file/a.png", "file/b/a.png", "folder.png", "file/pictures"])
def test_a_place_that_takes_no_file_is_refused_before_any_work(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit):
        main(["sample", "C", "--out", str(tmp_path / out)])
    assert re.search(
        r"file is a file, no folder$|folder.png is a folder; name a file$", capsys.readouterr().err
    )


@pytest.mark.parametrize("out", ["file/a", "file/b/a", "folder", "n" * 300, "n" * 240])
def test_a_place_that_takes_no_file_is_one_line_of_every_writer(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"cannot be written \(.*\); see to its folder$"):
        write_text(tmp_path / out, "text")
    if out != "folder":
        with (
            pytest.raises(UserError, match=r"cannot be written \(.*\); see to its folder$"),
            new_folder(tmp_path / out),
        ):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
