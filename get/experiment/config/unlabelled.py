"""Images without classes: what sees a class is left out of the config."""

from typing import TYPE_CHECKING, Any

from get.experiment.config.errors import check
from get.experiment.config.students import Student

if TYPE_CHECKING:
    from get.experiment.config import Config

WHY = "the images have no classes"


def without_classes(config: "Config") -> "Config":
    """Return the config without the students that see a class or learn from a teacher that does.

    Figure 4b is left out with them, and so are studies and trials of them, and the rivals.

    Raises:
        ConfigError: no student is left.
    """
    seeing = [name for name, student in config.students.items() if _sees_classes(student, config)]
    disabled = {name: config.students[name].model_copy(update={"disabled": WHY}) for name in seeing}
    students = config.students | disabled
    check(
        any(not student.disabled for student in students.values()),
        f"students: {WHY}, and all students see one; add an unconditional teacher, pairs of it, and a"
        " student of these with the conditioning none",
    )
    changes: dict[str, Any] = {"students": students, "rivals": None}
    figure4 = config.paper.figure4
    if figure4.conditional in seeing:
        figure4 = figure4.model_copy(update={"conditional": None})
        changes["paper"] = config.paper.model_copy(update={"figure4": figure4})
    if config.studies:
        sampled = [name for name in config.studies.sampled if name not in seeing]
        kept = sampled and config.studies.trained not in seeing
        changes["studies"] = config.studies.model_copy(update={"sampled": sampled}) if kept else None
    if config.tuning:
        tried = [name for name in config.tuning.students if name not in seeing]
        changes["tuning"] = config.tuning.model_copy(update={"students": tried}) if tried else None
    return config.model_copy(update=changes)


def _sees_classes(student: Student, config: "Config") -> bool:
    pairs = config.pairs.get(student.pairs)
    teacher = config.teachers.get(pairs.teacher) if pairs else None
    return student.model.conditional or bool(teacher and teacher.conditional)
