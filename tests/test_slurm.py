"""The workflow on a real SLURM of two nodes, which `cluster.py` starts on this machine.

All of it runs at once, for it mostly waits: Snakemake for SLURM, SLURM for the end of a time limit. GPUs are
pretended (all computes on the CPU), nodes are two daemons.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from cluster import Cluster, Job, missing, running_cluster
from conftest import ROOT
from safetensors.torch import load_file
from warm import python

from get.student.training import Inputs, train_student

VIT = "results/students/vit/seed0"
MANIFEST = "results/pairs/unconditional/manifest.json"
SETTINGS = "results/settings/students/vit.json"
PROFILE = ["--workflow-profile", str(ROOT / "profiles/slurm")]
# a small cluster without accounting, on which nobody needs to be spared
OFTEN = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
SOON = ["--max-jobs-per-timespan", "10000/2s"]  # Snakemake ends that much later
ARRAYS = ["--slurm-array-jobs", "generate_pairs", "--jobs", "10000"]
# a type of GPU for all jobs, as docs/cluster.md says that it is set
TYPED = ["--default-resources", "nodes=1", "gpu_model=toy", "--set-resources", "train_teacher:gres=gpu:toy:1"]
LIMIT = 50  # CPU seconds of training: more than a job of one minute has left, once it has begun
PATIENCE = 600


def snakemake(folder: Path, config: Path, *arguments: str) -> list[str]:
    """Return the command that runs the workflow in `folder`."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile")]
    return [*command, "--directory", str(folder), "--configfile", str(config)]


