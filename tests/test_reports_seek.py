"""Faults of kinds that users report in the trackers of neighbouring projects, found by looking there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from conftest import GET, ROOT, SHAPE
from fabricate_results import row, run
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_workflow import Config, snakemake

from get.cli import main
from get.cli.inspection import files_below, verify_folder
from get.data.store import read_split, to_bytes
from get.experiment import ConfigError
from get.experiment.loading import load
from get.pairs.shards import write_shard
from get.paper import documents, figures, grids
from get.paper.documents import Table
from get.runtime.seeding import EpochSampler
from get.scoring.extractors.classifier import Classifier
from get.scoring.features import Extractor
from get.scoring.metrics import frechet, moments, square_root
from get.storage.atomic import write_text
from get.storage.errors import UserError
from get.storage.lock import Lock
from get.storage.reading import read_json, reading
from get.storage.weights import write_weights
from get.student.models import build
from get.studies.common.plots import plot_changes

CPU = torch.device("cpu")
CLASSIFIER = {"channels": 1, "size": 8, "classes": 10, "width": 4, "features": 8}
Edit = Callable[..., Config]


# ----------------------------------------------------------------------------- files that belong to others


@pytest.fixture
def results(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder beside its config, in which the commands run."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in ("scores/students/get/seed0/4.json", "samples/students/get/seed0/4.h5", "data/images.h5"):
        write_text(tmp_path / "results" / name, "whole")
    monkeypatch.chdir(tmp_path)
    return Path("results")


def refuse(*_: Any, **__: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize(
    ("command", "change"),
    [("forget scores --yes", (Path, "unlink")), ("verify results --times", (os, "utime"))],
)
def test_results_of_another_user_stay_as_they_are(
    command: str,
    change: tuple[Any, str],
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(*change, refuse)
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert re.search(r"get: results/\S+ cannot be written \(Operation not permitted\)", error), error


def unprivileged(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user whom permissions bind, as they do not bind root."""
    root = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if root and not shutil.which("setpriv"):
        pytest.skip("root, whom no permission binds, and no setpriv")
    command = [*root, sys.executable, "-m", "get", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def hide(path: Path) -> None:
    """Let nobody read a file or folder, but root, and its owner, who is another one where root runs this."""
    path.chmod(0)
    if os.geteuid() == 0:
        os.chown(path, 1, 1)


@pytest.mark.parametrize("name", ["samples/students", "samples/students/get/seed0/4.h5"])
def test_what_may_not_be_read_is_not_passed_over(name: str, results: Path) -> None:
    hide(results / name)
    done = unprivileged("verify", "results")
    (results / name).chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.endswith(f"get: results/{name} may not be read by this user; see to its permissions\n")


def test_who_may_not_read_is_not_told_to_try_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(UserError) as error, reading(path, "picture"):
        raise PermissionError(13, "Permission denied", str(path))
    assert str(error.value) == f"{path} may not be read by this user; see to its permissions"


def test_json_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=r"a\.json may not be read by this user"):
        read_json(tmp_path / "a.json")


def test_a_lock_that_another_user_left_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"2.unfinished.lock cannot be written \(Operation not permitted\)"):
        Lock(tmp_path / "2.unfinished.lock").acquire()


# -------------------------------------------------------------------------------- links that lead in circles


def test_links_in_circles_come_to_an_end(results: Path) -> None:
    whole = verify_folder(results).whole
    (results / "itself").symlink_to(".")
    (results / "data" / "around").symlink_to("../..")
    (results / "scores" / "other").symlink_to("../samples")
    (results / "samples" / "other").symlink_to("../scores")
    assert verify_folder(results).whole == whole == 3


def test_a_folder_that_lies_elsewhere_counts_once(results: Path) -> None:
    before = len(files_below(results))
    shutil.move(results / "samples", "elsewhere")
    (results / "samples").symlink_to("../elsewhere")
    (results / "more").symlink_to("../elsewhere")
    assert len(files_below(results)) == before
    Path("link").symlink_to("results")
    assert len(files_below(Path("link"))) == before


