"""What each table, figure and claim shows: its rows, the files that it reads, and its caption.

The content goes into a settings file, of which the workflow's scripts read labels and paths. A new table or
figure needs its name here, its entry in get/paper, and a caption in get/paper/captions.yaml; a table also
its key in `config.Paper`, a figure its entry in `CONTENTS`.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

import get
from get.experiment.config.errors import check
from get.experiment.config.paper import PUBLISHED_CSV, Row, Versus
from get.experiment.experiment import Experiment
from get.storage.hashing import sha256
from get.student import losses

Content = dict[str, Any]

TABLES = [f"table{number}" for number in range(1, 7)]
OVER_MILESTONES = ["figure2a", "figure2b", "figure3b"]
FIGURES = [*OVER_MILESTONES, "figure3a", "residuals", "training-curves"]
FIGURE4 = {"figure4a": "unconditional", "figure4b": "conditional"}  # and the key of the config for each
WITH_FID = [*OVER_MILESTONES, "figure3a"]
WITH_PUBLISHED_ROWS = ["table1", "table3", "table5"]  # below ours, on the paper's data
WITH_COSTS = ["table4", "table5", "figure3a", "figure3b", "reproduction", "scaling"]
ENOUGH_FOR_LAWS = 5  # milestones: at one a run may be on the plateau, which counts for no law
LAWS = [*(f"laws.{kind}" for kind in ("csv", "md", "html", "pdf", "png")), "crossings.csv"]
SAME_NOISE = "same-noise-"  # and the name of the pairs


def compared_laws(experiment: Experiment) -> list[tuple[str, str]]:
    """Return the GETs and ViTs of `paper.versus` that have enough milestones for laws of FID over compute."""
    pairs = [(pair.get, pair.vit) for pair in _versus(experiment)]
    return [
        pair
        for pair in pairs
        if all(len(experiment.students[name].milestones) >= ENOUGH_FOR_LAWS for name in pair)
    ]


def _versus(experiment: Experiment) -> list[Versus]:
    """Return the pairs of `paper.versus`, without those of which a student is disabled."""
    return [
        pair for pair in experiment.config.paper.versus if {pair.get, pair.vit} <= experiment.students.keys()
    ]


def scaling(experiment: Experiment) -> Content:
    """Return the milestones of the GETs and ViTs whose laws are compared."""
    pairs = compared_laws(experiment)
    return {"versus": [[milestones(experiment, name) for name in pair] for pair in pairs]}


def grids(experiment: Experiment) -> list[str]:
    """Return the parts of Figure 4 that the config asks for."""
    asked = experiment.config.paper.figure4.settings()
    return [name for name, part in FIGURE4.items() if asked[part] is not None]


def same_noise_figures(experiment: Experiment) -> list[str]:
    """Return the figures of teacher and students on the same noise, one for each set of pairs."""
    return [f"{SAME_NOISE}{name}" for name in experiment.used_pairs]


def figures(experiment: Experiment) -> list[str]:
    """Return all figures."""
    return [*FIGURES, *grids(experiment), *same_noise_figures(experiment)]


def content(experiment: Experiment, name: str) -> Content:
    """Return what a table, a figure, the reproduction or the summary shows."""
    if name.startswith(SAME_NOISE):
        students = learners(experiment, name.removeprefix(SAME_NOISE))
        precision = experiment.config.evaluation.precision
        return {"precision": precision, "students": students} | class_names(experiment)
    return CONTENTS[name](experiment)


def all_milestones(experiment: Experiment) -> Content:
    """Return a row for every milestone of every student."""
    return {"rows": [line for name in experiment.students for line in milestones(experiment, name)]}


def milestones(experiment: Experiment, student: str) -> list[Content]:
    """Return a row for every milestone of a student."""
    return [row(experiment, student, step) for step in experiment.students[student].milestones]


def all_students(experiment: Experiment) -> Content:
    """Return a row for every student."""
    return {"rows": [row(experiment, name) for name in experiment.students]}


def training_curves(experiment: Experiment) -> Content:
    """Return the histories of all students that are trained."""
    trained = [name for name in experiment.students if name not in experiment.imported_students]
    return {"histories": [histories(experiment, name) for name in trained]}


def figure4(experiment: Experiment, name: str) -> Content:
    """Return the student and the samples of one part of Figure 4."""
    student = getattr(experiment.config.paper.figure4, FIGURE4[name])
    label, samples = experiment.students[student].label, figure4_samples(experiment, name)
    return {"label": label, "samples": samples} | class_names(experiment)


def class_names(experiment: Experiment) -> Content:
    """Return what classes are called, where they have names."""
    names = experiment.config.data.known.names
    return {"classes": names} if names else {}


def claims(experiment: Experiment) -> Content:
    """Return the rows on which the claims of the paper are judged."""
    judged = {name.removeprefix("table"): table_rows(experiment, name) for name in TABLES if name != "table5"}
    larger = listed(experiment, experiment.config.paper.larger_vit or [])
    versus = [[milestones(experiment, name) for name in (pair.get, pair.vit)] for pair in _versus(experiment)]
    rows = {"tables": judged, "larger": larger, "versus": versus}
    return {**published_hash(), "cifar10": on_cifar10(experiment), **rows}


def published_hash() -> Content:
    """Return the hash of the paper's numbers, which come with the package: no file that a rule could name."""
    return {"published": sha256(PUBLISHED_CSV)}