def attempt(folder: Path, config: Path, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of that command, which does not need SLURM."""
    command = [python(), *snakemake(folder, config, *arguments)[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Run:
    """The workflow on the cluster, in a copy of the prepared folder, with a milestone of the student vit."""

    def __init__(self, cluster: Cluster, prepared: Path, name: str, step: int, **student: int) -> None:
        self.cluster, self.folder = cluster, prepared.with_name(name)
        shutil.copytree(prepared, self.folder)
        config = yaml.safe_load((prepared / "config.yaml").read_text())
        config["jobs"]["student"] |= student
        config["students"]["vit"]["milestones"] = [step]
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    @property
    def jobs(self) -> list[Job]:
        return [job for job in self.cluster.jobs() if job["WorkDir"] == str(self.folder)]

    def starts(self, training: str) -> list[dict[str, Any]]:
        """Return what the journal says of each attempt at a training."""
        journal = self.folder / f"{training}.journal.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [line for line in map(json.loads, lines) if line.get("event") == "start"]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = snakemake(self.folder, self.folder / "config.yaml", *arguments, *PROFILE, *OFTEN, *SOON)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=self.cluster.environment, **pipes)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what the condition returns, once that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.5)
    return found


def finish(process: "subprocess.Popen[str]") -> str:
    try:
        output = process.communicate(timeout=PATIENCE)[0]
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


# ------------------------------------------------------------------------------------------- what is run


def table(cluster: Cluster, prepared: Path) -> tuple[Run, str, str]:
    """Make a table and, as an array job of which one task is cancelled, pairs; then nothing again."""
    run = Run(cluster, prepared, "table", step=3, gpu=2)
    targets = ["results/table6.csv", "results/pairs/conditional/manifest.json", "results/costs.json"]
    process = run.start(*targets, *ARRAYS, *TYPED)
    wait_for(
        lambda: [job for job in run.jobs if (job.get("ArrayTaskId"), job["JobState"]) == ("2", "RUNNING")]
    )
    (array,) = {job["ArrayJobId"] for job in run.jobs if "ArrayJobId" in job}
    cluster.ask("scancel", f"{array}_2")
    return run, finish(process), finish(run.start(*targets))


def interrupted(cluster: Cluster, prepared: Path, steps: int) -> tuple[Run, str]:
    """Train in jobs of one minute, of which the second that comes to train is cancelled."""
    run = Run(cluster, prepared, "interrupted", step=steps, runtime=1)
    process = run.start(f"{VIT}/{steps}.pt")
    wait_for(lambda: len(run.starts(f"{VIT}/{steps}")) == 2)
    time.sleep(2)
    cluster.ask("scancel", *(job["JobId"] for job in run.jobs if job["JobState"] == "RUNNING"))
    return run, finish(process)


def uninterrupted(prepared: Path, steps: int) -> Path:
    """Train without SLURM and at one go."""
    output = prepared.with_name("uninterrupted") / f"{steps}.pt"
    command = [sys.executable, "-m", "get", "train-student", "--settings", SETTINGS, "--manifest", MANIFEST]
    command += ["--seed", "0", "--steps", str(steps), "--threads", "1", "--output", str(output)]
    subprocess.run(command, cwd=prepared, check=True, capture_output=True)
    return output.with_suffix(".safetensors")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if absent := missing():
        message = f"no SLURM here ({', '.join(absent)}); on Debian: apt-get install slurm-wlm munge"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pairs of the student vit; what SLURM would take long to make, job after job."""
    folder = tmp_path_factory.mktemp("slurm") / "prepared"
    folder.mkdir()
    config = json.loads(json.dumps(yaml.safe_load((ROOT / "tests/config.yaml").read_text())))
    kinds = ("light", "classifier", "teacher", "pairs", "student", "sample", "score", "costs")
    config["jobs"] = {kind: {"mem_mb": 1500, "runtime": 10} for kind in kinds}
    config["jobs"]["pairs"] |= {"threads": 2, "gpu": 1}
    config["jobs"]["teacher"] |= {"nodes": 2, "gpu": 2}
    config["students"]["vit"]["training"]["ema"] = 0.9999  # forgets nothing that a restart did wrong
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    code, output = attempt(folder, folder / "config.yaml", MANIFEST, SETTINGS, "--cores", "2")
    assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def runs(cluster: Cluster, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All runs, begun."""
    begun, output = time.process_time(), tmp_path_factory.mktemp("rate") / "400.pt"
    train_student(
        settings=prepared / SETTINGS,
        inputs=Inputs(prepared / MANIFEST),
        output=output,
        seed=0,
        stop=400,
        device="cpu",
        start=None,
    )
    steps = int(LIMIT * 400 / (time.process_time() - begun))
    with ThreadPoolExecutor() as threads:
        yield {
            "table": threads.submit(table, cluster, prepared),
            "interrupted": threads.submit(interrupted, cluster, prepared, steps),
            "uninterrupted": threads.submit(uninterrupted, prepared, steps),
        }


Runs = dict[str, Future[Any]]


# ------------------------------------------------------------------------------------------- what must be so


def test_a_table_is_made(runs: Runs) -> None:
    run, _, again = runs["table"].result()
    made = pd.read_csv(run.folder / "results/table6.csv")
    assert made["method"].tolist() == ["ViT"]
    assert made["fid_train"].notna().all()
    assert "Nothing to be done" in again


def test_gpus_and_nodes_get_a_process_each(runs: Runs) -> None:
    run, _, _ = runs["table"].result()
    for training, nodes in ((f"{VIT}/3", "n[12]"), ("results/teachers/conditional", r"n\[1-2\]")):
        (start,) = run.starts(training)
        assert start["processes"] == 2  # nothing caps the number of GPUs
        (job,) = (job for job in run.jobs if f"scancel {job['JobId']} ends it" in start["process"])
        assert re.fullmatch(nodes, job["NodeList"])


def test_a_cancelled_array_task_is_submitted_again(runs: Runs) -> None:
    run, output, _ = runs["table"].result()
    states = {job["ArrayTaskId"]: job["JobState"] for job in run.jobs if "ArrayTaskId" in job}
    assert states == {"1": "COMPLETED", "2": "CANCELLED", "3": "COMPLETED"}
    assert len([job for job in run.jobs if "generate_pairs" in job["Comment"]]) == 4
    assert output.count("Trying to restart") == 1


def test_jobs_ask_for_what_the_config_says(runs: Runs) -> None:
    run, output, _ = runs["table"].result()
    asked = {}
    for job in run.jobs:
        rule = re.match(r"rule_(.+?)(_wildcards|$)", job["Comment"])[1]  # type: ignore[index]
        # to sample and to score is one job, with the minutes of both
        assert job["TimeLimit"] == ("00:20:00" if rule == "score_student" else "00:10:00")
        keys = ("NumNodes", "NumTasks", "CPUs/Task", "MinMemoryNode", "TresPerJob", "TresPerNode")
        asked[rule] = [re.sub("gres.gpu:", "", job.get(key, "")) for key in keys]
    assert asked.pop("train_teacher") == ["2", "2", "1", "1500M", "toy:2", "toy:1"]
    assert asked.pop("train_student") == ["1", "1", "1", "1500M", "toy:2", ""]
    # an array job gets a megabyte more, for the list of its tasks
    assert asked.pop("generate_pairs") in (
        ["1", "1", "2", f"{memory}M", "toy:1", ""] for memory in (1500, 1501)
    )
    assert {"train_extractor", "score_student", "table"} <= set(asked)
    assert all(each == ["1", "1", "1", "1500M", "", ""] for each in asked.values())
    assert "localrule settings" in output
    assert "settings" not in asked


def test_training_survives_its_time_limit_and_scancel(runs: Runs) -> None:
    run, output = runs["interrupted"].result()
    expected = runs["uninterrupted"].result()
    first, second, *later = run.starts(f"{VIT}/{expected.stem}")
    assert first["step"] == 0 < second["step"] < later[0]["step"]
    states = [job["JobState"] for job in run.jobs]
    assert len(states) == output.count("Trying to restart") + 1 >= 3
    assert "CANCELLED" in states
    assert states[-1] == "COMPLETED"
    ours, theirs = (load_file(path) for path in (run.folder / VIT / expected.name, expected))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_downloads_stay_on_the_head_node() -> None:
    rules = (ROOT / "workflow/rules/data.smk").read_text()
    (download,) = re.findall(r"^rule download:.*?\n\n\n", rules, re.MULTILINE | re.DOTALL)
    assert "    localrule: True\n" in download


@pytest.mark.parametrize(
    "arguments",
    [
        ["--slurm-status-command", "sacct", *ARRAYS],
        [*OFTEN, *ARRAYS, "--jobs", "100"],
        [*OFTEN, *ARRAYS, "--max-jobs-per-timespan", "100/1s"],
    ],
)
def test_array_jobs_that_would_be_lost_are_refused(arguments: list[str], tmp_path: Path) -> None:
    code, output = attempt(tmp_path, ROOT / "tests/config.yaml", *PROFILE, *arguments)
    assert code != 0
    assert "--slurm-array-jobs also needs --jobs 10000" in output


@pytest.mark.parametrize(
    ("kind", "job", "message"),
    [
        ("student", {"gpu": 3, "nodes": 2}, "jobs.student.gpu: 3 GPUs cannot be shared equally by 2 nodes"),
        ("pairs", {"gpu": 2, "nodes": 2}, "jobs.pairs.nodes must be 1"),
    ],
)
def test_nodes_that_cannot_be_are_refused(
    kind: str, job: dict[str, int], message: str, tmp_path: Path
) -> None:
    config = yaml.safe_load((ROOT / "tests/config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "jobs": {kind: job}}))
    code, output = attempt(tmp_path, tmp_path / "config.yaml", "--dry-run", "--cores", "1")
    assert code != 0
    assert message in output