# -------------------------------------------------------------------------- samples that are no numbers


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_no_numbers_do_not_become_black(value: float) -> None:
    images = torch.zeros(4, 1, 2, 2)
    images[1, 0, 1, 1] = images[3, 0, 0, 0] = value
    with pytest.raises(UserError, match=r"^2 of 16 pixels are no numbers"):
        to_bytes(images)


def test_pixels_beyond_the_range_are_clipped() -> None:
    assert to_bytes(torch.tensor([-9e9, -1.0, 0.0, 1.0, 9e9])[:, None]).flatten().tolist() == [
        *(0, 0, 128, 255, 255),
    ]


@pytest.mark.parametrize("out", ["grid.png", "samples.h5", "pictures"])
def test_a_student_that_has_diverged_writes_no_samples(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = {**GET, **SHAPE}
    state = {name: 1e30 * values for name, values in build(description).state_dict().items()}
    about = {"model": description, "step": 2, "seed": 0}
    write_weights(tmp_path / "2.safetensors", "student", state, about)
    command = ["sample", str(tmp_path / "2.safetensors"), "--out", str(tmp_path / out), "--seeds", "0-7"]
    assert main(command) == 2
    assert "512 of 512 pixels are no numbers" in capsys.readouterr().err
    assert not (tmp_path / out).exists()


# ------------------------------------------------------------------------------- signs in labels and captions

MATHS = ["$$", "GET $x", "$x_1$", r"$\undefined{$", "_GET", "a_b^c", "100%"]


def draw(kind: str, label: str, path: Path) -> None:
    """Draw a figure of a kind, with a label of the config."""
    images, noise = np.zeros((10, 1, 8, 8), np.uint8), np.zeros((10, 1, 8, 8), np.float32)
    change = {"change": 1.0, "change_low": 0.5, "change_high": 1.5, "fid_train": 2.0, "way": "w"}
    match kind:
        case "figure4a":
            grids.figure4a(images, label, [path])
        case "figure4b":
            grids.figure4b(images, np.arange(10), label, [path])
        case "same-noise":
            grids.same_noise(noise, images, [(label, images)], np.arange(10), [path])
        case "study":
            plot_changes([change | {"student": label}], [path])
        case _:
            rows = [row(label, run(9.0 + step, step=step)) for step in (1, 2)]
            figures.FIGURES[kind](rows, [path])


@pytest.mark.parametrize("label", MATHS)
@pytest.mark.parametrize("kind", ["figure2a", "figure4a"])
def test_labels_are_drawn_sign_by_sign(kind: str, label: str, drawn: list[Figure], tmp_path: Path) -> None:
    draw(kind, label, tmp_path / "figure.png")
    (text,) = (text for text in drawn[0].findobj(Text) if label in text.get_text())
    assert not text.get_parse_math()


@pytest.mark.parametrize(
    "kind", ["figure2a", "figure2b", "figure3a", "figure3b", "residuals", "figure4b", "same-noise"]
)
def test_every_figure_takes_every_label(kind: str, tmp_path: Path) -> None:
    draw(kind, "$$", tmp_path / "figure.png")


def test_mathematics_of_our_own_stays(drawn: list[Figure], tmp_path: Path) -> None:
    draw("residuals", "GET", tmp_path / "figure.png")
    maths = [text for text in drawn[0].findobj(Text) if "$" in text.get_text()]
    assert len(maths) == 4
    assert all(text.get_parse_math() for text in maths)


@pytest.mark.parametrize(
    ("label", "cell"),
    [
        ("[best] GET", "{}[best] GET"),
        ("*GET*", "{}*GET*"),
        ("GET [best]*", "GET [best]*"),
        (r"50% & $x_1$ \par", r"50\% \& \$x\_1\$ \textbackslash{}par"),
    ],
)
def test_a_label_is_no_argument_of_the_line_before(label: str, cell: str) -> None:
    """After a rule or the end of a line LaTeX reads [...] as a length, and swallows an asterisk."""
    cells = Table(documents.pd.DataFrame({"method": ["GET", label], "FID": ["1", "2"]}), ["method"])
    assert rf"{cell} & 2 \\" in documents.latex(cells, "Caption.", "tab:x").splitlines()


def test_a_caption_of_several_paragraphs_is_one_in_latex() -> None:
    cells = Table(documents.pd.DataFrame({"method": ["GET"]}), ["method"])
    assert "\\caption{One.  Two.}\n" in documents.latex(cells, "One.\n\nTwo.\n", "tab:x")


@pytest.mark.parametrize(
    "label", ["GET\n16", "GET\n", "GET\t16", "\x00", "GET\x85", "a\u2028b", " ", "\u3000"]
)
@pytest.mark.parametrize("key", [("students", "get"), ("paper", "table2")])
def test_a_label_that_would_break_a_table_is_refused(label: str, key: tuple[str, str], edit: Edit) -> None:
    value = [{"student": "get", "label": label}] if key[0] == "paper" else label
    config = edit(value, *key, *([] if key[0] == "paper" else ["label"]))
    with pytest.raises(ConfigError, match="label: it must be one line of text, without control signs"):
        load(config)


@pytest.mark.parametrize("label", [*MATHS, "GET é ☃ 😀", "a\u00a0b", "a\u200bb", "|", "<b>", "[GET]", "=1+1"])
def test_other_signs_may_be_in_a_label(label: str, edit: Edit) -> None:
    assert load(edit(label, "students", "get", "label")).students["get"].label == label


# ----------------------------------------------------------------------- names and numbers that do not fit


@pytest.mark.parametrize("kind", ["students", "teachers", "pairs"])
def test_names_that_no_file_can_have_are_refused(kind: str, config: Config, edit: Edit) -> None:
    entry = next(iter(config[kind].values()))
    with pytest.raises(ConfigError, match=rf"{kind}\.a+: string should have at most 100 characters"):
        load(edit(entry, kind, "a" * 101))
    load(edit(entry, kind, "a" * 100))


@pytest.mark.parametrize("results", ["a" * 256, "/".join(["a" * 100] * 10)])
def test_folders_whose_path_is_too_long_are_refused(results: str, edit: Edit) -> None:
    with pytest.raises(ConfigError, match=r"results: 'a+.*' is too long for the path"):
        load(edit(results, "results"))
    load(edit("a" * 100, "results"))


@pytest.mark.parametrize("seed", [2**64, 10**30])
def test_seeds_that_no_file_can_hold_are_refused(seed: int, edit: Edit) -> None:
    for config in (edit(seed, "seed"), edit([seed], "students", "get", "seeds")):
        with pytest.raises(ConfigError, match=r"seeds?(\[0\])?: it must be less than"):
            load(config)


@pytest.mark.parametrize("seed", [2**31, 2**32, 2**63, 2**64 - 1])
def test_large_seeds_are_kept(seed: int, edit: Edit, tmp_path: Path) -> None:
    assert load(edit(seed, "seed")).config.seed == seed
    pixels, label = np.zeros((1, 1, 8, 8), np.float16), np.zeros(1, np.int64)
    write_shard(tmp_path / "a.h5", 0, pixels, pixels, label, {"identity": "a", "teacher": "t", "seed": seed})
    with h5py.File(tmp_path / "a.h5") as file:
        assert int(file.attrs["seed"]) == seed


# ------------------------------------------------------------------------------- a config without any keys


@pytest.mark.parametrize("text", ["", "# seed: 1\n", "---\n", "- seed\n", "seed", "null"])
def test_a_config_without_keys_is_named(text: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yaml").write_text(text, encoding="utf-8")
    assert main(["forget", "scores", "--configfile", "empty.yaml", "--yes"]) == 2
    assert capsys.readouterr().err.endswith("empty.yaml holds no keys, as a config does\n")
    assert len(list(results.rglob("4.json"))) == 1


def test_what_is_forgotten_is_read_as_the_workflow_reads_it(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("twice.yaml").write_text("results: results\nresults: other\n", encoding="utf-8")
    assert main(["forget", "scores", "--configfile", "config.yaml", "twice.yaml", "--yes"]) == 2
    assert "twice.yaml, line 2: results is there twice, first in line 1" in capsys.readouterr().err


def test_a_byte_order_mark_does_no_harm(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + Path("config.yaml").read_bytes().replace(b"\n", b"\r\n"))
    assert main(["forget", "scores", "--configfile", "bom.yaml", "--yes"]) == 0
    assert not (results / "scores").exists()


# ------------------------------------------------------------- a machine whose name does not lead to it


@pytest.mark.slow
def test_processes_find_each_other_where_the_machine_has_no_address(edit: Edit, tmp_path: Path) -> None:
    """Left to itself, torchrun looks for the other processes at the name of the machine."""
    config = edit({"student": {"gpu": 2}}, "jobs")
    done = snakemake(tmp_path, config, "--dry-run", "--printshellcmds", "--resources", "gpu=2")
    (launcher,) = set(re.findall(r"(torchrun .*) -m get train-student", done.stdout + done.stderr))
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\nsocket.getfqdn = socket.gethostname = lambda *_: 'nowhere.invalid'\n"
    )
    (tmp_path / "job.py").write_text(
        "import torch\nfrom get.runtime.processes import average, process_group, rank\n"
        "with process_group('cpu'):\n    mean = torch.tensor([float(rank())])\n    average(mean)\n"
        "    open(f'mean{rank()}', 'w').write(str(mean.item()))\n"
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PATH": path}
    command = [*shlex.split(launcher), str(tmp_path / "job.py")]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=100, check=True)
    assert [(tmp_path / f"mean{rank}").read_text() for rank in range(2)] == ["0.5", "0.5"]


# ---------------------------------------------------------------- kinds in which nothing was wrong, held so


def test_a_training_that_goes_on_does_not_see_the_same_order_again() -> None:
    """Nor does it matter where it was stopped: batch by batch the order is that of one run."""
    whole = EpochSampler(count=10, batch=4, seed=0)
    batches = [whole(step).tolist() for step in range(10)]
    for start in range(10):
        resumed = EpochSampler(count=10, batch=4, seed=0)
        assert [resumed(step).tolist() for step in range(start, 10)] == batches[start:]
    seen = [number for batch in batches for number in batch]
    epochs = [seen[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == len(epochs)


@pytest.mark.parametrize("batch", [1, 7, 50, 1000])
def test_every_image_counts_once_whatever_the_batch(batch: int, digits: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "classifier.safetensors"
    write_weights(weights, "classifier", Classifier(**CLASSIFIER).state_dict(), {"model": CLASSIFIER})
    images = read_split(digits, "train").images[:50]
    ours, usual = (Extractor("classifier", weights, "cpu", size)(images) for size in (batch, 50))
    assert len(ours.penultimate) == 50
    np.testing.assert_allclose(ours.penultimate, usual.penultimate, rtol=1e-4, atol=1e-5)


def test_images_are_at_no_distance_from_themselves() -> None:
    features = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    ours = moments(features, CPU)
    assert abs(float(frechet(ours, ours, square_root(ours.sigma)))) < 1e-6


@pytest.mark.workflow
@pytest.mark.parametrize("option", ["--dag", "--rulegraph", "--filegraph"])
def test_graphs_are_alone_on_standard_output(option: str, config: Config, tmp_path: Path) -> None:
    done = snakemake(tmp_path, config, option)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("digraph snakemake_dag {")
    assert done.stdout.rstrip().endswith("}")
