# Paths, resources, and what starts a training.
import json
import os
import re
import shlex
import sys
from pathlib import Path

from get import studies
from get.experiment import rivals, tuning
from get.storage.hashing import canonical_json, fingerprint

# jobs run with the Python that runs Snakemake, activated or not, and find the package in the checkout even in a
# conda environment, where it is not installed
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [str(workflow.basedir), os.getenv("PYTHONPATH")])),
)


def one_of(names):
    """A pattern of exactly these names; of none, where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


pathvars:
    results=experiment.results,


wildcard_constraints:
    student=one_of(experiment.all_students),
    teacher=one_of(experiment.teachers),
    pairs=one_of(experiment.pairs),
    seed=r"0|[1-9]\d*",
    step=r"[1-9]\d*",
    file=one_of(experiment.downloads),
    part=r"held-out|train-\d{5}",


# ----------------------------------------------------------------------------------------- resources and devices


def resources_of(kind):
    """The resources that a job of this kind asks for."""
    job = experiment.jobs[kind]
    found = {"mem_mb": job.mem_mb, "runtime": job.runtime, "gpu": job.gpu}
    if not job.gpu:  # a type that the SLURM profile sets for all jobs would ask for GPUs, none of them
        found["gpu_model"] = ""
    if job.nodes > 1:  # `mpi`: the job itself starts its tasks, one on each node (see launcher)
        found |= {"nodes": job.nodes, "tasks": job.nodes, "mpi": "srun"}
    if job.nodes > 1 and job.gpu:  # by `gpu` alone SLURM may give one node more than another
        found |= {"gres": f"gpu:{job.gpu // job.nodes}", "tasks_per_gpu": 0}
    return found


def resources_of_both(kind, other):
    """The resources that a job asks for which does the work of two kinds, one after the other."""
    ours, theirs = resources_of(kind), resources_of(other)
    return {
        **max(ours, theirs, key=lambda each: each["gpu"]),
        "mem_mb": max(ours["mem_mb"], theirs["mem_mb"]),
        "runtime": ours["runtime"] + theirs["runtime"],
    }


def threads_of(kind):
    """The threads that a job of this kind asks for."""
    return experiment.jobs[kind].threads


def all_cores(wildcards):
    """All cores that Snakemake has; where SLURM has them (and `workflow.cores` fails), what the config says."""
    on_slurm = workflow.remote_exec or workflow._cores is None
    return threads_of("costs") if on_slurm else workflow._cores


def gpu_count():
    """How many GPUs Snakemake shares among the jobs; where it counts none, as many as one job asks for."""
    gpus = workflow.global_resources.get("gpu")
    return gpus.value if gpus else max(job.gpu for job in experiment.jobs.values())


def device_of(kind):
    """Where a job of this kind computes, as a parameter: a job that was given a GPU must find one.

    It reads `resources`, so that Snakemake takes it for derived and re-runs nothing.
    """

    def device(wildcards, resources):
        wanted = experiment.device(kind)
        return "cuda" if resources.gpu and wanted == "auto" else wanted

    return device


def launcher(wildcards, input, threads, resources):
    """What starts a training job: Python, or one process per GPU, on one node or, in a job of SLURM, on several."""
    nodes = resources.get("nodes", 1) if workflow.remote_exec else 1
    if nodes == 1:
        # where the name of the machine does not lead to it, torchrun would wait for ten minutes, and fail
        local = "torchrun --standalone --local-addr localhost --nproc-per-node"
        return f"{local} {resources.gpu}" if resources.gpu > 1 else "python"
    gpus = f" --gres={resources.gres}" if resources.gpu else ""
    return (
        f"srun --nodes={nodes} --ntasks-per-node=1 --cpus-per-task={threads}{gpus} --kill-on-bad-exit=1"
        f" torchrun --nnodes {nodes} --nproc-per-node {max(1, resources.gpu // nodes)} --rdzv-backend c10d"
        # on the node that this runs on, the first; at a port of the job's own
        " --rdzv-id $SLURM_JOB_ID --rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 10000))"
    )


watching = experiment.config.trackers_with_arguments  # changes no result
watched = f"--trackers {shlex.quote(canonical_json(watching))}" if watching else ""


def check_arrays():
    """Refuse array jobs where the SLURM executor would lose some or mistake their states (docs/cluster.md)."""
    slurm = workflow.executor_settings
    if not getattr(slurm, "array_jobs", None):
        return
    at_once = workflow.resource_settings.nodes, workflow.scheduling_settings.max_jobs_per_timespan.max_jobs
    if min(at_once) < 10_000 or slurm.status_command != "squeue":
        raise WorkflowError(
            "--slurm-array-jobs also needs --jobs 10000 --slurm-status-command squeue, and max-jobs-per-timespan as"
            " profiles/slurm has it"
        )


def check_python():
    """Refuse what Snakemake cannot hand to a shell: it does not quote Python's path, and encodes as the locale says."""
    if not workflow.deployment_settings.deployment_method and re.search(
        r"[\s'\"$`\\&;()<>|]", sys.executable
    ):
        raise WorkflowError(
            f"Snakemake cannot start jobs with {sys.executable}, as its path has a space or another sign of the shell;"
            " make the environment elsewhere, for example: python3 -m venv ~/venv"
        )
    if sys.getfilesystemencoding() != "utf-8" and not canonical_json(config).isascii():
        raise WorkflowError(
            f"the config has signs beyond ASCII, and the locale is not UTF-8 but {sys.getfilesystemencoding()}; say"
            " export PYTHONUTF8=1 and the same command again"
        )


