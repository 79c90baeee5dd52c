"""The environment that people really have: streams, locales, names, leftover variables, GPUs, folders."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import yte
from conftest import ROOT
from PIL import Image

from get.paper import style
from get.runtime import gpus
from get.runtime.limits import stop_time
from get.runtime.processes import process_group, processes_here
from get.scoring.images import open_images
from get.storage.atomic import atomic, write_json
from get.storage.errors import UserError
from get.storage.reading import read_json, reading, require_unicode

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
BAD = os.fsdecode(b"name\xff")  # as Python has a name that is not UTF-8
Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> Done:
    """Run a command of Python's in this environment, but for `env`."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, *command], env=env, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace"
    )


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A file that `get info` describes."""
    path = tmp_path / "scores.json"
    content = {"headline": "last", "scores": {"last": {"fid": 1.0}}, "note": "±"}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------- figures

DRAW = """
    import sys
    from get.runtime.log import logging_to
    with logging_to():
        from get.paper import figures, style
        figure, (axes,) = style.panels(1, ["a_b"])
        axes.plot([1, 2], [3, 4])
        style.save(figure, sys.argv[1:])
"""
RC = "text.usetex: True\nfont.family: serif\nsavefig.dpi: 50\naxes.facecolor: red\npdf.compression: 0\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a figure of a user who has set nothing."""
    return draw(tmp_path_factory.mktemp("plain"))


def draw(folder: Path, **env: str) -> Path:
    done = run("-c", textwrap.dedent(DRAW), folder / "f.pdf", folder / "f.png", **env)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("disturbed", ["backend", "matplotlibrc", "home"])
def test_figures_are_the_same_bytes_whatever_the_user_has_set(
    disturbed: str, plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_text(RC, encoding="utf-8")
    environments = {
        "backend": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        "matplotlibrc": {"MATPLOTLIBRC": str(tmp_path)},
        "home": {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/x", "COLUMNS": "0", "TERM": "dumb"},
    }
    draw(tmp_path, **environments[disturbed])
    for name in ("f.pdf", "f.png"):
        assert (plain / name).read_bytes() == (tmp_path / name).read_bytes()


def test_figures_that_exist_stay_until_the_new_ones_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "f.pdf", tmp_path / "f.png"]
    for path in paths:
        path.write_text("old", encoding="utf-8")
    figure, _ = style.panels(1)
    save = figure.savefig

    def fail(file: Path, format: str, **options: Any) -> None:
        save(file, format=format, **options)
        if format == "png":
            raise RuntimeError("no latex")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no latex"):
        style.save(figure, paths)
    assert [path.read_text(encoding="utf-8") for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == paths


# ------------------------------------------------------------------------------------ locales and names


def scripts() -> list[Path]:
    """All Python of the project but the tests themselves, which run where the developer is."""
    found = [
        path for name in ("get", "workflow", "benchmarks", "docs") for path in (ROOT / name).rglob("*.py")
    ]
    return found + [path for path in (ROOT / "tests").glob("*.py") if not path.name.startswith("test_")]


def reads_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text, or a process: what needs an encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)
    if name in ("run", "Popen", "check_output"):
        return owner == "subprocess" and any(keyword.arg == "text" for keyword in call.keywords)
    if name not in ("open", "FileHandler") or owner in ("os", "gzip", "tarfile", "Image", "archive"):
        return False
    modes = [part.value for part in call.args[:2] if isinstance(part, ast.Constant)]
    return not any("b" in str(mode) for mode in modes)


def test_text_files_are_read_and_written_as_utf_8() -> None:
    bare = []
    for path in scripts():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and reads_text(node):
                given = {keyword.arg for keyword in node.keywords}
                bare += [] if "encoding" in given else [f"{path.relative_to(ROOT)}:{node.lineno}"]
    assert len(scripts()) > 150
    assert bare == []


def test_in_a_locale_without_the_signs_files_are_utf_8_and_printing_does_not_fail(
    scores: Path, tmp_path: Path
) -> None:
    code = "import sys; from get.storage.atomic import write_text; write_text(sys.argv[1], '\\xb1')"
    done = run("-c", code, "é.txt", cwd=tmp_path, **ASCII)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "é.txt").read_bytes() == "±".encode()
    record = (tmp_path / ".é.txt.sha256").read_bytes()
    assert record.endswith("  é.txt\n".encode())
    help_text = run("-m", "get", "score", "--help", **ASCII)
    assert help_text.returncode == 0
    assert "\\xb1" in help_text.stdout
    renamed = scores.rename(tmp_path / "é.json")
    shown = run("-m", "get", "info", renamed, "--json", **ASCII)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)


