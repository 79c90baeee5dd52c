# Helpers of the rules: paths, what a job asks for, and the checks that a JSON schema cannot express.
import json

from get.files import fingerprint
from get.pairs.shards import HELD_OUT, shard_range
from snakemake.exceptions import WorkflowError

RESULTS = config["results"].rstrip("/")
STUDENTS, TEACHERS, PAIRS = config["students"], config["teachers"], config["pairs"]
EXTRACTOR_WEIGHTS = {
    "classifier": "<results>/features/classifier.safetensors",
    "inception": "<results>/features/inception.pth",
}[config["features"]["extractor"]]


pathvars:
    results=RESULTS,


wildcard_constraints:
    student="|".join(STUDENTS),
    teacher="|".join(TEACHERS),
    pairs="|".join(PAIRS),
    seed=r"\d+",
    step=r"\d+",
    part=r"held-out|train-\d{5}",


def check(condition, message):
    if not condition:
        raise WorkflowError(f"Error in the config: {message}")


def check_config():
    """Refuse what each key allows but the keys together do not."""
    channels, height, width = config["data"]["shape"]
    check(height == width, "data.shape: height and width must be equal")
    for name, pairs in PAIRS.items():
        check(
            pairs["teacher"] in TEACHERS,
            f"pairs.{name}.teacher: no teacher {pairs['teacher']!r}",
        )
        check(
            config["evaluation"]["samples"] <= pairs["count"],
            f"evaluation.samples is larger than pairs.{name}.count, and the teacher is scored on its pairs",
        )
        sampler = pairs["sampler"]
        check(
            sampler["sigma_min"] < sampler["sigma_max"],
            f"pairs.{name}.sampler: sigma_min must be below sigma_max",
        )
    for name, student in STUDENTS.items():
        model, key = student["model"], f"students.{name}"
        check(student["pairs"] in PAIRS, f"{key}.pairs: no pairs {student['pairs']!r}")
        check(
            height % model["patch"] == 0,
            f"{key}.model.patch must divide the image size {height}",
        )
        check(
            model["width"] % model["heads"] == 0,
            f"{key}.model.heads must divide {key}.model.width",
        )
        labelled = TEACHERS[PAIRS[student["pairs"]]["teacher"]]["conditional"]
        check(
            labelled or model["conditioning"] == "none",
            f"{key}.model.conditioning must be none: its teacher is unconditional",
        )
        steps = student["milestones"]
        check(steps == sorted(steps), f"{key}.milestones must increase")
    for part, name in config["paper"]["figure4"].items():
        check(name in STUDENTS, f"paper.figure4.{part}: no student {name!r}")
        conditional = STUDENTS[name]["model"]["conditioning"] != "none"
        check(
            conditional == (part == "conditional"),
            f"paper.figure4.{part}: {name} is {'' if conditional else 'un'}conditional",
        )


check_config()


def asks(kind):
    """What a job of this kind asks for, as resources."""
    job = config["jobs"][kind]
    return {key: job[key] for key in ("mem_mb", "runtime", "gpu")}


def threads_of(kind):
    return config["jobs"][kind]["threads"]


def as_json(path):
    """A parameter for the command line: just this part of the config, so that no other edit re-runs the job."""
    found = lookup(path, within=config)
    return lambda wildcards: json.dumps(found(wildcards) if callable(found) else found)


def pairs_identity(name):
    """Name everything that decides which pairs there are to train on; how many files hold them does not."""
    pairs = {
        key: value
        for key, value in PAIRS[name].items()
        if key not in ("shards", "held_out")
    }
    teacher = TEACHERS[pairs["teacher"]]
    return fingerprint(
        {
            "pairs": pairs,
            "teacher": teacher,
            "data": config["data"],
            "seed": config["seed"],
        }
    )


def student_pairs(wildcards):
    return STUDENTS[wildcards.student]["pairs"]


def last_milestones():
    """(student, seed, step) of every student at its last milestone."""
    return [
        (name, seed, student["milestones"][-1])
        for name, student in STUDENTS.items()
        for seed in student["seeds"]
    ]