def on_cifar10(experiment: Experiment) -> bool:
    """Return whether the data are the paper's, so that numbers compare."""
    return experiment.config.data.name == "cifar10"


def table(experiment: Experiment, name: str) -> Content:
    """Return the rows of a table, and what else it shows."""
    rows = table_rows(experiment, name)
    arguments: Content = {"cifar10": on_cifar10(experiment)} if name in WITH_PUBLISHED_ROWS else {}
    if name == "table5":
        arguments["training"] = {
            student: teaching(experiment, student) for student in sorted({row["student"] for row in rows})
        }
    if name == "table1":
        rows = rows + ends_of_scale(experiment)
    return {**published_hash(), "rows": rows, "arguments": arguments}


def tables(experiment: Experiment) -> list[str]:
    """Return the tables that have a student."""
    return [name for name in TABLES if table_rows(experiment, name)]


def table_rows(experiment: Experiment, name: str) -> list[Content]:
    """Return the students of a table, as the config lists them; of Table 1 all, unless it says."""
    rows = experiment.config.paper.rows()[name]
    if name == "table1" and not rows:
        rows = [Row(student=student) for student in experiment.students]
    return listed(experiment, rows)


def listed(experiment: Experiment, rows: list[Row]) -> list[Content]:
    """Return the rows that the config lists, without those of students that are disabled."""
    enabled = [entry for entry in rows if entry.student in experiment.students]
    return [row(experiment, **entry.settings()) for entry in enabled]


def row(
    experiment: Experiment,
    student: str,
    step: int | None = None,
    label: str | None = None,
    published: str | None = None,
) -> Content:
    """Return one row: a student at one step, with the scores of all its seeds."""
    found = experiment.all_students[student]
    step = step or found.shown_step
    return {
        "student": student,
        "label": label or found.label,
        "step": step,
        "batch": found.training.batch,
        "published": published,
        "scores": [experiment.run_file(student, seed, step, "scores", "json") for seed in found.seeds],
    }


def ends_of_scale(experiment: Experiment) -> list[Content]:
    """Return the rows of Table 1 that are no students: teachers, real images, noise."""
    sources = {f"teachers/{name}": "EDM teacher" for name in experiment.used_pairs}
    sources |= {
        f"teachers/{name}_{few}": f"EDM teacher, {few.partition('-')[0]}"
        for name in experiment.used_pairs
        for few in experiment.few_evaluations
    }
    sources |= {"baselines/real": "real test images", "baselines/noise": "pure noise"}
    rows: dict[str, Content] = {
        path: {"label": label, "scores": [f"{experiment.results}/scores/{path}.json"]}
        for path, label in sources.items()
    }
    for name in experiment.used_pairs if on_cifar10(experiment) else ():
        if not experiment.teachers[experiment.pairs[name].teacher].conditional:
            rows[f"teachers/{name}"]["published"] = "EDM"
    return list(rows.values())


