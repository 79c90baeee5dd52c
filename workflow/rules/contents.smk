# What each table and figure shows: its rows, and the score files of each.
#
# The content goes into a settings file (settings.smk), of which the scripts read labels and paths. A new table needs its
# number in TABLES, an entry of TABLES in get/paper/tables.py, a caption, and a key in the schema if it has rows of its
# own; a new figure its name in FIGURES, an entry of FIGURES in get/paper/figures.py, and a caption.
import yaml

from get import studies

TABLES = [str(number) for number in range(1, 7)]
CURVES = ["figure2a", "figure2b", "figure3b"]  # over all milestones
FIGURES = [*CURVES, "figure3a", "residuals", "training-curves"]
WITH_FID = [*CURVES, "figure3a"]
WITH_PUBLISHED_ROWS = ["1", "3", "5"]  # below ours, on the paper's data
WITH_COSTS = ["table4", "figure3a", "figure3b", "reproduction"]
# the parts of Figure 4, and those of them that the config asks for
PARTS = {"figure4a": "unconditional", "figure4b": "conditional"}
GRIDS = [name for name, part in PARTS.items() if part in config["paper"].get("figure4", {})]
# pairs that any student learns from, each with a figure of teacher and students on the same noise
USED_PAIRS = [name for name in PAIRS if name in {student["pairs"] for student in STUDENTS.values()}]
SAME_NOISE = [f"same-noise-{name}" for name in USED_PAIRS]

with open(workflow.source_path("../report/captions.yaml")) as file:
    CAPTIONS = yaml.safe_load(file)

for shown in (*(f"table{number}" for number in TABLES), *FIGURES, *PARTS, "same-noise", "costs"):
    check(shown in CAPTIONS, f"workflow/report/captions.yaml has no caption of {shown}")


def headline(name):
    """The milestone of a student that tables show."""
    return ALL_STUDENTS[name].get("headline", ALL_STUDENTS[name]["milestones"][-1])


def full_label(name):
    """What a student is called where those with classes and without stand together."""
    student = STUDENTS[name]
    return student["label"] + ("" if student["model"]["conditioning"] != "none" else ", unconditional")


def row(student, step=None, label=None, published=None):
    """One row: a student at one step."""
    step = step or headline(student)
    seeds = ALL_STUDENTS[student]["seeds"]
    return {
        "student": student,
        "label": label or ALL_STUDENTS[student]["label"],
        "step": step,
        "batch": ALL_STUDENTS[student]["training"]["batch"],
        "published": published,
        "scores": [f"{RESULTS}/scores/students/{student}/seed{seed}/{step}.json" for seed in seeds],
    }


def table_rows(number):
    """The rows of a table, as the config lists them; Table 1 has every student unless the config says."""
    chosen = config["paper"].get(f"table{number}", [])
    if number == "1" and not chosen:
        chosen = [{"student": name} for name in STUDENTS]
    return rows_of(chosen)


def rows_of(entries):
    """The rows that the config lists, without those of students that are disabled."""
    return [row(**entry) for entry in entries if entry["student"] in STUDENTS]


def ends_of_the_scale():
    """The rows of Table 1 that are no students: teachers, real images, noise."""
    sources = {f"teachers/{name}": "EDM teacher" for name in USED_PAIRS}
    sources |= {"baselines/real": "real test images", "baselines/noise": "pure noise"}
    rows = {
        path: {"label": label, "scores": [f"{RESULTS}/scores/{path}.json"]} for path, label in sources.items()
    }
    for name in USED_PAIRS if config["data"]["name"] == "cifar10" else ():
        if not TEACHERS[PAIRS[name]["teacher"]]["conditional"]:
            rows[f"teachers/{name}"]["published"] = "EDM"
    return list(rows.values())


def teaching(student):
    """What Table 5 says of a student's training."""
    pairs = PAIRS[STUDENTS[student]["pairs"]]
    return {
        "pairs": pairs["count"],
        "nfe": 2 * pairs["sampler"]["num_steps"] - 1,
        "teacher": "EDM",
    }


def histories(name):
    """The histories of a student's seeds, at its last milestone."""
    student = STUDENTS[name]
    step = student["milestones"][-1]
    return {
        "label": student["label"],
        "family": student["model"]["family"],
        "conditional": student["model"]["conditioning"] != "none",
        "histories": [f"{RESULTS}/students/{name}/seed{seed}/{step}.json" for seed in student["seeds"]],
    }


def checkpoint(name, seed):
    """The weights of a student at its headline milestone."""
    return f"{RESULTS}/students/{name}/seed{seed}/{headline(name)}.safetensors"


def answering(pairs):
    """The students that learned from these pairs, and their weights."""
    return [
        {"label": student["label"], "weights": checkpoint(name, student["seeds"][0])}
        for name, student in STUDENTS.items()
        if student["pairs"] == pairs
    ]


