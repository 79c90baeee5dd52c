# The config, checked: each key by the JSON schema, which also fills in defaults, and the keys together by hand.
import csv
import os

import get

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

with open(os.path.join(os.path.dirname(get.__file__), "paper/published.csv")) as file:
    PUBLISHED = [(line["table"], line["method"]) for line in csv.DictReader(file)]

# shape and number of classes of each data set
DATA_SETS = {"digits": ([1, 8, 8], 10), "cifar10": ([3, 32, 32], 10)}


def check(condition, message):
    if not condition:
        raise WorkflowError(f"Error in the config: {message}")


def check_schema():
    """An error names the key, and does not print the schema."""
    try:
        validate(config, "../schemas/config.schema.yaml")
    except WorkflowError as error:
        cause = error.__context__
        key = ".".join(str(part) for part in cause.absolute_path) or "top level"
        text = isinstance(cause.instance, str) and cause.validator == "type"
        hint = " (YAML reads 1e-4 as text; write 1.0e-4)" if text else ""
        raise WorkflowError(f"Error in the config: {key}: {cause.message}{hint}") from None


def check_data(data):
    shape, classes = DATA_SETS[data["name"]]
    check(data["shape"] == shape, f"data.shape: {data['name']} has images of shape {shape}")
    check(data["classes"] == classes, f"data.classes: {data['name']} has {classes} classes")


def check_network(network, key, size):
    levels = len(network["channel_mult"])
    check(
        size % 2 ** (levels - 1) == 0,
        f"{key}.channel_mult: an image of size {size} cannot be halved {levels - 1} times",
    )
    resolutions = [size >> level for level in range(levels)]
    for resolution in network["attention_resolutions"]:
        check(
            resolution in resolutions, f"{key}.attention_resolutions: {resolution} is none of {resolutions}"
        )


def check_pairs(pairs, key):
    check(pairs["teacher"] in config["teachers"], f"{key}.teacher: no teacher {pairs['teacher']!r}")
    check(
        config["evaluation"]["samples"] <= pairs["count"],
        f"evaluation.samples is larger than {key}.count, and the teacher is scored on its pairs",
    )
    sampler = pairs["sampler"]
    batches = -(-pairs["count"] // sampler["batch"])
    check(
        pairs["shards"] <= batches,
        f"{key}.shards: there are only {batches} batches of {sampler['batch']} pairs to share",
    )
    check(sampler["sigma_min"] < sampler["sigma_max"], f"{key}.sampler: sigma_min must be below sigma_max")


def check_student(student, key, size):
    model, steps = student["model"], student["milestones"]
    check(student["pairs"] in config["pairs"], f"{key}.pairs: no pairs {student['pairs']!r}")
    check(size % model["patch"] == 0, f"{key}.model.patch must divide the image size {size}")
    check(model["width"] % model["heads"] == 0, f"{key}.model.heads must divide {key}.model.width")
    teacher = config["teachers"][config["pairs"][student["pairs"]]["teacher"]]
    check(
        teacher["conditional"] or model["conditioning"] == "none",
        f"{key}.model.conditioning must be none: its teacher is unconditional",
    )
    check(steps == sorted(steps), f"{key}.milestones must increase")
    check(
        student.get("headline", steps[-1]) in steps,
        f"{key}.headline: {student.get('headline')} is none of its milestones {steps}",
    )


def check_row(row, key, table):
    name = row["student"]
    if "published" in row:
        found = PUBLISHED.count((f"paper {table}", row["published"]))
        known = ", ".join(sorted({method for where, method in PUBLISHED if where == f"paper {table}"}))
        check(
            found == 1,
            f"{key}.published: {row['published']!r} names {found} rows of the paper's {table}; there are {known}",
        )
    check(name in config["students"], f"{key}.student: no student {name!r}")
    steps = config["students"][name]["milestones"]
    check(
        row.get("step", steps[-1]) in steps,
        f"{key}.step: {row.get('step')} is none of the milestones {steps} of {name}",
    )


def check_comparison(name, families):
    for position, (row, family) in enumerate(zip(config["paper"].get(name, []), families)):
        student = config["students"][row["student"]]
        key = f"paper.{name}[{position}]"
        check(student["model"]["family"] == family, f"{key}.student: {row['student']} is no {family}")


def check_figure4(part, name):
    check(name in config["students"], f"paper.figure4.{part}: no student {name!r}")
    conditional = config["students"][name]["model"]["conditioning"] != "none"
    check(
        conditional == (part == "conditional"),
        f"paper.figure4.{part}: {name} is {'' if conditional else 'un'}conditional",
    )


def check_config():
    """Refuse what each key allows but the keys together do not."""
    check_data(config["data"])
    size = config["data"]["shape"][-1]
    for name, teacher in config["teachers"].items():
        check_network(teacher["network"], f"teachers.{name}.network", size)
    for name, pairs in config["pairs"].items():
        check_pairs(pairs, f"pairs.{name}")
    for name, student in config["students"].items():
        check_student(student, f"students.{name}", size)
    for part, name in config["paper"]["figure4"].items():
        check_figure4(part, name)
    for name, rows in config["paper"].items():
        for position, row in enumerate(rows if isinstance(rows, list) else []):
            check_row(row, f"paper.{name}[{position}]", name.replace("table", "table "))
    check_comparison("table4", ["vit", "get"])
    check_comparison("larger_vit", ["get", "vit"])
    evaluation = config["evaluation"]
    check(
        evaluation["scoring"]["splits"] <= evaluation["samples"],
        "evaluation.scoring.splits is larger than evaluation.samples",
    )


check_schema()
check_config()
