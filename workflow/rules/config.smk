# The config, checked: each key by the JSON schema, which also fills in defaults, and the keys together by hand.
import csv
import math
import os
from contextlib import contextmanager

import get
from get.data import sets
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.student import architectures

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

PUBLISHED_CSV = os.path.join(os.path.dirname(get.__file__), "paper/published.csv")
PUBLISHED_HASH = sha256(PUBLISHED_CSV)
with open(PUBLISHED_CSV) as file:
    PUBLISHED = [(line["table"], line["method"]) for line in csv.DictReader(file)]


def check(condition, message):
    if not condition:
        raise WorkflowError(f"Error in the config: {message}")


@contextmanager
def named():
    """Errors of the package, which name the key, as errors of the config."""
    try:
        yield
    except UserError as error:
        check(False, error)


def check_schema():
    """An error names the key, and does not print the schema."""
    try:
        validate(config, "../schemas/config.schema.yaml")
    except WorkflowError as error:
        cause = error.__context__
        key = ".".join(str(part) for part in cause.absolute_path) or "top level"
        text = isinstance(cause.instance, str) and cause.validator == "type"
        number = cause.validator_value in ("number", "integer")
        hint = " (YAML reads 1e-4 as text; write 1.0e-4)" if text and number else ""
        raise WorkflowError(f"Error in the config: {key}: {cause.message}{hint}") from None


def not_finite(value, key=""):
    """The keys at which there is .nan or .inf, which the schema takes for numbers."""
    if isinstance(value, (dict, list)):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from not_finite(part, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, float) and not math.isfinite(value):
        yield key


def sources(config):
    """The files from outside, by the key that names them."""
    parts = {"data": config["data"], "features": config["features"]}
    parts |= {f"teachers.{name}": teacher for name, teacher in config["teachers"].items()}
    found = {f"{key}.source": part["source"] for key, part in parts.items() if "source" in part}
    students = {name: student for name, student in config["students"].items() if "disabled" not in student}
    return found | {
        f"students.{name}.import": student["import"]
        for name, student in students.items()
        if "import" in student
    }


def check_sources(found):
    urls = {}
    for key, source in found.items():
        path, url = source["path"], source.get("url")
        check(not path or os.path.exists(path), f"{key}.path: there is no {path}")
        name = os.path.basename(url or "")
        check(
            path or urls.setdefault(name, url) == url,
            f"{key}.url: another file of the name {name} is downloaded too; give one of them as a path",
        )


def check_data(data):
    name = data["name"]
    with named():
        known = sets.describe(name)
    check(data["shape"] == known.shape, f"data.shape: {name} has images of shape {known.shape}")
    check(data["classes"] == known.classes, f"data.classes: {name} has {known.classes} classes")
    channels, height, width = known.shape
    check(
        channels in (1, 3) and height == width and height % 4 == 0,
        f"data.name: {name} has images of shape {known.shape}; they must be grey or in colour, and square with sides of"
        " a multiple of 4",
    )
    wants = "archive" in known.takes
    check(
        wants == ("source" in data),
        f"data.source: {name} is {'made from a file, which it names' if wants else 'not made from a file'}",
    )
    check(
        config["features"]["extractor"] == "classifier" or data["shape"][0] == 3,
        "features.extractor: inception wants images in colour",
    )


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
    if "import" in student:
        check(len(steps) == 1, f"{key}.milestones: an imported student has one step")
        check(student["seeds"] == [0], f"{key}.seeds: an imported student has the seed 0")
    check(student["pairs"] in config["pairs"], f"{key}.pairs: no pairs {student['pairs']!r}")
    with named():
        architectures.check(model, f"{key}.model")
    if model["family"] in ("get", "vit"):
        check(size % model["patch"] == 0, f"{key}.model.patch must divide the image size {size}")
        check(model["width"] % model["heads"] == 0, f"{key}.model.heads must divide {key}.model.width")
        check(model["width"] % 4 == 0, f"{key}.model.width must be a multiple of 4")
    training, pairs = student["training"], config["pairs"][student["pairs"]]
    check(
        training.get("pairs", 1) <= pairs["count"],
        f"{key}.training.pairs is larger than pairs.{student['pairs']}.count",
    )
    check_implicit(student, key)
    teacher = config["teachers"][pairs["teacher"]]
    check(
        teacher["conditional"] or model["conditioning"] == "none",
        f"{key}.model.conditioning must be none: its teacher is unconditional",
    )
    check(steps == sorted(steps), f"{key}.milestones must increase")
    check(
        student.get("headline", steps[-1]) in steps,
        f"{key}.headline: {student.get('headline')} is none of its milestones {steps}",
    )


