# Helpers of the rules: paths, settings as parameters, and what depends on what.
import json
import os
import re
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

from get.storage.hashing import canonical_json, fingerprint
from get.pairs.shards import HELD_OUT, shard_range

# jobs run with the Python that runs Snakemake, activated or not, and find the package in the checkout even in a
# conda environment, where it is not installed
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.getenv("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [str(workflow.basedir), os.getenv("PYTHONPATH")])),
)

RESULTS = os.path.normpath(config["results"])
TEACHERS = config["teachers"]
STUDENTS = {name: student for name, student in config["students"].items() if "disabled" not in student}
# with those that `snakemake studies` adds, which no table or figure of the paper shows
PAIRS, ALL_STUDENTS = config["pairs"] | STUDIED_PAIRS, STUDENTS | STUDIED
IMPORTED_TEACHERS = [name for name, teacher in TEACHERS.items() if "source" in teacher]
IMPORTED_STUDENTS = [name for name, student in STUDENTS.items() if "import" in student]
EXTRACTOR_WEIGHTS = {
    "classifier": "<results>/features/classifier.safetensors",
    "inception": "<results>/features/inception.pth",
}[config["features"]["extractor"]]


# files from outside, by the name under which they are downloaded
DOWNLOADS = {
    os.path.basename(source["url"]): source for source in sources(config).values() if not source["path"]
}


pathvars:
    results=RESULTS,


wildcard_constraints:
    student="|".join(ALL_STUDENTS),
    teacher="|".join(TEACHERS),
    pairs="|".join(PAIRS),
    seed=r"0|[1-9]\d*",
    step=r"[1-9]\d*",
    file="|".join(map(re.escape, DOWNLOADS)),
    part=r"held-out|train-\d{5}",


def check_arrays():
    """Refuse array jobs where the SLURM executor would lose some or mistake their states (docs/cluster.md)."""
    settings = workflow.executor_settings
    if not getattr(settings, "array_jobs", None):
        return
    at_once = workflow.resource_settings.nodes, workflow.scheduling_settings.max_jobs_per_timespan.max_jobs
    if min(at_once) < 10_000 or settings.status_command != "squeue":
        raise WorkflowError(
            "--slurm-array-jobs also needs --jobs 10000 --slurm-status-command squeue, and max-jobs-per-timespan as"
            " profiles/slurm has it"
        )


onstart:
    check_arrays()


def asks(kind):
    """What a job of this kind asks for, as resources."""
    job = config["jobs"][kind]
    asked = {key: job[key] for key in ("mem_mb", "runtime", "gpu")}
    nodes = job["nodes"]
    if not job["gpu"]:  # a type that the SLURM profile sets for all jobs would ask for GPUs, none of them
        asked["gpu_model"] = ""
    if nodes > 1:  # `mpi`: the job itself starts its tasks, one on each node (see launcher)
        asked |= {"nodes": nodes, "tasks": nodes, "mpi": "srun"}
    if nodes > 1 and job["gpu"]:  # by `gpu` alone SLURM may give one node more than another
        asked |= {"gres": f"gpu:{job['gpu'] // nodes}", "tasks_per_gpu": 0}
    return asked


def threads_of(kind):
    """How many threads a job of this kind asks for."""
    return config["jobs"][kind]["threads"]


def cores_here(wildcards):
    """All cores that Snakemake has; where SLURM has them (and `workflow.cores` fails), what the config says."""
    on_slurm = workflow.remote_exec or workflow._cores is None
    return threads_of("costs") if on_slurm else workflow._cores


def computes_on(kind):
    """Where a job of this kind computes: without a GPU of its own, on the CPU."""
    return config["device"] if config["jobs"][kind]["gpu"] else "cpu"


def device_of(kind):
    """The same as a parameter: a job that was given a GPU must find one.

    It reads `resources`, so that Snakemake takes it for derived and re-runs nothing.
    """

    def device(wildcards, resources):
        must = resources.gpu and computes_on(kind) == "auto"
        return "cuda" if must else computes_on(kind)

    return device


def one_of(names):
    """A pattern of exactly these names; of none, where there are none."""
    return "|".join(names) or "(?!)"