def test_logs_of_jobs_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    code = "from get.runtime.log import log, logging_to\nwith logging_to('x.log'): log.info('± \\udcff')"
    script.write_text(code, encoding="utf-8")
    done = run(script, cwd=tmp_path, **ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert "± \\udcff\n" in (tmp_path / "x.log").read_text(encoding="utf-8")


def test_a_name_that_is_not_utf_8_is_read_written_and_told(tmp_path: Path) -> None:
    path = tmp_path / f"{BAD}.json"
    write_json(path, {"file": path.name})
    assert read_json(path) == {"file": path.name}
    path.read_bytes().decode()  # the file itself is UTF-8
    assert os.fsencode(path.name) in (tmp_path / f".{path.name}.sha256").read_bytes()
    done = run("-m", "get", "info", tmp_path / f"{BAD}.safetensors")
    assert done.returncode == 2
    assert "name\\udcff.safetensors does not exist" in done.stderr


def test_pictures_whose_names_are_not_utf_8_are_scored(tmp_path: Path) -> None:
    folder = tmp_path / BAD
    folder.mkdir()
    for number in range(3):
        with atomic(folder / f"{BAD}{number}.png", recorded=False) as temporary:
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(temporary, format="png")
    with open_images(folder) as images:
        assert images[:3].shape == (3, 1, 8, 8)


def test_a_name_that_a_library_cannot_open_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / f"{BAD}.safetensors"
    message = r"\.safetensors cannot be opened: its name or the locale is not UTF-8; rename it, or export"
    with pytest.raises(UserError, match=message) as raised, reading(path, "x"):
        raise RuntimeError("Path is not valid UTF-8")
    assert raised.value.files == []
    require_unicode(tmp_path / "é")


# -------------------------------------------------------------------------------------------- streams

FULL = "get: standard output cannot be written (No space left on device)"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("info {} 2>&-", 0, ""),
        ("info missing.json 2>&-", 2, ""),
        ("info {} >&- 2>&- <&-", 0, ""),
        ("info missing.json 2>/dev/full", 2, ""),
        ("info {} >/dev/full", 2, FULL),
        ("info {} --json >/dev/full", 2, FULL),
        ("--help >/dev/full", 2, FULL),
        ("info {} | true", 141, ""),
        ("info {} 2>&1 | true", 141, ""),
        ("nothing 2>/dev/full", 2, ""),
    ],
)
def test_streams_that_are_closed_full_or_without_a_reader_make_no_traceback(
    arguments: str, code: int, said: str, scores: Path
) -> None:
    # the reader ends before the command writes
    given = arguments.format(scores).replace("| true", "| (exec <&-; sleep 0.1)")
    script = f"{sys.executable} -m get {given}; exit ${{PIPESTATUS[0]}}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if " get info " not in line]  # the log
    assert lines == ([said] if said else [])


def test_a_file_does_not_take_the_place_of_a_closed_standard_error(tmp_path: Path) -> None:
    """What a library writes to descriptor 2 must not end up in a file that the command has opened."""
    code = (
        "import os\nfrom get.cli.streams import checked_streams\n"
        "with checked_streams(), open('file', 'wb') as file:\n    os.write(2, b'warning')\n"
    )
    script = f'{sys.executable} -c "$CODE" 2>&-'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CODE": code}
    subprocess.run(["bash", "-c", script], env=env, cwd=tmp_path, check=True)
    assert (tmp_path / "file").read_bytes() == b""


# -------------------------------------------------------------------------------- leftover variables


def test_world_size_of_another_tool_is_not_heeded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "x", "MASTER_ADDR": "gone"}.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level("INFO", logger="get"), process_group("cpu"):
        assert processes_here() == 1
    assert "WORLD_SIZE=4 is not torchrun's: training alone" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"WORLD_SIZE is '', no count; start with torchrun, or: unset TORCHELASTIC_RUN_ID"),
        ({"WORLD_SIZE": "two"}, r"WORLD_SIZE is 'two', no count"),
        ({"WORLD_SIZE": "2"}, r"LOCAL_WORLD_SIZE is '', no count"),
        ({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, r"RANK expected, but not set; start with torchrun"),
        ({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "x"}, r"RANK, .*'x'; start with torchrun"),
    ],
    ids=["none", "no number", "not all", "no rank", "no number of a rank"],
)
def test_what_torchrun_sets_must_be_whole(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message), process_group("cpu"):
        pass


@pytest.mark.parametrize("end", [1_700_000_000.0, 0.0, float("nan")])
def test_a_job_of_slurm_that_has_ended_limits_nothing(
    end: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(end))
    with caplog.at_level("INFO", logger="get"):
        assert stop_time() is None
    assert caplog.messages == ["no time limit: job 7 of SLURM has ended, its SLURM_JOB_ID is left over"]


# ----------------------------------------------------------------------------------------------- GPUs

VISIBLE = [
    (None, 4),
    ("", 0),
    ("-1", 0),
    ("none", 0),
    ("NoDevFiles", 0),
    ("0", 1),
    ("1,0", 2),
    (" 0 , 2 ", 2),
    ("0,-1,1", 1),
    ("0,7,1", 1),
    ("0,0", 0),
    ("GPU-8932f937-d72c,GPU-1", 2),
    ("MIG-4fbd,MIG-5b12", 1),
    ("GPU-1,GPU-2,GPU-3,GPU-4,GPU-5", 4),
]


