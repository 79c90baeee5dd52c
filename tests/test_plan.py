"""The plan: its list of jobs against Snakemake's, its schedule, its measuring, its sizes, and its files."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from conftest import DISTILLATION, GET, ROOT, SHAPE
from miniature import mini_config
from test_workflow import Config, planned, snakemake

from get.costs import calibration, plan
from get.costs.calibration import Found, start
from get.costs.jobs import Experiment, Job, Work, measure, sizes
from get.costs.plan import Needs, Slot, make_plan, schedule
from get.costs.timing import timing
from get.runtime.seeding import classes_of
from get.sampling.files import new_samples
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student.models import build
from get.student.objectives.pairs import Distillation
from get.training.state import State

CPU = torch.device("cpu")
CONFIGS = {
    "default": ROOT / "config.yaml",
    "tests": ROOT / "tests/config.yaml",
    "cifar10": ROOT / "workflow/config/cifar10.yaml",
}


def settings_of(folder: Path, config: Config | Path) -> Config:
    """Let the workflow write the settings of the plan of `config` in `folder`."""
    loaded = config if isinstance(config, dict) else yaml.safe_load(config.read_text())
    path = f"{loaded['results']}/settings/plan.json"
    done = snakemake(folder, config, path)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / path).read_text())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return settings_of(tmp_path_factory.mktemp("settings"), CONFIGS["tests"])


# ------------------------------------------------------------------------------------------------- jobs


def counts(folder: Path, config: Config | Path) -> dict[str, int]:
    """Return how many jobs of each rule Snakemake would run for all results."""
    done = snakemake(folder, config, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule not in ("all", "total")}


@pytest.mark.parametrize("name", [*CONFIGS, "miniature"])
def test_the_jobs_are_those_of_snakemake(name: str, tmp_path: Path) -> None:
    """Also where students are disabled, or imported, and where nothing is downloaded."""
    config = CONFIGS.get(name) or mini_config()
    for path in re.findall(r"path: ([^,}\s]+)", (ROOT / "workflow/config/cifar10-mini.yaml").read_text()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    jobs = Experiment(settings_of(tmp_path, config)).jobs
    for made in tmp_path.rglob("settings"):  # of which one is there now
        shutil.rmtree(made)
    assert Counter(job.rule for job in jobs) == counts(tmp_path, config)
    names = {job.name for job in jobs}
    assert len(names) == len(jobs)
    assert names >= {need for job in jobs for need in job.needs}


def test_a_milestone_is_as_long_as_the_steps_since_the_one_before(tiny: Config) -> None:
    jobs = {job.name: job for job in Experiment(tiny).jobs}
    first, second = (jobs[f"students/get/seed0/{step}"] for step in (2, 4))
    assert first.name in second.needs
    for job in (first, second):
        assert [work.amount for work in job.work or () if work.unit == "step"] == [2]


def test_the_headline_is_sampled_and_scored_with_more_iterations(tiny: Config) -> None:
    tiny = {**tiny, "evaluation": {**tiny["evaluation"], "iterations": [1, 2, 5]}}
    jobs = {job.name: job for job in Experiment(tiny).jobs}

    def amount(name: str, unit: str) -> float:
        return sum(work.amount for work in jobs[name].work or () if work.unit == unit)

    for step, iterations, variants in ((2, 2, 2), (4, 5, 4)):
        # 20 samples and 10 held-out pairs
        assert amount(f"samples/students/get/seed0/{step}", "iteration") == 30 * iterations
        assert amount(f"scores/students/get/seed0/{step}", "variant") == variants
    assert amount("scores/students/vit/seed0/3", "variant") == 1


def test_gpus_share_the_batch(tiny: Config) -> None:
    jobs = {**tiny["jobs"], "student": {**tiny["jobs"]["student"], "gpu": 4}}
    for there, processes in ((0, 1), (2, 2), (8, 4)):
        steps = [m for m in Experiment({**tiny, "jobs": jobs}, there).measures() if m.name == "student_step"]
        assert processes in {json.loads(step.settings)["processes"] for step in steps}


# ------------------------------------------------------------------------------------------------- sizes


def near(real: Path) -> Any:
    """The size of a file, but for headers."""
    return pytest.approx(real.stat().st_size, rel=0.05, abs=8000)


def test_checkpoints_are_as_large_as_planned(tmp_path: Path) -> None:
    description = {**SHAPE, **GET, "width": 64}
    student = build(description)
    state = State(student, Distillation(**DISTILLATION), "")
    for parameter in state.parameters:
        parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step(0.1)
    state.save(tmp_path / "4.pt")
    write_weights(tmp_path / "4.safetensors", "student", state.ema_weights(), {})
    weights, whole = sizes(build, description)
    assert weights == near(tmp_path / "4.safetensors")
    assert whole == near(tmp_path / "4.pt")


def test_pairs_and_samples_are_as_large_as_planned(tiny: Config, pairs: Path, tmp_path: Path) -> None:
    jobs = {job.name: job for job in Experiment(tiny).jobs}
    shard = jobs["pairs/conditional/train-00000"].writes  # 20 of the same shape
    assert shard is not None
    assert 6 * shard == near(pairs.parent / "train-00000.h5")
    labels, variants = classes_of(range(2000), 10), ["lowest-residual-2", "last-2"]
    with new_samples(tmp_path / "4.h5", variants, labels, [1, 8, 8]) as file:
        for images in file.variants.values():
            images[:] = 0
    samples = jobs["samples/students/get/seed0/4"].writes  # 20 of them
    assert samples is not None
    assert 100 * samples == near(tmp_path / "4.h5")


# ------------------------------------------------------------------------------------------------- schedule


def job(name: str, *needs: str, priority: int = 0) -> Job:
    rule = {0: "table", 10: "score", 100: "train_teacher"}[priority]
    return Job(rule, "", name, needs, (), 0)


ONE, TWO, GPU = Needs(1, 0), Needs(2, 0), Needs(1, 1)


def starts(
    jobs: list[Job], seconds: list[float], needs: list[Needs], cores: int = 2, gpus: int = 0
) -> list[float]:
    names = [each.name for each in jobs]
    slots = schedule(
        jobs, dict(zip(names, seconds, strict=True)), dict(zip(names, needs, strict=True)), cores, gpus
    )
    assert [slots[name].end - slots[name].start for name in names] == seconds
    return [slots[name].start for name in names]


def test_a_chain_takes_its_sum() -> None:
    chain = [job("a"), job("b", "a"), job("c", "b")]
    assert starts(chain, [1, 2, 3], [ONE] * 3, cores=8) == [0, 1, 3]


def test_cores_are_shared() -> None:
    three = [job("a"), job("b"), job("c")]
    assert starts(three, [3, 1, 1], [ONE] * 3) == [0, 0, 1]
    assert starts(three, [3, 1, 1], [ONE] * 3, cores=1) == [0, 3, 4]
    assert starts(three, [3, 1, 1], [ONE, TWO, ONE]) == [0, 3, 0]  # what does not fit lets others pass


def test_the_higher_priority_goes_first() -> None:
    jobs = [job("a"), job("b", priority=10), job("c", priority=100)]
    assert starts(jobs, [1, 2, 3], [ONE] * 3, cores=1) == [5, 3, 0]


def test_gpus_are_shared() -> None:
    jobs = [job("a"), job("b"), job("c")]
    assert starts(jobs, [2, 2, 1], [GPU, GPU, ONE], cores=8, gpus=1) == [0, 2, 0]
    assert starts(jobs, [2, 2, 1], [GPU, GPU, ONE], cores=8, gpus=2) == [0, 0, 0]


# ------------------------------------------------------------------------------------------------- measuring


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still but for what it is told."""
    now = [0.0]
    monkeypatch.setattr("get.costs.calibration.time.perf_counter", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


@pytest.mark.parametrize(("per_image", "share"), [(0.001, 1.0), (0.9, 2 / 128)])
def test_a_slow_batch_is_extrapolated(per_image: float, share: float, clock: Callable[[float], None]) -> None:
    """What does not grow with the batch (an optimiser's step, say) is not multiplied with it."""
    found = timing(lambda count: clock(0.3 + per_image * count), 128, CPU)
    assert found.seconds == pytest.approx(0.3 + 128 * per_image)
    assert found.share == share
    squares = timing(lambda count: clock(0.3 + 0.1 * count**2), 100, CPU, least=2, power=2)
    assert squares.seconds == pytest.approx(0.3 + 1000)


def test_the_first_call_is_apart(clock: Callable[[float], None]) -> None:
    """A compiled model is compiled in it, once in each job."""
    calls = iter([30.0])
    found = timing(lambda count: clock(next(calls, 0.1)), 64, CPU, least=64)
    assert (found.first, found.seconds) == (pytest.approx(29.9), pytest.approx(0.1))


def test_too_little_memory_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Found:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setitem(calibration.PARTS, "sampling", fail)
    assert calibration._found(measure("sampling", "sample"), 1, "cpu") is None


def test_starting_is_measured() -> None:
    nothing, torch_too = (start({"code": code}, CPU) for code in ("pass", "import torch"))
    assert 0 < nothing.seconds["start"] < torch_too.seconds["start"]
    assert nothing.memory is not None
    assert 2**22 < nothing.memory < 2**27 < (torch_too.memory or 0)
    with pytest.raises(RuntimeError, match="import nothing_such"):
        start({"code": "import nothing_such"}, CPU)


# ------------------------------------------------------------------------------------------------- the plan


@pytest.fixture(scope="module")
def planned_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the plan of the tiny experiment was made, and nothing else."""
    folder = tmp_path_factory.mktemp("plan")
    done = snakemake(folder, yaml.safe_load(CONFIGS["tests"].read_text()), "results/plan.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_plan_is_made_by_the_workflow(planned_folder: Path) -> None:
    table = pd.read_csv(planned_folder / "results/plan.csv")
    rows, whole = table.iloc[:-1], table.iloc[-1]
    assert (whole["rule"], whole["jobs"]) == ("all", rows["jobs"].sum()) == ("all", 73)
    assert (rows["seconds_each"] * rows["jobs"] / 3600).tolist() == pytest.approx(
        rows["hours"].tolist(), rel=1e-4
    )
    assert rows["hours"].sum() / 2 <= whole["hours"] < rows["hours"].sum()
    assert whole["disk_mb"] == pytest.approx(rows["disk_mb"].sum(), rel=1e-4)
    assert rows["memory_mb"].max() <= whole["memory_mb"] <= 2 * rows["memory_mb"].max()
    assert table["gpu_hours"].tolist() == [0] * len(table)
    students = rows[rows["rule"] == "train_student"].set_index("what")
    assert students.index.tolist() == ["get, step 2", "get, step 4", "vit, step 3"]
    assert students["memory_mb"].between(200, 2000).all()
    text = (planned_folder / "results/plan.md").read_text()
    assert "73 jobs" in text
    assert "| train_student " in text
    assert "73 jobs" in (planned_folder / "results/logs/plan.log").read_text()
    assert not list((planned_folder / "results").glob("[!slp.]*"))  # settings, logs, plan


def test_an_edit_makes_the_plan_anew(planned_folder: Path) -> None:
    config = yaml.safe_load(CONFIGS["tests"].read_text())
    assert planned(planned_folder, config, "results/plan.csv") == []
    config["students"]["get"]["label"] = "another"
    assert planned(planned_folder, config, "results/plan.csv") == []
    config["students"]["get"]["milestones"] = [2, 4, 6]
    jobs = planned(planned_folder, config, "results/plan.csv")
    assert jobs == ["settings settings/plan.json", "plan plan.csv"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("students", None, "students is None"),
        ("data", {"name": "digits"}, "test_fraction|shape"),
        ("pairs", {}, "conditional"),
        ("features", {"extractor": "classifier"}, "classifier"),
    ],
)
def test_wrong_settings_are_named(key: str, value: Any, message: str, tiny: Config, tmp_path: Path) -> None:
    settings = tmp_path / "plan.json"
    write_json(settings, {**tiny, key: value})
    with pytest.raises(UserError, match=rf"(?s)plan\.json.*({message})"):
        make_plan(
            settings=settings,
            scripts=ROOT / "workflow/scripts",
            cores=1,
            gpus=0,
            output=tmp_path / "plan.csv",
            readable=tmp_path / "plan.md",
        )
    assert not (tmp_path / "plan.csv").exists()


def test_a_gpu_is_counted_apart() -> None:
    """Its hours, and its memory; what is not known stays empty, and is left out of sums."""
    step, begin = measure("student_step", "student"), measure("start", "student", code="")
    trained = Job("train_student", "get, step 2", "a", (), (), 5_000_000)
    outside = Job("download", "x", "b", (), None, None)
    found: Any = {begin: Found({"start": 10.0}, 300_000_000), step: Found({"step": 7190.0}, 4_000_000_000)}
    trained = replace(trained, work=(Work(step, "step", 1.0),))
    kind = {"gpu": 2, "device": "auto", "mem_mb": 32_000}
    takes = {each.name: plan._takes(each, kind, found, begin) for each in (trained, outside)}
    table = plan.table_of([trained, outside], takes, {"a": Slot(0, 7200), "b": Slot(0, 0)})
    train, download, whole = (table.iloc[row] for row in range(3))
    assert (train["hours"], train["gpu_hours"], train["memory_mb"], train["gpu_memory_mb"]) == (
        2,
        4,
        32_000,
        4000,
    )
    assert pd.isna(download["hours"])
    assert pd.isna(download["disk_mb"])
    assert (whole["hours"], whole["gpu_hours"], whole["disk_mb"]) == (2, 4, 5)
