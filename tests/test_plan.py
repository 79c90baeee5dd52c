"""The plan: its numbers of jobs against Snakemake's, its stages, its measuring, its sizes, and its files."""

import copy
import heapq
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from conftest import DISTILLATION, NETWORK, ROOT
from fabricate import edm_pickle
from miniature import mini_config
from test_workflow import Config, planned, snakemake

from get.costs import plan, units
from get.costs.measure import REPEATS, WARM_UP
from get.costs.plan import Demand, make_plan, stage_memory, stage_seconds, too_large
from get.costs.start import MODULES
from get.costs.timing import Timing, timing
from get.costs.units import UNITS, Cost
from get.experiment import Experiment, load
from get.experiment.counts import COSTS_CALLS, RULES, Count, Unit, Work, counts, rival_counts
from get.networks.denoiser import build
from get.networks.published import network_in
from get.runtime.seeding import classes_of
from get.sampling.files import new_samples
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student.models import parameter_count
from get.student.objective import Distillation
from get.studies import load_experiment
from get.training.state import State

CPU = torch.device("cpu")
CONFIGS = {
    "default": ROOT / "config.yaml",
    "tests": ROOT / "tests/config.yaml",
    "cifar10": ROOT / "workflow/config/cifar10.yaml",
    "photos": ROOT / "workflow/config/photos.yaml",
    "digits-long": ROOT / "workflow/config/digits-long.yaml",
    "cifar10-day": ROOT / "workflow/config/cifar10-day.yaml",
}


@pytest.fixture(scope="module")
def tiny(config: Config) -> Experiment:
    return load(config)


# ------------------------------------------------------------------------------------------------- jobs


def dry_run(folder: Path, config: Config | Path, target: str = "all") -> dict[str, int]:
    """Return how many jobs of each rule Snakemake would run for all results, or the rivals."""
    done = snakemake(folder, config, target, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule not in (target, "total")}