onstart:
    check_arrays()
    check_python()


# ------------------------------------------------------------------- parameters that re-run something, or nothing


def in_order(settings):
    """Settings as a parameter, in the order of their keys: another order in the config re-runs nothing."""
    return json.loads(canonical_json(settings))


def bounds(indices):
    """First and last + 1 of a range."""
    return [indices.start, indices.stop]


def origin(source):
    """Which file from outside is read, as a parameter: another one may be older than what was made of the first."""
    return fingerprint(experiment.local_copy(source))


def checksum(source):
    """What a file from outside must hash to, as a parameter that re-runs nothing: it is checked when it is read."""
    return lambda wildcards, input: source(wildcards).sha256


def ancient_once_made(wildcards, path):
    """A file that a milestone is made from: that it is newer re-runs nothing.

    While the milestone is not there yet, it is a common input. Snakemake looks at nothing below an `ancient` one that
    may be made again in the same run: it would not miss the milestone, nor what is made from it.
    """
    folder = f"{experiment.results}/students/{wildcards.student}/seed{wildcards.seed}"
    return ancient_if(f"{folder}/{wildcards.step}.safetensors", path)


def ancient_if(made, path):
    """An input that re-runs nothing once a file is made; see `ancient_once_made`."""
    return ancient(path) if os.path.exists(made) else path


def settings_of(student):
    """The settings of a student."""
    return f"{experiment.results}/settings/students/{student}.json"


def learned_from(wildcards):
    """The files that a student learns from, as objective and loss need them; see `ancient_once_made`."""
    files = experiment.learned_from(wildcards.student)
    return {name: ancient_once_made(wildcards, path) for name, path in files.items()}


def images_learned_from(wildcards):
    """The images that a student learned from, if it did from any: sampling refuses one of other images."""
    files = experiment.learned_from(wildcards.student)
    return {"images": files["images"]} if "images" in files else {}


def milestone_before(wildcards):
    """The state that training starts from, if this is not the first milestone.

    For a milestone that is made, only those count that are made: one put in between later comes too late for it.
    """
    folder = f"{experiment.results}/students/{wildcards.student}/seed{wildcards.seed}"
    milestones = experiment.all_students[wildcards.student].milestones
    steps = [step for step in milestones if step < int(wildcards.step)]
    if os.path.exists(f"{folder}/{wildcards.step}.pt") or not workflow.is_main_process:
        steps = [step for step in steps if os.path.exists(f"{folder}/{step}.pt")]
    return ancient_once_made(wildcards, f"{folder}/{steps[-1]}.pt") if steps else []


def remove_finished_states():
    """Remove the states of finished trainings, kept in case Snakemake does not take the results (`training.loop`)."""
    results = Path(experiment.results)
    for pattern in ("students/*/seed*/*", "teachers/*", "features/*"):
        for path in results.glob(f"{pattern}.unfinished.pt"):
            weights = path.with_name(path.name.replace(".unfinished.pt", ".safetensors"))
            if (
                weights.exists() and not path.with_suffix(".lock").exists()
            ):  # nobody trains it again meanwhile
                path.unlink(missing_ok=True)


def require_targets():
    """Fail where a target is missing, which Snakemake does not see below an input that `ancient_once_made` returned."""
    targets = [file for job in workflow.dag.targetjobs for file in job.output or job.input]
    if missing := [file for file in targets if not os.path.exists(file)]:
        raise WorkflowError(
            f"{missing[0]} is still to be made ({len(missing)} such files); run the same command again"
        )


# not onerror: Snakemake may not have seen yet that a job on a cluster is finished
onsuccess:
    require_targets()
    remove_finished_states()
