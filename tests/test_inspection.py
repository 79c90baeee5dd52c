"""`get verify` and `get status`: a results folder, looked at from outside."""

import json
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from test_training import student

from get.cli import main
from get.cli.inspection import equal_times, runs, verify_folder
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.storage.reading import recorded
from get.training.journal import Journal


@pytest.fixture(scope="module")
def results(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one student of two seeds, the first at two milestones."""
    folder = tmp_path_factory.mktemp("results")
    student(pairs, folder / "students/a/seed0/50.pt", 50)
    student(pairs, folder / "students/a/seed0/100.pt", 100, folder / "students/a/seed0/50.pt")
    student(pairs, folder / "students/a/seed1/50.pt", 50, seed=1)
    for settings in folder.rglob("settings.json"):
        settings.unlink()
    return folder


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "results"))


def test_an_untouched_folder_is_whole(copy: Path) -> None:
    assert verify_folder(copy) == (9, [])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_changed_file_is_named(copy: Path) -> None:
    run = copy / "students/a/seed0"
    flip(run / "50.pt")
    (run / "100.json").write_bytes(b"")
    shutil.copy(copy / "students/a/seed1/50.safetensors", run / "50.safetensors")
    (run / "100.pt").write_bytes((run / "100.pt").read_bytes()[:-1])
    with pytest.raises(UserError) as error:
        verify_folder(copy)
    named = {run / name for name in ("50.pt", "100.json", "50.safetensors", "100.pt")}
    assert {Path(word) for word in str(error.value).split() if word.startswith("/")} == named
    assert set(error.value.files) == named


def test_a_damaged_record_is_no_excuse(copy: Path) -> None:
    (copy / "students/a/seed0/.50.pt.sha256").write_bytes(b"")
    with pytest.raises(UserError, match=r"students/a/seed0/50\.pt$"):
        verify_folder(copy)


def test_files_that_were_deleted_or_came_from_elsewhere(copy: Path) -> None:
    (copy / "students/a/seed0/50.pt").unlink()
    strange = copy / "students/a/seed0/7.safetensors"
    strange.write_bytes(b"1")
    (copy / "logs").mkdir()
    (copy / "logs/x.log").write_text("x")
    assert verify_folder(copy) == (8, [strange])


def test_what_lies_elsewhere_and_is_linked_is_checked_too(copy: Path) -> None:
    (copy / "students/a").rename(copy.parent / "elsewhere")
    (copy / "students/a").symlink_to(copy.parent / "elsewhere")
    assert verify_folder(copy) == (9, [])
    flip(copy / "students/a/seed0/50.pt")
    with pytest.raises(UserError, match=r"students/a/seed0/50\.pt"):
        verify_folder(copy)


def test_another_experiment_in_the_folder_has_its_own_scores(copy: Path) -> None:
    scores = {"headline": "last-3", "scores": {"last-3": {"fid_train": 1.5, "fid_test": 2.5}}}
    write_json(copy / "scores/students/a/seed0/50.json", scores)
    above = copy.parent / "above"
    above.mkdir()
    copy.rename(above / "cifar10")
    first, second = runs(above)
    assert (first.name, first.fids, second.fids) == ("cifar10/students/a/seed0", (50, 1.5, 2.5), None)


@pytest.mark.parametrize(
    "line",
    ["[]", '{"step": 5}', '{"event": "start", "step": 0, "time": 1.0}', '{"event": [], "step": 1}', "\x00"],
)
def test_a_damaged_journal_is_read_as_far_as_it_goes(line: str, copy: Path) -> None:
    whole = runs(copy)
    journal = copy / "students/a/seed0/100.journal.jsonl"
    journal.write_text(journal.read_text() + line + "\n")
    assert runs(copy) == whole


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    for look, message in (
        (verify_folder, "holds no files of this project"),
        (runs, "no training that has begun"),
    ):
        with pytest.raises(UserError, match=message):
            look(tmp_path)


def test_status_tells_how_far_each_training_is(copy: Path) -> None:
    first, second = runs(copy)
    assert (first.name, first.step, first.stop, first.state) == ("students/a/seed0", 100, 100, "done")
    assert (second.name, second.step, second.state, second.fids) == ("students/a/seed1", 50, "done", None)
    assert first.loss == json.loads((copy / "students/a/seed0/100.json").read_text())["rows"][-1][1]
    scores = {"headline": "last-3", "scores": {"last-3": {"fid_train": 1.5, "fid_test": 2.5}}}
    write_json(copy / "scores/students/a/seed0/50.json", scores)
    write_json(
        copy / "scores/students/a/seed0/100.json",
        scores | {"headline": "x", "scores": {"x": {"fid_train": 1.0, "fid_test": 2.0}}},
    )
    assert runs(copy)[0].fids == (100, 1.0, 2.0)


def test_times_of_a_copy_with_scores_of_another_student(copy: Path) -> None:
    digest = recorded(copy / "students/a/seed0/100.safetensors")
    for weights in (digest, 64 * "0"):
        write_json(copy / "scores/students/a/seed0/100.json", {"weights": weights})
        stale = pytest.raises(UserError, match=r"100\.json \(1 such files\) is of another")
        with nullcontext() if weights == digest else stale:
            equal_times(copy)


@pytest.mark.parametrize("reason", ["asked", "time", "no progress", "diverged"])
def test_status_tells_why_a_training_ended(reason: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "teachers/t.safetensors")
    journal.begin(0, 1000)
    journal.end(20, reason)
    (run,) = runs(tmp_path)
    state = "diverged" if reason == "diverged" else "stopped"
    assert (run.name, run.step, run.stop, run.state) == ("teachers/t", 20, 1000, state)


def test_status_tells_a_running_training_from_a_killed_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "teachers/t.safetensors")
    journal.begin(0, 1000)
    line = {"step": 50, "loss": 0.5, "gradient_norm": 1.0, "rate": 10.0, "time": time.time() - 5}
    with open(journal.path, "a") as file:
        file.write(json.dumps(line) + "\n")
    assert runs(tmp_path)[0].state == "killed"
    lock = Lock(tmp_path / "teachers/t.unfinished.lock")
    assert lock.acquire()
    (run,) = runs(tmp_path)
    assert (run.state, run.step, run.loss) == ("running", 50, 0.5)
    assert run.left == pytest.approx(90, abs=2)
    lock.release()


def test_the_commands(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(copy)]) == 0
    printed = capsys.readouterr().out
    assert "students/a/seed0" in printed
    assert "100/100" in printed
    assert main(["verify", str(copy)]) == 0
    assert capsys.readouterr().out == f"{copy}: 9 files as they were written\n"
    (copy / "students/a/seed0/1.pt").write_text("x")
    assert main(["verify", str(copy)]) == 0
    assert "seed0/1.pt: no hash was recorded" in capsys.readouterr().out
    flip(copy / "students/a/seed0/50.pt")
    assert main(["verify", str(copy)]) == 2
    assert "students/a/seed0/50.pt" in capsys.readouterr().err
