"""Trackers of trainings: what they are told, and that none of them stops a training."""

import csv
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DISTILLATION, GET
from numpy.typing import NDArray
from PIL import Image

import get
from get.cli.inspection import made_below
from get.experiment import ConfigError
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.mosaic import write_grid
from get.student.training import Inputs, train_student
from get.studies import load_experiment
from get.training import trackers
from get.training import tracking as tracking_module
from get.training.tracking import Tracking

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SETTINGS = {"seed": 0, "model": {"width": 16}}


def picture() -> tuple[NDArray[np.uint8], int]:
    return np.full((4, 1, 8, 8), 200, np.uint8), 2


def tell(tracking: Tracking, *steps: int) -> None:
    for step in steps:
        tracking.scalars(step, {"loss": 1 / step, "rate": 2.0})


def test_tensorboard_shows_all(tmp_path: Path) -> None:
    tracking = Tracking({"tensorboard": {}}, tmp_path / "x.pt", SETTINGS)
    tracking.begin(0)
    tell(tracking, 50, 100)
    tracking.images(100, picture)
    tracking.close()
    again = Tracking({"tensorboard": {}}, tmp_path / "x.pt", SETTINGS)
    again.begin(50)  # killed after its save at 50: what came later is forgotten
    tell(again, 60)
    again.close()
    events = EventAccumulator(str(tmp_path / "x.trackers/tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss")] == [50, 60]
    assert events.Scalars("loss")[0].value == pytest.approx(1 / 50)
    assert set(events.Tags()["scalars"]) == {"loss", "rate"}
    assert "settings/text_summary" in events.Tags()["tensors"]


def test_tensorboard_shows_samples(tmp_path: Path) -> None:
    tracking = Tracking({"tensorboard": {}}, tmp_path / "x.pt", SETTINGS)
    tracking.begin(0)
    tracking.images(100, picture)
    tracking.close()
    events = EventAccumulator(str(tmp_path / "x.trackers/tensorboard")).Reload()
    (shown,) = events.Images("samples")
    assert (shown.step, shown.width, shown.height) == (100, 629, 629)