def check_implicit(student, key):
    training, implicit = student["training"], student["training"].get("implicit", False)
    check(
        not implicit or student["model"]["family"] == "get",
        f"{key}.training.implicit: only a GET has a fixed point",
    )
    for other in ("checkpointing", "compile"):
        check(
            not (implicit and training[other]),
            f"{key}.training.{other} goes with unrolled gradients; leave it or {key}.training.implicit out",
        )


def check_studies(studies):
    """The GETs are there, and what is derived from them."""
    for key, names in (("trained", [studies["trained"]]), ("sampled", studies["sampled"])):
        for name in names:
            student = config["students"].get(name)
            check(student, f"studies.{key}: no student {name!r}")
            check(
                student["model"]["family"] == "get" and not {"import", "disabled"} & student.keys(),
                f"studies.{key}: {name} must be a GET that is trained here",
            )
    training = config["students"][studies["trained"]]["training"]
    check(
        training["loss_decay"] and not {"implicit", "pairs"} & training.keys(),
        f"studies.trained: {studies['trained']} must have all states supervised, unrolled, from all pairs",
    )
    check(studies["lower_lr"] < training["lr"], "studies.lower_lr must be below the student's own")
    check(studies["pairs"] == sorted(studies["pairs"]), "studies.pairs must increase")


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


def check_rows(rows, key, table):
    for position, row in enumerate(rows):
        check(
            "published" not in row or table.startswith("table"),
            f"{key}[{position}]: no published row belongs there",
        )
        check_row(row, f"{key}[{position}]", table)
    names = [row["published"] for row in rows if "published" in row]
    for name in names:
        check(names.count(name) == 1, f"{key}: {names.count(name)} rows stand for the published {name!r}")


def check_comparison(name, families):
    for position, (row, family) in enumerate(zip(config["paper"].get(name, []), families)):
        student = config["students"][row["student"]]
        key = f"paper.{name}[{position}]"
        check(student["model"]["family"] == family, f"{key}.student: {row['student']} is no {family}")


def check_figure4(part, name):
    check(name in config["students"], f"paper.figure4.{part}: no student {name!r}")
    check("disabled" not in config["students"][name], f"paper.figure4.{part}: {name} is disabled")
    conditional = config["students"][name]["model"]["conditioning"] != "none"
    check(
        conditional == (part == "conditional"),
        f"paper.figure4.{part}: {name} is {'' if conditional else 'un'}conditional",
    )


def check_job(job, kind):
    nodes, gpu = job["nodes"], job["gpu"]
    check(
        nodes == 1 or kind in ("teacher", "student"),
        f"jobs.{kind}.nodes must be 1: only training (teacher, student) runs on several nodes",
    )
    check(gpu % nodes == 0, f"jobs.{kind}.gpu: {gpu} GPUs cannot be shared equally by {nodes} nodes")


def check_config():
    """Refuse what each key allows but the keys together do not."""
    check_data(config["data"])
    size = config["data"]["shape"][-1]
    check_sources(sources(config))
    for name, teacher in config["teachers"].items():
        if "network" in teacher:
            check_network(teacher["network"], f"teachers.{name}.network", size)
    for name, pairs in config["pairs"].items():
        check_pairs(pairs, f"pairs.{name}")
    for name, student in config["students"].items():
        check_student(student, f"students.{name}", size)
    for part, name in config["paper"].get("figure4", {}).items():
        check_figure4(part, name)
    for name, rows in config["paper"].items():
        if isinstance(rows, list):
            check_rows(rows, f"paper.{name}", name.replace("table", "table "))
    check_comparison("table4", ["vit", "get"])
    check_comparison("larger_vit", ["get", "vit"])
    if "studies" in config:
        check_studies(config["studies"])
    for kind, job in config["jobs"].items():
        check_job(job, kind)
    evaluation = config["evaluation"]
    check(
        evaluation["scoring"]["splits"] <= evaluation["samples"],
        "evaluation.scoring.splits is larger than evaluation.samples",
    )


check_schema()
for key in not_finite(config):
    check(False, f"{key}: .nan and .inf are no numbers to compute with")
check_config()
