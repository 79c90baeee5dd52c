"""Faults of the kinds that users of projects like this one report: each kind, and what happens here."""

import errno
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import GET, ROOT, SHAPE
from test_workflow import Config, planned, snakemake
from warm import python

from get.cli import main
from get.cli.inspection import equal_times
from get.data.store import read_split
from get.experiment.dependents import is_in, with_dependents
from get.runtime.remedies import explain
from get.scoring.extractors.classifier import Classifier
from get.scoring.metrics import read_moments
from get.storage import hdf5, temporary
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.storage.places import part_of
from get.storage.temporary import RowFile, temporary_folder
from get.storage.weights import write_weights
from get.student import checkpoint
from get.student.models import build
from get.studies import documents, load_experiment

CLASSIFIER = {"channels": 1, "size": 8, "classes": 10, "width": 4, "features": 8}
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "config.yaml",
    *(ROOT / "docs").glob("*.md"),
]


# -------------------------------------------------------------------------------- advice that leads nowhere


@pytest.fixture(scope="module")
def folder(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Snakemake takes for one where the tiny experiment is finished; its files are empty."""
    folder = tmp_path_factory.mktemp("planned")
    done = snakemake(folder, config, "--dry-run")
    for outputs in re.findall(r"^    output: (.*)$", done.stdout + done.stderr, re.MULTILINE):
        for name in outputs.split(", "):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    now = time.time_ns()
    for path in folder.rglob("*"):
        os.utime(path, ns=(now, now))
    assert planned(folder, config) == []
    return folder


@pytest.fixture
def experiment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which commands run."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    monkeypatch.chdir(copy)
    return copy


GET_RUNS = ["train_student students/get/seed0/2.pt", "train_student students/get/seed0/4.pt"]
VIT_RUN = "train_student students/vit/seed0/3.pt"
FORGOTTEN = {
    "data": (["make_data data/images.h5"], [*GET_RUNS, VIT_RUN]),
    "features": (["train_extractor features/classifier.safetensors"], []),
    "teachers": (["train_teacher teachers/conditional.safetensors"], [*GET_RUNS, VIT_RUN]),
    "teachers/conditional": (["train_teacher teachers/conditional.safetensors"], GET_RUNS),
    "pairs/unconditional": (["generate_pairs pairs/unconditional/held-out.h5"], [VIT_RUN]),
    "students": ([], [*GET_RUNS, VIT_RUN]),
    "results/students/get": ([], GET_RUNS),
    "students/get/seed0/2": ([], GET_RUNS),
    "students/get/seed0/4.safetensors": ([], GET_RUNS[1:]),
    "samples/students/vit": (["score_student samples/students/vit/seed0/3.h5"], []),
    "scores": (["score scores/baselines/noise.json", "score_student samples/students/vit/seed0/3.h5"], []),
    "scores/students/get": (["score_student samples/students/get/seed0/4.h5"], []),
    "costs": (["costs costs.json"], []),
    "figures/figure2a": (["figure figures/figure2a.pdf"], []),
}


@pytest.mark.workflow
@pytest.mark.parametrize("part", FORGOTTEN)
def test_what_is_forgotten_is_made_again_with_all_that_follows(
    part: str, experiment: Path, config: Config
) -> None:
    """For each stage, and of students every milestone; `--forcerun` trains the first one alone."""
    own, trainings = FORGOTTEN[part]
    assert main(["forget", part, "--yes"]) == 0
    jobs = planned(experiment, config)
    assert set(own) <= set(jobs)
    assert sorted(job for job in jobs if job.startswith("train_student")) == trainings
    for training in trainings:
        name = training.removeprefix("train_student ").removesuffix(".pt")
        assert f"score_student samples/{name}.h5" in jobs
    assert part.startswith("figures") or "summary overview.html" in jobs


def test_studies_and_seeds_are_forgotten_alone(config: Config) -> None:
    experiment = load_experiment(config)
    assert with_dependents(experiment, ["students/get/seed1"], {}) == [
        "students/get/seed1",
        "samples/students/get/seed1",
        "samples/studies/*/get/seed1",
        "scores/students/get/seed1",
        "scores/studies/*/get/seed1",
    ]
    found = with_dependents(experiment, ["pairs/conditional"], documents(experiment))
    assert "students/get" in found  # and those that studies train on the same pairs
    assert "students/get-last-state" in found
    assert {"studies/pairs", "figures/figure4b", "overview"} <= set(found)
    assert not {"students/vit", "figures/figure4a"} & set(found)


@pytest.mark.workflow
def test_nothing_is_deleted_unasked(
    experiment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["data/mine.txt", "data.old/images.h5", "mine/images.h5", "cifar10/students/get/seed0/2.pt"]
    own += ["students/get.bak/seed0/2.pt", "students/get/notes.txt", "students/get/seed0/2.pt.bak"]
    for name in own:
        (experiment / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (experiment / "results" / name).touch()
    before = sorted(Path("results").rglob("*"))
    for answer in ("", "n", "yes please"):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        assert main(["forget", "students/get"]) == 2
        assert "nothing was deleted; answer y, or say --yes" in capsys.readouterr().err
    for part in ("student", "students/gets", "students/*", "../copy", "mine", "cifar10", "settings", "."):
        assert main(["forget", part, "--yes"]) == 2
        assert f"results holds nothing called {part}; there are costs, data" in capsys.readouterr().err
    held = Path(".snakemake/locks/0.input.lock")
    held.parent.mkdir(parents=True, exist_ok=True)
    held.touch()
    assert main(["forget", "students/get", "--yes"]) == 2
    assert "Snakemake runs here; end it first" in capsys.readouterr().err
    held.unlink()
    lock = Lock("results/students/get/seed0/2.unfinished.lock")
    assert lock.acquire()
    assert main(["forget", "students/get", "--yes"]) == 2
    assert f"process {os.getpid()} on" in capsys.readouterr().err
    lock.release()
    assert sorted(Path("results").rglob("*")) == before
    for config, message in (
        ("none.yaml", "there is no such file here"),
        ("list.yaml", "holds no keys, as a config"),
    ):
        Path("list.yaml").write_text("[1]")
        assert main(["forget", "students/get", "--configfile", config]) == 2
        assert config in (error := capsys.readouterr().err)
        assert message in error
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["forget", "students/get", "--configfile", "config.yaml", "more.yaml"]) == 2
    Path("more.yaml").write_text("seed: 0")
    assert main(["forget", "students/get", "--configfile", "config.yaml", "more.yaml"]) == 0
    assert "snakemake --cores all --configfile config.yaml more.yaml\n" in capsys.readouterr().out
    left = {path.name for path in Path("results/students/get").rglob("*.*")}
    assert left == {"2.pt.bak", "notes.txt"}
    assert Path("results/students/vit/seed0/3.pt").exists()
    assert main(["forget", "data", "--yes"]) == 0
    assert all((experiment / "results" / name).exists() for name in own)


@pytest.mark.workflow
def test_what_lies_behind_a_link_is_not_deleted(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("results/pairs/conditional").rename(tmp_path / "shared")
    Path("results/pairs/conditional").symlink_to(tmp_path / "shared")
    for part in ("pairs/conditional", "teachers", "data"):
        assert main(["forget", part, "--yes"]) == 2
        error = capsys.readouterr().err
        assert f"results/pairs/conditional is a link to {tmp_path / 'shared'}" in error, error
    assert (tmp_path / "shared/manifest.json").exists()
    with pytest.raises(UserError, match="results/pairs/conditional is a link, whose files may be others'"):
        equal_times(Path("results"))  # the others would be newer than these
    Path("results").rename(tmp_path / "elsewhere")  # all of the results may lie elsewhere
    Path("results").symlink_to(tmp_path / "elsewhere")
    assert main(["forget", "students/vit", "--yes"]) == 0
    assert not (tmp_path / "elsewhere/students/vit").exists()
    assert (tmp_path / "elsewhere/students/get/seed0/2.pt").exists()


@pytest.mark.workflow
def test_what_is_forgotten_is_what_snakemake_would_make_from_it(
    with_objectives: Config, tmp_path: Path
) -> None:
    """Of each output of each rule, but for what students take no notice of."""
    done = snakemake(tmp_path, with_objectives, "--dry-run")
    lines = r"^(?:local)?rule \w+:\n(?:    input: (.*)\n)?    output: (.*)$"
    jobs = re.findall(lines, done.stdout + done.stderr, re.MULTILINE)
    assert len(jobs) > 80
    experiment = load_experiment(with_objectives)
    made_from: dict[str, set[str]] = {}
    for inputs, outputs in jobs:
        for output in set(outputs.split(", ")) - {"results/costs.html"}:  # made with the overview
            read = {part_of(name.removeprefix("results/")) for name in inputs.split(", ") if name}
            made_from.setdefault(part_of(output.removeprefix("results/")), set()).update(read)
    for part in made_from:
        if part.startswith("settings/") or re.match("pairs/.*/(train|held-out)", part):
            continue
        following = {part}
        while more := {each for each, read in made_from.items() if read & following} - following:
            following |= more
        found = with_dependents(experiment, [part], documents(experiment))
        assert [each for each in following if not any(is_in(each, whole) for whole in found)] == [], part


@pytest.mark.workflow
def test_what_makes_a_file_again_can_be_typed(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in an error, as it stands there: of every file that any rule makes."""
    monkeypatch.chdir(folder)
    files = [path.relative_to(folder) for path in (folder / "results").rglob("*") if path.is_file()]
    text = explain(UserError("they are damaged", *files))
    command = re.search(r"make them again with: (snakemake .*) \(and --configfile", text)
    assert command
    arguments = shlex.split(command[1])[1:]
    assert arguments[:2] == ["--cores", "all"]
    assert set(arguments[2:]) == set(map(str, files))
    assert snakemake(folder, config, *arguments[2:], "--dry-run").returncode == 0


def test_files_that_no_rule_makes_are_not_to_be_made_by_snakemake(tmp_path: Path) -> None:
    for name in (
        "results/mine.npz",
        "results/my.csv",
        "data/images.h5",
        "teachers/mine.safetensors",
        "grid.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        text = explain(UserError("it is damaged", tmp_path / name))
        assert text == "it is damaged; name another file", name


NEEDS_NO_CORES = ("-n", "--report", "--unlock", "--lint", "--workflow-profile")


def test_commands_of_the_documents_say_how_many_cores() -> None:
    texts = [*DOCUMENTS, ROOT / "Snakefile", *(ROOT / "get").rglob("*.py"), *(ROOT / "get").rglob("*.yaml")]
    texts += [path for path in (ROOT / "workflow").rglob("*.*") if path.suffix in (".smk", ".yaml", ".rst")]
    found = 0
    for path in texts:
        for command in re.findall(
            r"(?:`|^\$? ?)(snakemake [^`\n]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            words = command.split()
            assert "--cores" in words or any(word in words for word in NEEDS_NO_CORES), f"{path}: {command}"
            found += 1
    assert found > 30


@pytest.mark.workflow
@pytest.mark.parametrize("script", ["tests/miniature.py", "tests/breakage.py"])
def test_scripts_of_the_documents_need_no_pytest(script: str) -> None:
    assert any(f"python {script}" in path.read_text() for path in DOCUMENTS)
    code = (
        "import runpy, sys; sys.modules['pytest'] = None; sys.path.insert(0, 'tests');"
        f"sys.argv[1:] = ['--help']; runpy.run_path('{script}', run_name='__main__')"
    )
    done = subprocess.run([python(), "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --------------------------------------------------------------------------- healthy files are called healthy


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_a_file_system_without_locks_is_no_damage(
    number: int, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are opened without locks; where the environment asks for them, it is named, and not the file."""

    def refuse(path: Path) -> h5py.File:
        reason = f"Unable to synchronously open file (unable to lock file, errno = {number})"
        raise OSError(number, reason)

    monkeypatch.setattr("get.data.store.open_hdf5", refuse)
    with pytest.raises(UserError) as error:
        read_split(digits, "train")
    assert "cannot be locked" in str(error.value)
    assert explain(error.value).endswith("set HDF5_USE_FILE_LOCKING=FALSE in the environment")


def test_a_file_that_another_process_has_open_for_writing_is_read(digits: Path) -> None:
    with open(digits, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            h5py.File(digits, "r")
        assert len(read_split(digits, "train").labels)
    assert hdf5.open_hdf5(digits)["images"].ndim == 4


def test_locks_that_the_environment_asks_for_are_named(digits: Path, tmp_path: Path) -> None:
    """And what the message says helps."""
    command = [sys.executable, "-m", "get", "info", digits]
    outcomes = {}
    with open(digits, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for wanted in ("TRUE", "FALSE"):
            env = {**os.environ, "HDF5_USE_FILE_LOCKING": wanted}
            outcomes[wanted] = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert outcomes["TRUE"].returncode == 2
    assert outcomes["TRUE"].stderr.endswith("set HDF5_USE_FILE_LOCKING=FALSE in the environment\n")
    assert outcomes["FALSE"].returncode == 0


@pytest.fixture
def student(tmp_path: Path) -> Path:
    path = tmp_path / "results/students/get/seed0/2.safetensors"
    description = {**GET, **SHAPE}
    write_weights(path, "student", build(description).state_dict(), {"model": description})
    return path


def test_a_checkpoint_of_another_kind_is_not_to_be_deleted(student: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "results/teachers/conditional.safetensors"
    write_weights(teacher, "teacher", build({**GET, **SHAPE}).state_dict(), {"model": GET})
    with pytest.raises(UserError) as error:
        checkpoint.load(teacher)
    assert explain(error.value) == (
        f"{teacher} holds no student, but teacher; it is as it was written: name another file"
    )
    # but what lies in a student's place is
    shutil.copy2(teacher, student)
    with pytest.raises(UserError) as error:
        checkpoint.load(student)
    assert "delete it and make it again with: snakemake --cores all" in explain(error.value)


@pytest.mark.parametrize("name", ["mine.npz", "mine.npy", "mine.zip", "results/mine.npz"])
@pytest.mark.parametrize("command", ["score", "statistics", "info"])
def test_a_users_own_file_is_not_to_be_deleted(
    name: str, command: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    np.savez(path.with_suffix(".npz"), mine=np.zeros((5, 8, 8, 1), np.uint8))
    if not path.exists():
        path.with_suffix(".npz").rename(path)
    weights = tmp_path / "classifier.safetensors"
    write_weights(weights, "classifier", Classifier(**CLASSIFIER).state_dict(), {"model": CLASSIFIER})
    options = {
        "score": ["--reference", digits, "--extractor", "classifier", "--weights", weights],
        "statistics": ["--out", tmp_path / "out.npz", "--extractor", "classifier", "--weights", weights],
        "info": [],
    }[command]
    assert main([command, str(path), *map(str, options)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert "delete" not in error
    assert "download" not in error


def test_statistics_that_lie_beside_images_are_read(tmp_path: Path) -> None:
    """Whatever else is in the file, and however much."""
    images = np.zeros((40_000, 32, 32, 3), np.uint8)
    np.savez_compressed(
        tmp_path / "both.npz", mu=np.zeros(4), sigma=np.eye(4), images=images, labels=np.arange(9)
    )
    assert read_moments(tmp_path / "both.npz").mu.shape == (4,)


# ----------------------------------------------------------------------------------- no room, and no message


@contextmanager
def small_folder(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own, in memory; skips where none can be mounted."""
    path.mkdir()
    sudo = ["sudo", "-n"] if os.geteuid() else []
    options = f"size={size},uid={os.geteuid()}"
    if subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", path]).returncode:
        assert "CI" not in os.environ, "give the user mount or sudo"
        pytest.skip("no file system can be mounted here")
    try:
        yield path
    finally:
        subprocess.run([*sudo, "umount", "--lazy", path], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["score", "statistics"])
def test_no_room_for_temporary_files_is_said(command: str, digits: Path, tmp_path: Path) -> None:
    """Features are written before they are mapped: a map without room behind it ends the process (SIGBUS)."""
    weights = tmp_path / "classifier.safetensors"
    write_weights(weights, "classifier", Classifier(**CLASSIFIER).state_dict(), {"model": CLASSIFIER})
    options = {"score": ["--reference", digits], "statistics": ["--out", tmp_path / "s.npz"]}[command]
    options += ["--extractor", "classifier", "--weights", weights, "--device", "cpu"]
    with small_folder(tmp_path / "small", "40k") as folder:
        run = [sys.executable, "-m", "get", command, digits, *options]
        done = subprocess.run(run, env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert f"no room in {folder} for temporary files; free some, or name another" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(folder.iterdir())
    assert not (tmp_path / "s.npz").exists()


def test_rows_come_back_as_they_were_written() -> None:
    file = RowFile()
    parts = [np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32) for n in (1, 5, 2)]
    for part in parts:
        file.append(part.T.copy().T)  # in any order in memory
    assert (file.mapped() == np.concatenate(parts)).all()


def test_what_a_killed_process_left_in_the_temporary_folder_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "SETTLED", -1.0)
    code = f"""
import os, tempfile, numpy
from get.storage.temporary import RowFile, temporary_folder
tempfile.tempdir = {str(tmp_path)!r}
file = RowFile()
file.append(numpy.zeros((9, 9), "f4"))
with temporary_folder() as folder:
    (folder / "x").touch()
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    (left,) = tmp_path.iterdir()
    with temporary_folder() as first:
        assert not left.exists()
        with temporary_folder() as second:  # which leaves alone what is in use
            assert {first, second} == set(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