def test_csv_writes_files(tmp_path: Path) -> None:
    folder = tmp_path / "students/get-16/seed0/100.trackers/csv"
    for first, steps in ((0, (50, 100, 150)), (100, (150, 200))):
        tracking = Tracking({"csv": {}}, tmp_path / "students/get-16/seed0/100.pt", SETTINGS)
        tracking.begin(first)
        tell(tracking, *steps)
        tracking.images(steps[-1], picture)
        tracking.close()
        if first == 0:  # what a kill may leave
            with open(folder / "scalars.csv", "a", encoding="utf-8") as file:
                file.write("\0\0,\n15")
    with open(folder / "scalars.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["50", "100", "150", "200"]
    assert float(rows[3]["loss"]) == 1 / 200
    assert np.asarray(Image.open(folder / "samples-200.png")).shape == (629, 629, 3)
    said = json.loads((folder / "settings.json").read_text())
    assert said == {"name": "students/get-16/seed0/100", **SETTINGS}


@pytest.mark.slow
def test_wandb_works_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    entry = {"wandb": {"project": "digits", "mode": "offline"}}
    tracking = Tracking(entry, tmp_path / "students/get-16/seed0/100.pt", SETTINGS)
    tracking.begin(0)
    tell(tracking, 50, 100)
    tracking.images(100, picture)
    tracking.close()
    folder = tmp_path / "students/get-16/seed0/100.trackers/wandb"
    (log,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content = log.read_bytes()
    for part in (b"students/get-16/seed0", b"digits", b"loss", b"width"):
        assert part in content
    assert list(folder.glob("wandb/offline-run-*/files/media/images/samples*.png"))
    # The next milestone is the same run; a training that begins again is another
    identities = [log.stem]
    for milestone, step in ((200, 100), (100, 0)):
        again = Tracking(entry, tmp_path / f"students/get-16/seed0/{milestone}.pt", SETTINGS)
        again.begin(step)
        again.close()
        found = (tmp_path / f"students/get-16/seed0/{milestone}.trackers").glob(
            "wandb/wandb/offline-run-*/run-*.wandb"
        )
        identities.append(max(found, key=lambda path: path.stat().st_mtime_ns).stem)
    assert identities[0] == identities[1] != identities[2]
    # Its links are its own: `get forget` deletes them, with the rest
    made = made_below(tmp_path)
    assert not made.links
    assert any(path.is_symlink() for paths in made.files.values() for path in paths)


def test_a_tracker_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from get.training.trackers import csv as other

    done = threading.Event()
    monkeypatch.setattr(other, "TRACKER", lambda *_: done.wait())
    monkeypatch.setattr(tracking_module, "LIMIT", 0.1)
    tracking = Tracking({"csv": {}}, tmp_path / "x.pt", SETTINGS)
    begun = time.monotonic()
    tracking.begin(0)
    tell(tracking, *range(1, 20))
    tracking.images(20, picture)
    tracking.close()
    assert time.monotonic() - begun < 10
    assert "not done after" in caplog.text
    done.set()


class Broken:
    """A tracker that fails at one of its calls."""

    def __init__(self, at: str) -> None:
        self.at, self.calls = at, list[str]()

    def __call__(self, *_: Any) -> "Broken":
        return self._call("begin")

    def _call(self, name: str) -> "Broken":
        self.calls.append(name)
        if name == self.at:
            raise OSError("the server is away")
        return self

    def scalars(self, *_: Any) -> None:
        self._call("scalars")

    def picture(self, *_: Any) -> None:
        self._call("picture")

    def close(self) -> None:
        self._call("close")


@pytest.mark.parametrize(
    ("at", "calls"),
    [
        ("begin", ["begin"]),
        ("scalars", ["begin", "scalars"]),
        ("picture", ["begin", "scalars", "scalars", "picture"]),
        ("close", ["begin", "scalars", "scalars", "picture", "close"]),
    ],
)
def test_a_broken_tracker_is_left_out(
    at: str,
    calls: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from get.training.trackers import csv as other

    broken = Broken(at)
    monkeypatch.setattr(other, "TRACKER", broken)
    tracking = Tracking({"csv": {}, "tensorboard": {}}, tmp_path / "x.pt", SETTINGS)
    tracking.begin(0)
    tell(tracking, 50, 100)
    tracking.images(100, picture)
    tracking.close()
    assert broken.calls == calls
    assert "tracker csv: OSError: the server is away; going on without it" in caplog.text
    events = EventAccumulator(str(tmp_path / "x.trackers/tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss")] == [50, 100]
    assert events.Images("samples")


def test_samples_that_cannot_be_drawn_stop_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> tuple[NDArray[np.uint8], int]:
        raise UserError("pixels are no numbers")

    tracking = Tracking({"csv": {}}, tmp_path / "x.pt", SETTINGS)
    tracking.images(1, fail)  # nobody wants them: they are not drawn
    assert not caplog.text
    tracking.begin(0)
    tracking.images(100, fail)
    tell(tracking, 150)
    tracking.close()
    assert "no samples: UserError: pixels are no numbers" in caplog.text
    assert (tmp_path / "x.trackers/csv/scalars.csv").exists()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"tensorbord": {}}, "trackers: 'tensorbord' must be one of csv, tensorboard, wandb"),
        ({"csv": {"folder": "x"}}, "trackers.csv.folder: there is no such key"),
        ({"wandb": {"mode": "off"}}, "trackers.wandb.mode is 'off'"),
        ({"wandb": {"project": 3}}, "trackers.wandb.project is 3"),
    ],
)
def test_wrong_trackers_are_refused(
    entries: dict[str, Any], message: str, edit: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(edit(entries, "trackers"))
    with pytest.raises(UserError, match=message):
        Tracking(entries, tmp_path / "x.pt", SETTINGS)


def test_they_are_no_settings(edit: Callable[..., Any], config: dict[str, Any]) -> None:
    """So that nothing is trained again where they change."""
    watched, plain = (
        load_experiment(each)
        for each in (edit({"csv": {}, "wandb": {"mode": "offline"}}, "trackers"), config)
    )
    assert watched.config.trackers_with_arguments == {"csv": {}, "wandb": {"mode": "offline"}}
    for name in plain.students:
        assert watched.students[name].settings() == plain.students[name].settings()


def trained(folder: Path, pairs: Path, steps: int, entries: trackers.Entries) -> Path:
    settings = {"model": GET, "training": DISTILLATION, "pairs": "abc"}
    write_json(folder / "settings.json", settings)
    train_student(
        settings=folder / "settings.json",
        inputs=Inputs(manifest=pairs),
        seed=0,
        stop=steps,
        device="cpu",
        start=None,
        output=folder / f"{steps}.pt",
        trackers=entries,
    )
    return folder / f"{steps}.safetensors"


def test_a_training_is_watched_and_not_changed(pairs: Path, tmp_path: Path) -> None:
    for name in ("plain", "watched"):
        (tmp_path / name).mkdir()
    plain = trained(tmp_path / "plain", pairs, 100, {})
    watched = trained(tmp_path / "watched", pairs, 100, {"csv": {}})
    assert sha256(plain) == sha256(watched)
    folder = watched.with_suffix(".trackers") / "csv"
    with open(folder / "scalars.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    history = json.loads(watched.with_suffix(".json").read_text())["rows"]
    assert [[int(row["step"]), float(row["loss"]), float(row["gradient_norm"])] for row in rows] == history
    assert json.loads((folder / "settings.json").read_text())["model"]["width"] == 16
    # The samples are those of `get sample`
    images = np.moveaxis(get.load(watched, "cpu").sample(80), -1, 1)
    write_grid(tmp_path / "grid.png", images, 10)
    shown = np.asarray(Image.open(folder / "samples-100.png"))[::7, ::7]  # 89 pixels to 640
    grid = np.asarray(Image.open(tmp_path / "grid.png"))[::8, ::8]
    assert np.abs(shown.astype(int) - grid).max() <= 1


def test_without_trackers_there_is_no_thread_and_no_file(pairs: Path, tmp_path: Path) -> None:
    before = threading.active_count()
    tracking = Tracking({}, tmp_path / "x.pt", SETTINGS)
    tracking.begin(0)
    assert threading.active_count() == before
    trained(tmp_path, pairs, 50, {})
    assert not list(tmp_path.glob("*.trackers"))