def teaching(experiment: Experiment, student: str) -> Content:
    """Return what Table 5 says of a student's training."""
    pairs = experiment.students[student].pairs
    learns = "manifest" in experiment.learned_from(student) or experiment.students[student].source
    return {
        "pairs": experiment.pairs[pairs].count if learns else 0,
        "nfe": experiment.evaluations(pairs),
        "teacher": "EDM",
    }


def histories(experiment: Experiment, name: str) -> Content:
    """Return the histories of a student's seeds, at its last milestone; and of what, if not as in the paper.

    That is 'loss', what its loss is called, and 'objective'.
    """
    student = experiment.students[name]
    step, training = student.milestones[-1], student.training
    other = {"loss": losses.label(training.loss.name)} if training.loss else {}
    other |= {"objective": training.objective} if training.objective else {}
    return {
        "label": student.label,
        "family": student.model.family,
        "conditional": student.model.conditional,
        "histories": [experiment.run_file(name, seed, step, kind="json") for seed in student.seeds],
        **other,
    }


def learners(experiment: Experiment, pairs: str) -> list[Content]:
    """Return the students that learned from a set of pairs, and their weights."""
    return [
        {"label": student.label, "weights": experiment.checkpoint(name, student.seeds[0])}
        for name, student in experiment.students.items()
        if student.pairs == pairs
    ]


def figure4_samples(experiment: Experiment, figure: str) -> str:
    """Return the samples that a part of Figure 4 shows: the first seed, at the headline milestone."""
    name = getattr(experiment.config.paper.figure4, FIGURE4[figure])
    student = experiment.students[name]
    return experiment.run_file(name, student.seeds[0], student.shown_step, "samples", "h5")


def summary(experiment: Experiment) -> Content:
    """Return what the overview says of the experiment, and what it calls the students."""
    config, students = experiment.config, experiment.students
    runs = sum(len(student.seeds) for student in students.values())
    size = "x".join(map(str, config.data.shape[1:]))
    scope = (
        f"{_counted(len(students), 'student')} in {_counted(runs, 'run')}, on {experiment.data_name} at"
        f" {size} pixels, each scored on {config.evaluation.samples:,} samples."
        f" {about_data(experiment)['scope']}"
    )
    shown = tables(experiment)
    if absent := [title(experiment, name).partition(":")[0] for name in TABLES if name not in shown]:
        scope += f" Left out, as the config lists no rows of them: {', '.join(absent)}."
    return {
        "scope": scope,
        "labels": {name: experiment.full_label(name) for name in students},
        "milestones": {name: student.milestones for name, student in students.items()},
        "seeds": {"data, features, teachers, pairs": config.seed}
        | {f"student {name}": student.seeds for name, student in students.items()},
    }


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


CONTENTS: dict[str, Callable[[Experiment], Content]] = {
    **{name: partial(table, name=name) for name in TABLES},
    **dict.fromkeys(OVER_MILESTONES, all_milestones),
    **dict.fromkeys(["figure3a", "residuals"], all_students),
    "training-curves": training_curves,
    **{name: partial(figure4, name=name) for name in FIGURE4},
    "reproduction": claims,
    "scaling": scaling,
    "summary": summary,
}


# ---------------------------------------------------------------------------------- files they read