def summarised():
    """What the overview says of the experiment, and what students are called where all stand together."""
    data, evaluation = config["data"], config["evaluation"]
    runs = sum(len(student["seeds"]) for student in STUDENTS.values())
    scope = (
        f"{len(STUDENTS)} students in {runs} runs, on {data['name']} at {'x'.join(map(str, data['shape'][1:]))} pixels,"
        f" each scored on {evaluation['samples']:,} samples. {about_data()['scope']}"
    )
    return {
        "scope": scope,
        "labels": {name: full_label(name) for name in STUDENTS},
        "seeds": {"data, features, teachers, pairs": config["seed"]}
        | {f"student {name}": student["seeds"] for name, student in STUDENTS.items()},
    }


def hashed(wildcards):
    """The files whose hashes the summary gives: data, features, teachers, manifests, students."""
    teachers = {PAIRS[name]["teacher"]: None for name in USED_PAIRS}
    weights = [
        f"{RESULTS}/students/{name}/seed{seed}/{step}.safetensors"
        for name, student in STUDENTS.items()
        for seed in student["seeds"]
        for step in student["milestones"]
    ]
    return [
        f"{RESULTS}/data/images.h5",
        EXTRACTOR_WEIGHTS,
        *(f"{RESULTS}/teachers/{name}.safetensors" for name in teachers),
        *(f"{RESULTS}/pairs/{name}/manifest.json" for name in USED_PAIRS),
        *weights,
    ]


def shown_in(name):
    """The content of a table, a figure, the reproduction or the summary."""
    if name == "summary":
        return summarised()
    if name in SAME_NOISE:
        pairs = name.removeprefix("same-noise-")
        return {"precision": config["evaluation"]["precision"], "students": answering(pairs)}
    cifar10 = {"cifar10": config["data"]["name"] == "cifar10"}
    content = {}
    if name == "reproduction" or name.startswith("table"):
        content["published"] = (
            PUBLISHED_HASH  # the numbers come with the package, as no file that a rule could name
        )
    if name == "reproduction":
        content |= cifar10
        content["tables"] = {number: table_rows(number) for number in TABLES if number != "5"}
        content["larger"] = rows_of(config["paper"].get("larger_vit", []))
    elif name in GRIDS:
        content["label"] = STUDENTS[config["paper"]["figure4"][PARTS[name]]]["label"]
        content["samples"] = figure4_samples(name)
    elif name == "training-curves":
        content["histories"] = [histories(name) for name in STUDENTS if name not in IMPORTED_STUDENTS]
    elif name in CURVES:
        content["rows"] = [row(name, step) for name in STUDENTS for step in STUDENTS[name]["milestones"]]
    elif name in FIGURES:
        content["rows"] = [row(name) for name in STUDENTS]
    else:
        number = name.removeprefix("table")
        content["rows"] = table_rows(number) + (ends_of_the_scale() if number == "1" else [])
        content["arguments"] = cifar10 if number in WITH_PUBLISHED_ROWS else {}
        if number == "5":
            names = sorted({entry["student"] for entry in content["rows"]})
            content["arguments"] |= {"training": {name: teaching(name) for name in names}}
    return content


def files_of(name):
    """The results that a table, a figure or the reproduction reads."""
    content = shown_in(name)
    rows = [*content.get("rows", []), *content.get("larger", []), *content.get("histories", [])]
    rows += [entry for table in content.get("tables", {}).values() for entry in table]
    return list(dict.fromkeys(path for entry in rows for path in entry.get("scores") or entry["histories"]))


def costs_of(name):
    """The costs, if a table, a figure or the reproduction reads them."""
    return ["<results>/costs.json"] if name in WITH_COSTS else []


def caption(name):
    """The caption of a table or a figure, with what is particular to the data."""
    data = about_data()
    scores = data["tables"] if name.startswith("table") else data["fid"] if name in WITH_FID else None
    added = config["paper"].get("captions", {}).get(name)
    return " ".join(filter(None, [CAPTIONS[name], added, data["all"], scores]))


def study_caption(name):
    """The caption of a study, with what holds for all, and what is particular to the data."""
    data = about_data()
    return " ".join([studies.load(name).caption, CAPTIONS["studies"], data["all"], data["tables"]])


def about_data():
    """What captions say of the data set: what is particular to it, or what holds for any."""
    name = config["data"]["name"]
    general = {key: CAPTIONS[key] for key in ("tables", "fid", "scope")} | {"all": f"Data set: {name}."}
    return general | CAPTIONS["data"].get(name, {})


def title(name):
    """What the report calls a table or figure."""
    return CAPTIONS["titles"][name]


def figure4_samples(figure):
    """The sample file that one part of Figure 4 shows: the first seed, at the headline milestone."""
    name = config["paper"]["figure4"][PARTS[figure]]
    return f"{RESULTS}/samples/students/{name}/seed{STUDENTS[name]['seeds'][0]}/{headline(name)}.h5"