@pytest.mark.parametrize(("visible", "count"), VISIBLE)
def test_gpus_are_counted_as_cuda_shows_them(
    visible: str | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(gpus.glob, "glob", lambda pattern: ["0", "1", "2", "3"])
    assert gpus.visible_gpus() == count
    monkeypatch.setattr(gpus, "_installed", lambda: 0)
    assert gpus.visible_gpus() == 0  # a name of a GPU makes none


@pytest.mark.parametrize(("answer", "code", "count"), [(True, 0, 2), (True, 9, 0), (False, 0, 0)])
def test_the_profile_counts_gpus_that_have_no_files(
    answer: bool, code: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Snakemake reads the profile, where nvidia-smi alone knows of them (or fails, or is not there)."""
    lines = ["GPU 0: NVIDIA A100 (UUID: GPU-1)", "  MIG 1g.5gb Device 0: (UUID: MIG-1)", "GPU 1: NVIDIA A100"]
    program = tmp_path / "nvidia-smi"
    if answer:
        script = "\n".join(f"echo '{line}'" for line in lines)
        program.write_text(f"#!/bin/sh\n{script}\nexit {code}\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine's GPUs have files")
    with open(ROOT / "profiles/default/profile.yaml", encoding="utf-8") as stream:
        assert yte.process_yaml(stream, require_use_yte=True)["resources"]["gpu"] == count


# ---------------------------------------------------------------------------------- folders, Snakemake


def test_a_clone_named_get_is_found_from_the_folder_above(tmp_path: Path) -> None:
    """An editable installation names a folder, so that Python prefers the package to the clone's folder."""
    if not importlib.util.find_spec("setuptools"):
        pytest.skip("no setuptools, which builds the package")
    clone = tmp_path / "get"
    shutil.copytree(ROOT / "get", clone / "get", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    build = "from setuptools.build_meta import build_editable; build_editable('..')"
    built = run("-c", build, cwd=clone)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    (found,) = (tmp_path / "site").glob("*.pth")
    assert found.read_text(encoding="utf-8").split() == [str(clone)]
    # a folder of a .pth is on the path after the current one, as those of PYTHONPATH are
    done = run("-m", "get", "info", "get/missing.json", cwd=tmp_path, PYTHONPATH=str(clone))
    assert done.returncode == 2
    assert done.stderr.endswith("get: get/missing.json does not exist; correct its name, or make it first\n")


def test_the_recipe_of_the_image_is_linted() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("no hadolint: pip install -e '.[test]'")
    done = subprocess.run([linter, "envs/Dockerfile"], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    copied = re.findall("^COPY (.*) ", (ROOT / "envs/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sent = (ROOT / "envs/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in sent


def snakemake(python: Path, project: Path, config: Path, *targets: str, **env: str) -> Done:
    command = [python, "-m", "snakemake", "--cores", "1", "--directory", config.parent, *targets]
    env = {**os.environ, "PYTHONPATH": str(project), **env}
    command += ["--configfile", config]
    return subprocess.run(command, env=env, cwd=project, capture_output=True, encoding="utf-8")


@pytest.fixture
def tiny(tmp_path: Path, config: dict[str, Any]) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.mark.workflow
def test_a_space_in_the_path_of_the_environment_is_told_before_the_first_job(tiny: Path) -> None:
    environment = tiny.parent / "a b" / "venv"
    environment.parent.mkdir()
    environment.symlink_to(Path(sys.executable).parent.parent)
    python = environment / "bin" / Path(sys.executable).name
    done = snakemake(python, ROOT, tiny, "results/data/images.h5")
    assert done.returncode == 1
    assert f"Snakemake cannot start jobs with {python}, as its path has a space" in done.stderr
    assert not (tiny.parent / "results").exists()


@pytest.mark.workflow
def test_a_space_in_the_path_of_the_checkout_does_no_harm(tiny: Path) -> None:
    clone = tiny.parent / "a b" / "get"
    for name in ("get", "workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", clone)
    tiny = tiny.rename(clone / "config.yaml")
    done = snakemake(Path(sys.executable), clone, tiny, "results/data/images.h5")
    assert done.returncode == 0, done.stderr
    assert (clone / "results/data/images.h5").exists()


@pytest.mark.workflow
def test_signs_that_the_locale_lacks_are_told_before_the_first_job(tiny: Path) -> None:
    loaded = yaml.safe_load(tiny.read_text(encoding="utf-8"))
    loaded["students"]["get"]["label"] = "GET é"
    tiny.write_text(yaml.safe_dump(loaded, allow_unicode=True), encoding="utf-8")
    target = "results/settings/paper/table1.json"
    done = snakemake(Path(sys.executable), ROOT, tiny, target, **ASCII)
    assert done.returncode == 1
    assert "the locale is not UTF-8 but ascii; say export PYTHONUTF8=1 and the same command" in done.stderr
    done = snakemake(Path(sys.executable), ROOT, tiny, target, **{**ASCII, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    assert "GET é" in (tiny.parent / target).read_text(encoding="utf-8")