def local_copy(source):
    """A file from outside: where the config says that it lies, or else where it is downloaded to."""
    return source["path"] or f"{RESULTS}/inputs/{os.path.basename(source['url'])}"


def origin(source):
    """Which file from outside is read, as a parameter: another one may be older than what was made of the first."""
    return fingerprint(local_copy(source))


def checksum(source):
    """What a file from outside must hash to, as a parameter that re-runs nothing: it is checked when it is read."""
    return lambda wildcards, input: source(wildcards)["sha256"]


def launcher(wildcards, input, threads, resources):
    """What starts a training job: Python, or one process per GPU, on one node or, in a job of SLURM, on several."""
    nodes = resources.get("nodes", 1) if workflow.remote_exec else 1
    if nodes == 1:
        return f"torchrun --standalone --nproc-per-node {resources.gpu}" if resources.gpu > 1 else "python"
    gpus = f" --gres={resources.gres}" if resources.gpu else ""
    return (
        f"srun --nodes={nodes} --ntasks-per-node=1 --cpus-per-task={threads}{gpus} --kill-on-bad-exit=1"
        f" torchrun --nnodes {nodes} --nproc-per-node {max(1, resources.gpu // nodes)} --rdzv-backend c10d"
        # on the node that this runs on, the first; at a port of the job's own
        " --rdzv-id $SLURM_JOB_ID --rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 10000))"
    )


def prefetch(wildcards, input):
    """How many batches a training job prepares ahead, as a parameter that re-runs nothing."""
    return ALL_STUDENTS[wildcards.student]["training"]["prefetch"]


def as_json(path):
    """A parameter that is just this part of the config, as text: no other edit, and no order of keys, re-runs."""

    def part(wildcards):  # `lookup` does the same, but takes milliseconds
        return canonical_json(reduce(getitem, path.format(**dict(wildcards.items())).split("/"), config))

    return part


def part_of_config(path):
    """The same as a value, for scripts."""
    text = as_json(path)
    return lambda wildcards: json.loads(text(wildcards))


def pairs_identity(name):
    """Name everything that decides which pairs there are to train on; how many files hold them does not."""
    pairs = {key: value for key, value in PAIRS[name].items() if key not in ("shards", "held_out")}
    made = {"pairs": pairs, "teacher": TEACHERS[pairs["teacher"]], "data": config["data"]}
    for name, part in made.items():
        if "source" in part:  # by its name, wherever it comes from: the shards name its content
            made[name] = {**part, "source": os.path.basename(local_copy(part["source"]))}
    return fingerprint({**made, "seed": config["seed"]})


def sampler_of(wildcards):
    """The settings of a sampler, as a parameter that no order of keys changes."""
    return json.loads(canonical_json(PAIRS[wildcards.pairs]["sampler"]))


def part_indices(wildcards):
    """First and last + 1 of the pair indices of one part."""
    pairs = PAIRS[wildcards.pairs]
    if wildcards.part == "held-out":
        return [HELD_OUT, HELD_OUT + pairs["held_out"]]
    shard = int(wildcards.part.removeprefix("train-"))
    check(
        shard < pairs["shards"],
        f"pairs.{wildcards.pairs}.shards is {pairs['shards']}: no shard {shard}",
    )
    indices = shard_range(shard, pairs["shards"], pairs["count"], pairs["sampler"]["batch"])
    return [indices.start, indices.stop]


def parts(wildcards):
    """The files of a set of pairs."""
    names = [f"train-{shard:05d}" for shard in range(PAIRS[wildcards.pairs]["shards"])] + ["held-out"]
    return expand("<results>/pairs/{pairs}/{part}.h5", pairs=wildcards.pairs, part=names)


def student_pairs(wildcards):
    """The name of the pairs that a student learns from."""
    return ALL_STUDENTS[wildcards.student]["pairs"]


