"""The workflow broken at random, a bounded number of times; tests/breakage.py does it without bound."""

import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from breakage import PARTS, PATIENCE, Loss, Site, copy_project, play, undisturbed, wait_until
from warm import python


class Bench(NamedTuple):
    """A copy of the project, and a folder in which it has run undisturbed."""

    project: Path
    whole: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("breakage")
    project = copy_project(folder / "project")
    return Bench(project, undisturbed(folder / "whole", project, python()))


def test_nothing_is_lost(bench: Bench, tmp_path: Path) -> None:
    breakages = ["kill", "kill", "damage", "fill_disk", "run_twice"]
    done, loss = play(tmp_path / "round", *bench, "in the tests", breakages, python())
    print(done)
    assert not loss
    assert len(done) == len(breakages)


def test_a_loss_is_seen(bench: Bench, tmp_path: Path) -> None:
    """Where going on skips a step, the end result differs."""
    resume = 'self.step, self.history = content["step"]'
    project = copy_project(tmp_path / "project", {resume: f"{resume} + 1"})
    shutil.copytree(bench.whole, tmp_path / "site")
    site = Site(tmp_path / "site", project, bench.whole, python())
    try:
        site.delete(PARTS[0])
        run = site.go_on()
        wait_until(site.trainers, PATIENCE, "a training")
        os.kill(next(iter(site.trainers())), signal.SIGTERM)
        assert run.wait() != 0
        with pytest.raises(Loss, match=r"not as undisturbed: .*students/get/seed0/\d+.pt"):
            site.finish()
    finally:
        site.close()