@pytest.mark.parametrize("name", [*CONFIGS, "miniature", "objectives"])
def test_the_jobs_are_those_of_snakemake(
    name: str, with_objectives: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where students are disabled, or imported, learn from images, and where nothing is downloaded."""
    config = CONFIGS.get(name) or (mini_config() if name == "miniature" else with_objectives)
    for path in re.findall(r"path: ([^,}\s]+)", (ROOT / "workflow/config/cifar10-mini.yaml").read_text()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.chdir(tmp_path)
    experiment = load(yaml.safe_load(config.read_text()) if isinstance(config, Path) else config)
    found: Counter[str] = Counter()
    for count in counts(experiment):
        found[count.rule] += count.jobs
    assert found == dry_run(tmp_path, config)
    assert load(experiment.config.settings()).config == experiment.config  # as settings/plan.json has it


SHARED = {  # which the plan of the experiment counts
    "download", "make_data", "import_extractor", "train_extractor", "reference_statistics", "import_teacher",
    "train_teacher", "generate_pairs", "make_manifest",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ("digits-long", "cifar10-day")])
def test_the_jobs_of_rivals_are_those_of_snakemake(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: Counter[str] = Counter()
    for count in rival_counts(load_experiment(yaml.safe_load(CONFIGS[name].read_text()))):
        found[count.rule] += count.jobs
    planned = dry_run(tmp_path, CONFIGS[name], "rivals")
    assert found == {rule: jobs for rule, jobs in planned.items() if rule not in SHARED}


def test_teachers_with_few_evaluations_are_counted(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    teachers = [{"name": "euler", "num_steps": 1}, {"num_steps": 2}, {"name": "dpm", "num_steps": 3}]
    edited = {**config, "evaluation": {**config["evaluation"], "teachers": teachers}}
    experiment = load(edited)
    assert list(experiment.few_evaluations) == ["euler-1", "heun-3", "dpm-3"]
    found: Counter[str] = Counter()
    for count in counts(experiment):
        found[count.rule] += count.jobs
    assert found == dry_run(tmp_path, edited)
    assert amount(count_of(experiment, "few_evaluations", "conditional, heun-3"), "image") == 60


def count_of(experiment: Experiment, rule: str, what: str) -> Count:
    (found,) = [each for each in counts(experiment) if (each.rule, each.what) == (rule, what)]
    return found


def amount(count: Count, name: str) -> float:
    return sum(work.amounts.get(name, 0) for work in count.work or ())


def test_a_milestone_is_as_long_as_the_steps_since_the_one_before(tiny: Experiment) -> None:
    first, second = (count_of(tiny, "train_student", f"get, step {step}") for step in (2, 4))
    assert [amount(count, "step") for count in (first, second)] == [2, 2]
    assert first.chain == second.chain == "get"


def test_the_headline_is_sampled_and_scored_with_more_iterations(config: Config) -> None:
    evaluation = {**config["evaluation"], "iterations": [1, 2, 5]}
    experiment = load({**config, "evaluation": evaluation})
    for step, iterations, variants in ((2, 2, 2), (4, 5, 4)):
        # 20 samples and 10 held-out pairs
        scored = count_of(experiment, "score_student", f"get, step {step}")
        assert amount(scored, "iteration") == 30 * iterations
        assert amount(scored, "variant") == variants
    assert amount(count_of(experiment, "score_student", "vit, step 3"), "variant") == 1


@pytest.mark.parametrize(("unit", "name"), [("student_step", "vit"), ("teacher_step", "unconditional")])
def test_gpus_share_the_batch(config: Config, unit: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def record(state: Any, held: Any, loss: Any, options: Any, device: torch.device) -> Cost:
        batches.append(options.batch)
        return Cost({"step": 0})

    monkeypatch.setattr(units, "training_step", record)
    experiment = load({**config, "jobs": {kind: {"gpu": 4} for kind in ("student", "teacher")}})
    batches: list[int] = []
    for there in (0, 2, 8):
        UNITS[unit](experiment, name, there, CPU)
    assert batches == [batches[0], batches[0] // 2, batches[0] // 4]


def test_an_imported_teacher_is_as_its_file_says(edit: Callable[..., Config], tmp_path: Path) -> None:
    described = {**NETWORK, "channels": 1, "size": 8, "classes": 10, "channel_mult": [1, 2]}
    path = edm_pickle(tmp_path / "snapshot.pkl", described)
    url = "https://example.org/edm-ffhq-64x64-uncond-ve.pkl"
    by_name = {**network_in("edm-ffhq-64x64-uncond-ve.pkl"), "channels": 1, "size": 8, "classes": 10}
    for source, network in (({"path": str(path)}, described), ({"url": url}, by_name)):
        imported = edit({"conditional": True, "source": source}, "teachers", "conditional")
        with torch.device("meta"):
            found, wanted = units.teacher_of(load_experiment(imported), "conditional"), build(network)
        assert found.state_dict().keys() == wanted.state_dict().keys()
        assert parameter_count(found) == parameter_count(wanted)


def test_a_batch_in_parts_is_timed_in_parts(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the timed sizes, too; and costs are those of a batch at once."""
    parts: list[list[int]] = []
    real = units.RandomTraining.loss

    def loss(self: Any, forward: Any, step: int, rows: slice) -> Any:
        parts[-1].append(rows.stop - rows.start)
        return real(self, forward, step, rows)

    def timed(call: Any, full: int, device: torch.device, least: int) -> Timing:
        for count in (least, full):
            parts.append([])
            call(count)
        return Timing(0.0, 1.0, 0.5)

    monkeypatch.setattr(units.RandomTraining, "loss", loss)
    monkeypatch.setattr(units, "timing", timed)
    config = copy.deepcopy(config)
    config["students"]["vit"]["training"]["accumulate"] = 4
    experiment = load(config)
    UNITS["student_step"](experiment, "vit", 0, CPU)
    UNITS["whole_step"](experiment, "vit", 0, CPU)
    assert parts == [[1] * 4, [4] * 4, [1], [16]]


def test_costs_are_of_whole_batches_without_checkpointing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(state: Any, held: Any, loss: Any, options: Any, device: torch.device) -> Cost:
        taken.append((options.batch, options.keys.get("checkpointing", False)))
        return Cost({"step": 0})

    monkeypatch.setattr(units, "training_step", record)
    training = {**config["students"]["get"]["training"], "checkpointing": True}
    students = {name: {**config["students"]["get"], "training": training} for name in ("get", "same")}
    students = {**config["students"], **students}
    experiment = load({**config, "students": students, "jobs": {"student": {"gpu": 2}}})
    work = [work.unit for work in count_of(experiment, "costs", "all students").work or ()]
    assert [unit for unit in work if unit.of in ("get", "same")] == [
        Unit("whole_step", "student", "get"),
        Unit("sampling", "sample", "get"),
    ]
    taken: list[tuple[int, bool]] = []
    UNITS["whole_step"](experiment, "get", 2, CPU)
    assert taken == [(training["batch"], False)]
    plain = count_of(load(config), "costs", "all students").work or ()
    assert {work.unit.name for work in plain} == {"student_step", "sampling"}


def test_costs_call_each_as_often_as_planned() -> None:
    assert COSTS_CALLS == WARM_UP + REPEATS + 1


def test_every_kind_of_job_has_its_start_and_every_unit_its_function(tiny: Experiment) -> None:
    assert {"settings", *(kind for kind, _ in RULES.values())} == MODULES.keys()
    assert {work.unit.name for count in counts(tiny) for work in count.work or ()} <= UNITS.keys()


# ------------------------------------------------------------------------------------------------- sizes


def near(real: Path) -> Any:
    """The size of a file, but for headers."""
    return pytest.approx(real.stat().st_size, rel=0.05, abs=8000)


def test_checkpoints_are_as_large_as_planned(config: Config, tmp_path: Path) -> None:
    student = config["students"]["get"]
    wide = {**student, "model": {**student["model"], "width": 64}}
    experiment = load({**config, "students": {**config["students"], "get": wide}})
    network = units.student_of(experiment, "get")
    state = State(network, Distillation.read(DISTILLATION, "training"), "")
    for parameter in state.parameters:
        parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step(0.1)
    state.save(tmp_path / "4.pt")
    write_weights(tmp_path / "4.safetensors", "student", state.ema_weights(), {})
    weights = units.sampling(experiment, "get", 0, CPU).disk
    assert weights == near(tmp_path / "4.safetensors")
    step = units.student_step(experiment, "get", 0, CPU)
    assert step.disk - weights == near(tmp_path / "4.pt")
    assert step.memory is not None
    assert step.memory > weights


def test_pairs_and_samples_are_as_large_as_planned(tiny: Experiment, pairs: Path, tmp_path: Path) -> None:
    shard = count_of(tiny, "generate_pairs", "conditional, train").disk  # 20 of the same shape
    assert 6 * shard == near(pairs.parent / "train-00000.h5")
    labels, variants = classes_of(range(2000), 10), ["lowest-residual-2", "last-2"]
    with new_samples(tmp_path / "4.h5", variants, labels, [1, 8, 8]) as file:
        for images in file.variants.values():
            images[:] = 0
    samples = count_of(tiny, "score_student", "get, step 4").disk  # 20 of them
    assert 100 * samples == near(tmp_path / "4.h5")


# ------------------------------------------------------------------------------------------------- stages


def demand(count: Count, seconds: float) -> Demand:
    return Demand(count, seconds, 0, 10.0, plan.UNKNOWN, 0, at_once=2)


def test_a_student_is_scored_with_what_sampling_and_scoring_ask_for(config: Config) -> None:
    jobs = {"sample": {"threads": 4, "gpu": 1, "mem_mb": 500}, "score": {"threads": 2, "mem_mb": 700}}
    experiment = load({**config, "device": "auto", "jobs": jobs})
    student, teacher = Count("score_student", "get, step 2"), Count("score", "real")
    costs = {plan.start_of(student): Cost({"start": 1.0})}
    found = [plan.demand(each, costs, experiment, 8, 2) for each in (student, teacher)]
    assert [(each.at_once, each.gpus, each.memory) for each in found] == [(2, 1, 700e6), (4, 0, 700e6)]


def test_a_stage_takes_its_work_or_its_longest_chain() -> None:
    pairs = demand(Count("generate_pairs", "train", jobs=4), 3)
    assert stage_seconds([pairs]) == 6
    chain = [demand(Count("train_student", f"get, step {n}", jobs=2, chain="get"), n) for n in (1, 2, 5)]
    assert stage_seconds(chain) == 8
    assert stage_seconds([pairs, *chain]) == 14
    assert stage_seconds([replace(each, at_once=100) for each in chain]) == 8
    assert stage_seconds([demand(Count("download", "x"), plan.UNKNOWN)]) == 0


@pytest.mark.parametrize("gpus", [1, 3, 8])
def test_a_stage_is_as_long_as_its_jobs_in_turn(gpus: int) -> None:
    """Where jobs are many, or one chain is long, the estimate is near what a list of jobs in turn takes."""
    draw = random.Random(gpus)
    chains = {f"s{n}": [draw.uniform(1, 9) for _ in range(5)] for n in range(20)}
    stage = [
        replace(demand(Count("train_student", f"{name}, {k}", chain=name), seconds), at_once=gpus)
        for name, parts in chains.items()
        for k, seconds in enumerate(parts)
    ]
    # The first GPU that is free takes the next job of the longest chain of which none runs
    now, running, left = 0.0, list[tuple[float, str]](), {name: list(parts) for name, parts in chains.items()}
    while running or any(left.values()):
        busy = {name for _, name in running}
        for name in sorted((name for name in left if left[name]), key=lambda name: -sum(left[name])):
            if len(running) < gpus and name not in busy:
                heapq.heappush(running, (now + left[name].pop(0), name))
        now, _ = heapq.heappop(running)
    assert stage_seconds(stage) <= now + 1e-9
    assert now <= 1.1 * stage_seconds(stage)


def test_other_numbers_of_gpus(config: Config) -> None:
    experiment = load({**config, "device": "auto", "jobs": {"student": {"gpu": 1}, "pairs": {"gpu": 1}}})
    step, image = Unit("student_step", "student", "get"), Unit("pairs", "pairs", "pairs")
    jobs = [Count("generate_pairs", "train", jobs=16, work=(Work(image, {"image": 1}),))]
    jobs += [Count("train_student", "get", work=(Work(step, {"step": 1}),), chain="get")]
    costs = {plan.start_of(count): Cost({"start": 0.0}) for count in jobs}
    costs |= {image: Cost({"image": 900.0}), step: Cost({"step": 3600.0})}
    lines = plan.by_gpus(jobs, costs, experiment, 8).splitlines()[2:]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    # four hours of pairs are shared out, the hour of the one student is not
    assert found == [
        ["1", "5", "0%"],
        ["2", "3", "17%"],
        ["4", "2", "38%"],
        ["8", "1.5", "58%"],
        ["16", "1.25", "75%"],
    ]


def test_a_job_that_asks_for_too_little_memory_is_named(tiny: Experiment) -> None:
    asked = tiny.jobs["student"].mem_mb
    small, large = (
        replace(demand(Count("train_student", what), 1), memory=part * asked * 1e6)
        for what, part in (("vit", 0.9), ("get", 1.5))
    )
    assert list(too_large([small], tiny)) == []
    (text,) = too_large([small, large], tiny)
    assert text.startswith(
        f"train_student of get takes {1.5 * asked:,.0f} MB, and jobs.student.mem_mb is {asked:,}"
    )


def test_memory_is_that_of_the_jobs_side_by_side() -> None:
    assert stage_memory([demand(Count("score", "a", jobs=3), 1)]) == 20
    assert stage_memory([demand(Count("score", "a"), 1)]) == 10


# ------------------------------------------------------------------------------------------------- measuring


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still but for what it is told."""
    now = [0.0]
    monkeypatch.setattr("get.costs.timing.time.perf_counter", lambda: now[0])

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


def test_a_very_slow_call_is_the_only_one(clock: Callable[[float], None]) -> None:
    calls: list[int] = []
    found = timing(lambda count: (calls.append(count), clock(5.0)), 128, CPU)
    assert (found.seconds, found.share, calls) == (pytest.approx(640), 1 / 128, [1])


def test_the_first_call_is_apart(clock: Callable[[float], None]) -> None:
    """A compiled model is compiled in it, once in each job."""
    calls = iter([30.0])
    found = timing(lambda count: clock(next(calls, 0.1)), 64, CPU, least=64)
    assert (found.first, found.seconds) == (pytest.approx(29.9), pytest.approx(0.1))


def test_too_little_memory_leaves_the_rest(tiny: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Cost:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setitem(UNITS, "sampling", fail)
    assert units.measured(Unit("sampling", "sample", "get"), tiny, 1, 0) is None
    found = counts(tiny)
    costs: dict[Unit, Cost | None] = {plan.start_of(each): Cost({"start": 1.0}) for each in found}
    seconds = dict.fromkeys(("step", "first", "image", "variant", "headline"), 1.0)
    for each in found:
        for work in each.work or ():
            costs[work.unit] = None if work.unit.name == "sampling" else Cost(seconds, disk=5)
    student, sampled = (count_of(tiny, rule, "vit, step 3") for rule in ("train_student", "score_student"))
    known, unknown = (plan.demand(each, costs, tiny, 2, 0) for each in (student, sampled))
    assert (known.seconds, known.disk) == (1 + 3 + 1, 5)
    assert pd.isna(unknown.seconds)
    assert unknown.disk == sampled.disk


def test_starting_is_measured() -> None:
    settings, training = (UNITS["start"](None, process, 0, CPU) for process in ("settings", "student"))
    assert 0 < settings.seconds["start"] < training.seconds["start"]
    assert 2**22 < (settings.memory or 0) < 2**27 < (training.memory or 0)


# ------------------------------------------------------------------------------------------------- the plan


@pytest.fixture(scope="module")
def planned_folder(hasty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the plans of the tiny experiment and its rivals were made, and nothing else."""
    folder = tmp_path_factory.mktemp("plan")
    plans = "results/plan.csv", "results/rivals/plan.csv"
    done = snakemake(folder, yaml.safe_load(CONFIGS["tests"].read_text()), *plans, project=hasty)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_plan_is_made_by_the_workflow(planned_folder: Path) -> None:
    table = pd.read_csv(planned_folder / "results/plan.csv")
    rows, whole = table.iloc[:-1], table.iloc[-1]
    assert (whole["rule"], whole["jobs"]) == ("all", rows["jobs"].sum()) == ("all", 70)
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
    assert "70 jobs" in text
    assert "| train_student " in text
    assert "70 jobs" in (planned_folder / "results/logs/plan.log").read_text()


def test_the_plan_of_the_rivals(planned_folder: Path) -> None:
    table = pd.read_csv(planned_folder / "results/rivals/plan.csv")
    rows, whole = table.iloc[:-1], table.iloc[-1]
    assert (whole["rule"], whole["jobs"]) == ("all", rows["jobs"].sum())
    assert rows["seconds_each"].gt(0).all()
    students = rows[rows["rule"] == "train_student"].set_index("what")["jobs"]
    assert students.to_dict() == {
        "rival-get-conditional-try1000, step 2": 1, "rival-get-conditional-try3000, step 2": 1,
        "rival-get-conditional, step 2": 2, "rival-get-conditional, step 4": 2,
        "rival-ect-conditional-try1000, step 2": 1, "rival-ect-conditional-try3000, step 2": 1,
        "rival-ect-conditional-at500, step 2": 2, "rival-ect-conditional-at1000, step 4": 2,
    }  # fmt: skip
    scored = rows[rows["rule"].str.startswith("score_rival")]
    assert scored.groupby("what")["jobs"].sum().to_dict() == students.to_dict()
    kept = scored.set_index("rule")["disk_mb"].groupby("rule").sum()
    assert kept["score_rival"] > kept["score_rival_alone"] == 0  # samples of the first seed are shown
    assert not list((planned_folder / "results").glob("[!slpr.]*"))  # settings, logs, plans


def test_an_edit_makes_the_plan_anew(planned_folder: Path) -> None:
    config = yaml.safe_load(CONFIGS["tests"].read_text())
    assert planned(planned_folder, config, "results/plan.csv") == []
    config["students"]["get"]["milestones"] = [2, 4, 6]
    jobs = planned(planned_folder, config, "results/plan.csv")
    assert jobs == ["settings settings/plan.json", "plan plan.csv"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("students", None, "students: .*None"),
        ("data", {"shape": [1, 8, 8]}, "data.name is missing"),
        ("pairs", {}, "pairs"),
        ("features", {"extractor": "classifier"}, "features.classifier is missing"),
    ],
)
def test_wrong_settings_are_named(key: str, value: Any, message: str, config: Config, tmp_path: Path) -> None:
    settings = tmp_path / "plan.json"
    write_json(settings, {**config, key: value})
    with pytest.raises(UserError, match=rf"(?s)plan\.json.*({message})"):
        make_plan(
            settings=settings,
            cores=1,
            gpus=0,
            output=tmp_path / "plan.csv",
            readable=tmp_path / "plan.md",
        )
    assert not (tmp_path / "plan.csv").exists()


def test_a_gpu_is_counted_apart(config: Config) -> None:
    """Its hours, and its memory; what is not known stays empty, and is left out of sums."""
    experiment = load({**config, "device": "auto", "jobs": {"student": {"gpu": 2, "mem_mb": 32_000}}})
    step = Unit("student_step", "student", "get")
    trained = Count("train_student", "get, step 2", work=(Work(step, {"step": 2}),))
    outside = Count("download", "x", work=None)
    start = Cost({"start": 10.0}, 300_000_000)
    costs = {plan.start_of(trained): start, plan.start_of(outside): start}
    costs[step] = Cost({"step": 3595.0}, 4_000_000_000, disk=5_000_000)
    train, download, whole = plan.plan_table(
        [plan.demand(count, costs, experiment, 8, 2) for count in (trained, outside)]
    ).itertuples()
    assert (train.hours, train.gpu_hours, train.memory_mb, train.gpu_memory_mb) == (2, 4, 32_000, 4000)
    assert pd.isna(download.hours)
    assert pd.isna(download.disk_mb)
    assert (whole.hours, whole.gpu_hours, whole.disk_mb) == (2, 4, 5)
    assert plan.demand(trained, costs, experiment, 8, 8).at_once == 4
