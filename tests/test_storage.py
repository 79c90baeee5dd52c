"""Files are whole or absent, say what they hold, and are written by one process at a time."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from get.cli import main
from get.runtime.log import logging_to
from get.runtime.remedies import explain
from get.storage import atomic as files
from get.storage.atomic import atomic, new_folder, write_json, write_text
from get.storage.errors import UserError
from get.storage.hashing import record_of
from get.storage.lock import Lock
from get.storage.reading import read_json


def half_write(path: Path, error: Exception) -> None:
    with atomic(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    with pytest.raises(ZeroDivisionError):
        half_write(path, ZeroDivisionError())
    assert path.read_text() == "half"
    assert {file.name for file in path.parent.iterdir()} == {"a.txt", ".a.txt.sha256"}


def test_the_hash_beside_a_file_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    check = ["sha256sum", "--check", "--status", ".a.json.sha256"]
    assert subprocess.run(check, cwd=tmp_path).returncode == 0
    (tmp_path / "a.json").write_text("{}")
    assert subprocess.run(check, cwd=tmp_path).returncode == 1
    write_text(tmp_path / "b.txt", "scratch", recorded=False)
    assert not record_of(tmp_path / "b.txt").exists()


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.99999.tmp").write_text("half")
    (tmp_path / ".other.txt.99999.tmp").write_text("of another file")
    write_text(tmp_path / "a.txt", "whole")
    assert not (tmp_path / ".a.txt.99999.tmp").exists()
    assert (tmp_path / ".other.txt.99999.tmp").exists()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"),
     RuntimeError("Can't write data (errno = 28, error message = 'No space left on device')")],
)  # fmt: skip
def test_a_full_disk_is_named(error: Exception, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("as it was")
    with pytest.raises(UserError, match=r"no room to write .*/a; free some and run the same command again"):
        half_write(tmp_path / "a", error)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "as it was"


def test_a_full_disk_is_known_by_its_space_where_the_error_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("PytorchStreamWriter failed writing file")
    with pytest.raises(RuntimeError, match="PytorchStreamWriter"):
        half_write(tmp_path / "a", error)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="no room"):
        half_write(tmp_path / "a", error)


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    def write() -> None:
        with atomic(tmp_path / "a") as temporary:
            temporary.write_text("ours")
            temporary.unlink()  # as another writer does, which takes it for a killed one's

    with pytest.raises(UserError, match=r"another process writes .*/a too; run the same command again"):
        write()
    with pytest.raises(FileNotFoundError, match="input that is missing"):
        half_write(tmp_path / "a", FileNotFoundError(errno.ENOENT, "no such file", "input that is missing"))


def fill(path: Path | str) -> None:
    with new_folder(path) as folder:
        (folder / "a").write_text("whole")


def test_folders_that_are_empty_are_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "target", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    fill(tmp_path / "link")
    fill(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "here")
    fill(".")
    assert os.listdir(".") == ["a"]  # as a shell sees it that stands there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "link", "other", "target"]
    assert all((tmp_path / name / "a").exists() for name in ("here", "link", "target", "other"))
    with pytest.raises(UserError, match="here exists already"):
        fill(".")


def test_what_a_killed_writer_left_of_a_folder_goes_with_the_next(tmp_path: Path) -> None:
    for name in (f".x.{'0' * 16}.tmp", f".y.{'0' * 16}.tmp", f".x.y.{'0' * 16}.tmp"):
        (tmp_path / name / "in").mkdir(parents=True)
    fill(tmp_path / "x")
    left = [path.name for path in tmp_path.glob(".*")]
    assert sorted(left) == [f".x.y.{'0' * 16}.tmp", f".y.{'0' * 16}.tmp"]


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "x"):
            fill(tmp_path / "x")  # as another process does, which takes ours for a killed one's

    with pytest.raises(UserError, match=r"another process writes .*/x too; run the same command again"):
        write()
    assert (tmp_path / "x/a").read_text() == "whole"


SNAKEMAKE = "snakemake --cores all {} (and --configfile, if it is not the default experiment)"


@pytest.mark.parametrize(
    "path", ["results/data/images.h5", "results/x/students/get/seed0/2.pt", "costs.json"]
)
@pytest.mark.parametrize("absolute", [False, True])
def test_what_to_type_for_a_file(
    path: str, absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow makes the files of a results folder; its rules name them from the folder where it runs."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / path if absolute else Path(path)
    command, made = SNAKEMAKE.format(path), path != "costs.json"
    with pytest.raises(UserError) as missing:
        read_json(file)
    remedy = f"make it with: {command}" if made else "correct its name, or make it first"
    assert explain(missing.value) == f"{file} does not exist; {remedy}"
    write_text(file, "half")
    with pytest.raises(UserError) as damaged:
        read_json(file)
    remedy = f"delete it and make it again with: {command}" if made else "name another file"
    assert f"; {remedy}" in explain(damaged.value)


def test_what_to_type_for_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no results
    error = UserError("a and b are gone", "results/a b/costs.json", "results/table1.csv")
    command = SNAKEMAKE.format("'results/a b/costs.json' results/table1.csv")
    assert explain(error) == f"a and b are gone; make them with: {command}"
    assert explain(UserError("as it is")) == "as it is"


@pytest.mark.parametrize("path", [None, "job.log"])
def test_the_log_says_what_to_type(
    path: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError), logging_to(path):
        read_json("results/costs.json")
    expected = f"results/costs.json does not exist; make it with: {SNAKEMAKE.format('results/costs.json')}"
    assert (f"error: {expected}" in caplog.text) == (path is not None)  # else the command line prints it
    assert main(["info", "results/costs.json"]) == 2
    assert f"get: {expected}" in capsys.readouterr().err


@pytest.mark.parametrize(("work", "status"), [("print('done')", 0), ("1 / 0", 1)])
def test_a_job_ends_at_once_when_it_is_done(work: str, status: int, tmp_path: Path) -> None:
    code = f"""
