"""Key `students`: architectures, and what they learn from."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from get.experiment.config.data import Data
from get.experiment.config.errors import check, config_errors
from get.experiment.config.files import Source
from get.experiment.config.keys import DISTINCT, Count, Keys, Label, OpenKeys, Seed, Text, optional
from get.experiment.config.teachers import Network, check_network
from get.experiment.config.training import Distillation, check_implicit
from get.runtime import plugins
from get.student import architectures, losses, objectives

if TYPE_CHECKING:
    from get.experiment.config import Config


class Model(OpenKeys):
    """The architecture; the shape of the images comes from the data."""

    family: str
    """A module of get/student/architectures (get, vit, unet); the other keys are arguments of its class."""
    conditioning: str
    """How the class comes in: none, injection (added to q, k, v), adaln-zero (ViT only), embedding (unet)."""
    iterations: Count | None = optional()
    """Fixed-point iterations of a student with a state; all of them are supervised."""
    network: Network | None = optional()
    """The network of a unet."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the family."""
        return architectures.defaults(given.get("family")) | given if isinstance(given, dict) else given

    @property
    def conditional(self) -> bool:
        """Whether the student sees the class."""
        return self.conditioning != "none"


class Student(Keys):
    """A one-step student."""

    label: Label
    """What tables and figures call the student."""
    pairs: str
    """Name of the set of pairs."""
    disabled: Text | None = optional()
    """Why this student is left out, of tables and figures too; remove the key to run it."""
    source: Source | None = optional(alias="import")
    """A published checkpoint of the student, imported instead of trained; training then says how it was
    trained, and milestones has one step."""
    model: Model
    """The architecture; the shape of the images comes from the data."""
    training: Distillation
    """How the student is trained."""
    milestones: Annotated[list[Count], Field(min_length=1), DISTINCT]
    """Steps at which a checkpoint is kept and can be scored, increasing."""
    headline: Count | None = optional()
    """The milestone that tables and Figures 3a and 4 show; left out, the last."""
    seeds: Annotated[list[Seed], Field(min_length=1), DISTINCT] = [0]
    """Seeds of initial weights, order of the pairs and initial states; one run for each."""

    @property
    def shown_step(self) -> int:
        """The milestone that tables show."""
        return self.headline or self.milestones[-1]


def check_student(student: Student, key: str, config: "Config") -> None:
    """Check a student's model, its pairs and its milestones."""
    steps = student.milestones
    if student.source:
        check(len(steps) == 1, f"{key}.milestones: an imported student has one step")
        check(student.seeds == [0], f"{key}.seeds: an imported student has the seed 0")
    check(student.pairs in config.pairs, f"{key}.pairs: no pairs {student.pairs!r}")
    check_model(student, f"{key}.model", config.data.size)
    pairs = config.pairs[student.pairs]
    check(
        (student.training.pairs or 1) <= pairs.count,
        f"{key}.training.pairs is larger than pairs.{student.pairs}.count",
    )
    check_training(student, f"{key}.training")
    check_loss(student.training, f"{key}.training.loss", config.data)
    check_implicit(student.training, f"{key}.training", student.model.family)
    check(
        config.teachers[pairs.teacher].conditional or not student.model.conditional,
        f"{key}.model.conditioning must be none: its teacher is unconditional",
    )
    check_taught(student, key, pairs.teacher, config)
    check(steps == sorted(steps), f"{key}.milestones must increase")
    check(
        student.shown_step in steps,
        f"{key}.headline: {student.headline} is none of its milestones {steps}",
    )


def check_model(student: Student, key: str, size: int) -> None:
    """Check the arguments of an architecture, and the sizes of a transformer."""
    model = student.model.settings()
    with config_errors():
        architectures.check(model, key)
    if student.model.family in ("get", "vit"):
        check(size % model["patch"] == 0, f"{key}.patch must divide the image size {size}")
        check(model["width"] % model["heads"] == 0, f"{key}.heads must divide {key}.width")
        check(model["width"] % 4 == 0, f"{key}.width must be a multiple of 4")
    if architectures.has_form(model):
        if student.model.network:
            check_network(student.model.network, f"{key}.network", size)
        check(
            0 < model["sigma_min"] < model["sigma_max"],
            f"{key}: sigma_min must be above 0 and below sigma_max",
        )


def check_training(student: Student, key: str) -> None:
    """Check the objective of a student, and that its network is one for it."""
    training, name = student.training, student.training.objective_name
    with config_errors():
        plugins.require_known(objectives.PACKAGE, name, f"{key}.objective")
        own = objectives.keys(name)
        given = {other: value for other, value in training.settings().items() if other in own}
        objectives.check(name, given, key)
    if objectives.about(name).get("LEVELS"):
        check(
            architectures.has_form(student.model.settings()),
            f"{key}.objective: {name} evaluates a network at noise levels, which a {student.model.family} has"
            " not; it wants a unet",
        )
    if objectives.about(name).get("FROM_TEACHER"):
        check(training.init == "teacher", f"{key}.init must be teacher: {name} starts from its weights")
    check(
        training.pairs is None or "pairs" in objectives.needs(training.settings()),
        f"{key}.pairs: {name} learns from no pairs; leave it out",
    )
    check(
        training.batch % (training.accumulate or 1) == 0,
        f"{key}.accumulate must divide {key}.batch ({training.batch})",
    )


def check_taught(student: Student, key: str, name: str, config: "Config") -> None:
    """Check that a student that starts from its teacher, or asks it while it is trained, fits to it."""
    training, model, teacher = student.training, student.model.settings(), config.teachers[name]
    if "teacher" in objectives.needs(training.settings()):
        why = "starts from it" if training.init else f"asks it ({training.objective_name})"
        check(
            student.model.conditional or not teacher.conditional,
            f"{key}.model.conditioning must not be none: teachers.{name} sees the class, and the student"
            f" {why}; write embedding, or name other {key}.pairs",
        )
    if training.init:
        init = f"{key}.training.init"
        check(
            architectures.has_form(model), f"{init}: only a unet has the network of a teacher; leave it out"
        )
        check(
            teacher.network is None or model["network"] == teacher.network.settings(),
            f"{init}: {key}.model.network must be teachers.{name}.network",
        )


def check_loss(training: Distillation, key: str, data: Data) -> None:
    """Check the loss of a student, and that it takes the images."""
    if training.loss:
        with config_errors():
            losses.check(training.loss.settings(), key)
            losses.check_fit(training.loss.name, data.shape, training.objective_name, key)
