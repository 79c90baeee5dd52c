"""What in a folder of results is made from what, for `get forget`.

Snakemake makes again what is older than what it is made from, except students: a shard that was made again,
bit for bit, must not cost a training, so they take no notice of when their pairs were written. Nor does
`--forcerun` reach them, beyond the first milestone of each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath

from get.experiment.experiment import Experiment
from get.experiment.rivals import trials_of
from get.storage.places import part_of


def is_in(part: str, whole: str) -> bool:
    """Return True if `part` is `whole` or lies in it; '*' in `whole` stands for any name."""
    return fnmatchcase(part, whole) or fnmatchcase(part, f"{whole}/*")


def with_dependents(
    experiment: Experiment, parts: Iterable[str], documents: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return parts of the results, and all that is made from them, in that order.

    Documents are among it: while they are there, Snakemake does not miss what they were made from.

    Args:
        experiment: the experiment.
        parts: what has changed.
        documents: the files that each table, figure and page is made from (`get.studies.documents`).
    """
    found = list(dict.fromkeys(parts))
    for part in found:  # which grows meanwhile
        found.extend(each for each in dependents(experiment, part) if each not in found)
    for document, files in documents.items():
        made_from = [part_of(PurePath(file).relative_to(experiment.results)) for file in files]
        if any(is_in(each, part) for each in made_from if each for part in found):
            found.append(document)
    return found


def dependents(experiment: Experiment, part: str) -> Iterator[str]:
    """Yield what is made from a part of the results ('data', 'students/get-16/seed0'), without going on."""
    stage, *names = part.split("/")
    match stage:
        case "data":
            yield from ("features", "samples/baselines")
            yield from (
                f"teachers/{name}" for name, teacher in experiment.teachers.items() if not teacher.source
            )
            yield from _learning_from(experiment, "images")
        case "features":
            yield from ("features/reference-*", "scores")
        case "teachers":
            for name, pairs in experiment.pairs.items():
                if names in ([], [pairs.teacher]):
                    yield f"pairs/{name}"
            yield from _learning_from(experiment, "teacher", *names)
        case "pairs" if names[1:] in ([], ["manifest"]):
            for name in names[:1] or experiment.pairs:
                yield f"samples/teachers/{name}"
                yield f"samples/teachers/{name}_*"
                yield from _of_students(experiment, name)
        case "pairs":  # a shard, which is made again bit for bit
            yield from (f"pairs/{names[0]}/manifest", f"samples/teachers/{names[0]}")
        case "students":
            yield "/".join(["samples/students", *names])
            yield "/".join(["samples/studies/*", *names[:2]])
            yield from _later_milestones(experiment, names)
            yield from _chosen_by(experiment, *names[:1])
        case "samples":
            yield "/".join(["scores", *names])
        case "scores" if names[:1] in ([], ["students"]):  # made with their samples
            yield "/".join(["samples/students", *names[1:]])
        case "rivals" if not names:
            for trials in trials_of(experiment).values():
                yield from (f"scores/students/{trial}" for trial in trials)
            yield from _chosen_by(experiment)
        case "settings":  # of a student, whose learning rate was chosen
            yield f"students/{names[-1]}"


def _learning_from(experiment: Experiment, kind: str, teacher: str = "") -> Iterator[str]:
    """Yield the students that learn from 'images' or a 'teacher' (that of a name, if there is one)."""
    for name, student in experiment.all_students.items():
        own = teacher in ("", experiment.pairs[student.pairs].teacher)
        if own and kind in experiment.learned_from(name):
            yield f"students/{name}"


def _of_students(experiment: Experiment, pairs: str) -> Iterator[str]:
    """Yield the students that learn from a set of pairs; of others, what is sampled."""
    for name, student in experiment.all_students.items():
        if student.pairs == pairs:
            learns = "manifest" in experiment.learned_from(name)
            yield f"students/{name}" if learns else f"samples/students/{name}"


def _chosen_by(experiment: Experiment, trial: str = "") -> Iterator[str]:
    """Yield the settings that the scores of a trial chose; without a name, all that any chose."""
    for name, trials in trials_of(experiment).items():
        if not trial or trial in trials:
            yield f"settings/students/{name}"


def _later_milestones(experiment: Experiment, names: list[str]) -> Iterator[str]:
    """Yield the milestones that training goes on to from the one of these `names`, if it is one."""
    student = experiment.all_students.get(names[0]) if len(names) == 3 else None
    for step in student.milestones if student else ():
        if step > int(names[2]):
            yield "/".join(["students", *names[:2], str(step)])