import atexit
from get.runtime.log import job, log
atexit.register(print, "end of the interpreter")
with job("job.log"):
    log.info("begun")
    {work}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == status
    assert "begun" in log
    assert ("ZeroDivisionError" in log) == bool(status)
    assert done.stdout == ("end of the interpreter\n" if status else "done\n")


HOLD = """
import sys, time
from get.storage.lock import Lock
print(Lock(sys.argv[1]).acquire(), flush=True)
time.sleep(600)
"""


def test_a_lock_ends_with_its_process_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = Lock(path)
    assert not lock.held()
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert (lock.acquire(), lock.held()) == (False, True)
        assert f"process {other.pid} on " in lock.holder()
        assert f"(kill {other.pid} ends it)" in lock.holder()
        other.send_signal(signal.SIGKILL)
    assert (lock.held(), lock.acquire(), lock.held()) == (False, True, True)
    assert f"process {os.getpid()} on " in lock.holder()
    lock.release()
    assert (lock.held(), path.exists()) == (False, False)


def test_a_lock_names_the_job_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    lock = Lock(tmp_path / "x.lock")
    assert lock.acquire()
    assert lock.holder().endswith("(scancel 4711 ends it)")
    lock.release()
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1600000000")  # in a shell whose job has ended
    assert lock.acquire()
    assert lock.holder().endswith(f"(kill {os.getpid()} ends it)")


def test_a_lock_whose_file_was_just_removed_is_not_taken_for_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, its holder releases it: locking the removed file must not count."""
    first, second = Lock(tmp_path / "x.lock"), Lock(tmp_path / "x.lock")
    assert first.acquire()
    real = fcntl.flock

    def flock(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        first.release()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not second.acquire()
    assert second.acquire()


def test_without_locks_the_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert Lock(tmp_path / "x.lock").acquire()