def result_files(experiment: Experiment, name: str) -> list[str]:
    """Return the scores, histories and costs that a table, a figure or the reproduction reads."""
    shown = content(experiment, name)
    rows = [*shown.get("rows", []), *shown.get("larger", []), *shown.get("histories", [])]
    rows += [entry for table in shown.get("tables", {}).values() for entry in table]
    rows += [entry for pair in shown.get("versus", []) for one in pair for entry in one]
    return list(dict.fromkeys(path for entry in rows for path in entry.get("scores") or entry["histories"]))


def cost_files(experiment: Experiment, name: str) -> list[str]:
    """Return the costs, if a table, a figure or the reproduction reads them."""
    return [f"{experiment.results}/costs.json"] if name in WITH_COSTS else []


def provenance_files(experiment: Experiment) -> list[str]:
    """Return the files whose hashes the summary gives: data, features, teachers, manifests, students."""
    teachers = dict.fromkeys(experiment.pairs[name].teacher for name in experiment.used_pairs)
    return [
        f"{experiment.results}/data/images.h5",
        experiment.extractor_weights,
        *(f"{experiment.results}/teachers/{name}.safetensors" for name in teachers),
        *(f"{experiment.results}/pairs/{name}/manifest.json" for name in experiment.used_pairs),
        *(experiment.run_file(*run) for run in experiment.runs()),
    ]


def documents(experiment: Experiment) -> dict[str, list[str]]:
    """Return the files that each table, figure and page is made from, by its place in the results."""
    results = experiment.results
    found = {f"figures/{name}": [figure4_samples(experiment, name)] for name in grids(experiment)}
    for name in experiment.used_pairs:
        weights = [student["weights"] for student in learners(experiment, name)]
        found[f"figures/{SAME_NOISE}{name}"] = [f"{results}/pairs/{name}/held-out.h5", *weights]
    for name in (*tables(experiment), *FIGURES, "reproduction"):
        place = f"figures/{name}" if name in FIGURES else name
        found[place] = result_files(experiment, name) + cost_files(experiment, name)
    if compared_laws(experiment):
        found["scaling"] = result_files(experiment, "scaling") + cost_files(experiment, "scaling")
    read = [f"{results}/{name}" for name in ("costs.json", "table1.csv", "reproduction.csv")]
    read += [*found["reproduction"], *provenance_files(experiment)]
    return {**found, "overview": read, "provenance": read}


# ---------------------------------------------------------------------------------------- captions


def captions(experiment: Experiment) -> dict[str, Any]:
    """Return get/paper/captions.yaml, with the names of the network of features and of distances in it."""
    features = experiment.config.features
    grey = experiment.config.data.shape[0] == 1 and features.about.get("COLOUR", False)
    network = features.about["LABEL"] + " (grey repeated to colour)" * grey
    return _captions(
        features=network, fid=features.distance, **{"is": "Inception Score, " * bool(experiment.logits)}
    )


@cache
def _captions(**names: str) -> dict[str, Any]:
    text = (Path(get.__file__).with_name("paper") / "captions.yaml").read_text(encoding="utf-8")
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def caption(experiment: Experiment, name: str) -> str:
    """Return the caption of a table or a figure, with what is particular to the data."""
    found = captions(experiment)
    check(name in found, f"get/paper/captions.yaml has no caption of {name}")
    data, added = about_data(experiment), experiment.config.paper.captions.get(name)
    scores = data["tables"] if name in TABLES else data["fid"] if name in WITH_FID else None
    return " ".join(filter(None, [found[name], added, data["all"], scores]))


def about_data(experiment: Experiment) -> dict[str, str]:
    """Return what captions say of the data set: what is particular to it, or what holds for any."""
    found = captions(experiment)
    general = {key: found[key] for key in ("tables", "fid", "scope")}
    general["all"] = f"Data set: {experiment.data_name}."
    return general | found["data"].get(experiment.config.data.name, {})


def title(experiment: Experiment, name: str) -> str:
    """Return what the report calls a table or a figure."""
    titles: dict[str, str] = captions(experiment)["titles"]
    check(name in titles, f"get/paper/captions.yaml has no title of {name}")
    return titles[name]