def settings_of(wildcards):
    """What a settings file says: see workflow/rules/settings.smk."""
    kind, *names = wildcards.settings.split("/")
    name = names[0] if names else ""
    if kind == "students":
        student = ALL_STUDENTS[name]
        content = {"model": student["model"]}
        content["training"] = {key: value for key, value in student["training"].items() if key != "prefetch"}
        content["pairs"] = pairs_identity(student["pairs"])
    elif kind == "paper":
        content = shown_in(name)
    elif kind == "studies":
        content = shown_in_study(name)
    elif kind == "studies-sampling":
        content = sampling_of_study(name)
    elif kind == "costs":
        content = {"students": {name: costs_settings(student) for name, student in STUDENTS.items()}}
        content["evaluation"] = {
            key: config["evaluation"][key] for key in ("batch", "iterations", "precision")
        }
        content["threads"], content["device"] = threads_of("student"), computes_on("costs")
    elif kind == "sampling":
        content = {key: config["evaluation"][key] for key in ("batch", "precision", "samples")}
        # over iterations at the headline milestone alone: there figures and claims look
        swept = (
            name in STUDENTS and int(names[1]) == headline(name) and "iterations" in STUDENTS[name]["model"]
        )
        content["iterations"] = config["evaluation"]["iterations"] if swept else []
    elif kind == "scoring":
        content = config["evaluation"]["scoring"]
    elif kind == "plan":
        content = plan_settings()
    return canonical_json(content)


def costs_settings(student):
    """The part of a student's settings that decides what it costs."""
    channels, size, _ = config["data"]["shape"]
    teacher = TEACHERS[PAIRS[student["pairs"]]["teacher"]]
    classes = config["data"]["classes"] if teacher["conditional"] else 0
    training = {key: student["training"][key] for key in ("batch", "clip", "compile", "precision")}
    model = {**student["model"], "channels": channels, "size": size, "classes": classes}
    return {"model": model, "training": training}


def plan_settings():
    """All that decides which jobs there are, and what they take."""
    asked = {
        kind: {key: job[key] for key in ("threads", "mem_mb", "gpu")} | {"device": computes_on(kind)}
        for kind, job in config["jobs"].items()
    }
    students = {
        name: {key: student[key] for key in ("pairs", "model", "training", "milestones", "seeds")}
        | {"headline": headline(name), "imported": "import" in student}
        for name, student in STUDENTS.items()
    }
    return {
        **{key: config[key] for key in ("data", "features", "teachers", "pairs", "evaluation")},
        "students": students,
        "jobs": asked,
        "downloads": {
            key: os.path.basename(source["url"])
            for key, source in sources(config).items()
            if not source["path"]
        },
        "shown": {
            "table": [f"table{number}" for number in TABLES],
            "figure": FIGURES,
            "figure4": GRIDS,
            "same_noise": SAME_NOISE,
            "reproduction": ["reproduction"],
            "summary": ["summary"],
        },
    }


def gpus_here():
    """How many GPUs Snakemake shares among the jobs; where it counts none, as many as one job asks for."""
    gpus = workflow.global_resources.get("gpu")
    return gpus.value if gpus else max(job["gpu"] for job in config["jobs"].values())


def student_manifest(wildcards):
    """The manifest of a student's pairs; that it is newer re-runs nothing."""
    return ancient(f"<results>/pairs/{student_pairs(wildcards)}/manifest.json")


def milestone_before(wildcards):
    """The state that training starts from, if this is not the first milestone; that it is newer re-runs nothing.

    For a milestone that is made, only those count that are made: one put in between later comes too late for it.
    """
    folder = f"{RESULTS}/students/{wildcards.student}/seed{wildcards.seed}"
    steps = [step for step in ALL_STUDENTS[wildcards.student]["milestones"] if step < int(wildcards.step)]
    if os.path.exists(f"{folder}/{wildcards.step}.pt") or not workflow.is_main_process:
        steps = [step for step in steps if os.path.exists(f"{folder}/{step}.pt")]
    return ancient(f"{folder}/{steps[-1]}.pt") if steps else []


def forget_finished_states():
    """Remove the second names of finished states, which they had for the case that Snakemake dies."""
    for path in Path(RESULTS).glob("students/*/seed*/*.unfinished.pt"):
        finished = path.with_name(path.name.replace(".unfinished", ""))
        if finished.exists() and finished.samefile(path):
            path.unlink(missing_ok=True)


# not onerror: Snakemake may not have seen yet that a job on a cluster is finished
onsuccess:
    forget_finished_states()
