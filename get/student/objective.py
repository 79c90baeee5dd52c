"""What a training of a student is made of: its options, the task that an objective has, and the objective."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from get.networks.denoiser import Denoiser
from get.pairs.dataset import Batch
from get.runtime import plugins
from get.runtime.seeding import generator
from get.storage.settings import from_settings
from get.student import losses, objectives
from get.student.models import Student
from get.training.optimisation import Optimisation
from get.training.state import State


@dataclass(frozen=True)
class Distillation(Optimisation):
    """How a student is trained: `Optimisation`, and what it is trained to do.

    Args:
        objective: a module of `objectives`; keys: arguments of its class.
        loss: 'name', a module of `losses`, and its arguments; None is the objective's own.
        init: 'teacher' starts from the teacher's weights; None from random ones.
        pairs: learn from the first so many pairs; None is all of them.
    """

    objective: str = objectives.DEFAULT
    loss: dict[str, Any] | None = None
    init: str | None = None
    pairs: int | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, settings: Mapping[str, Any], name: str) -> "Distillation":
        """Return the options of settings, where an objective's keys lie beside the others.

        Raises:
            UserError: as `from_settings`, with the `name` of the settings; or an objective's key is wrong.
        """
        common = {each.name for each in fields(cls)} - {"keys", "loss"}
        options = from_settings(cls, {key: settings[key] for key in common & settings.keys()}, name)
        own = {key: value for key, value in settings.items() if key not in (*common, "loss")}
        plugins.require_known(objectives.PACKAGE, options.objective, f"{name}.objective")
        objectives.check(options.objective, own, name)
        return replace(options, loss=settings.get("loss"), keys=own)

    @property
    def memory_advice(self) -> str:
        """What saves memory, in words."""
        parts = self.accumulate * 2
        advice = [f"set training.accumulate: {parts} (the same batch in {parts} parts)"]
        saves = self.keys.get("checkpointing") or self.keys.get("implicit")
        if self.objective == objectives.DEFAULT and not saves:
            advice.append("or training.checkpointing: true (O(1)-memory mode of a GET)")
        return ", ".join([*advice, f"or {super().memory_advice}"])

    def build(self, task: "Task") -> "Objective":
        """Return the objective, given its task."""
        module = plugins.load(objectives.PACKAGE, self.objective, "training.objective")
        objective: Objective = module.OBJECTIVE(task, **self.keys)
        return objective

    @property
    def loss_name(self) -> str:
        """The name of the loss."""
        name: str = self.loss["name"] if self.loss else objectives.about(self.objective)["DEFAULT_LOSS"]
        return name

    def build_loss(self, source: str | Path | None = None) -> "Loss":
        """Return the loss; if it looks through a network, with the weights at `source`, or random ones."""
        loss: Loss = losses.build(self.loss or {"name": self.loss_name}, source)
        return loss


Loss = Callable[[Tensor, Tensor], Tensor]  # see `losses`


@dataclass(frozen=True)
class Task:
    """What an objective works with.

    Args:
        student: on `device`.
        loss: of images; see `losses`.
        batch: examples of a step, over all processes.
        seed: names every draw; device: of the tensors.
        teacher: for objectives that ask one, on the device, in evaluation mode.
    """

    student: Student
    loss: Loss
    batch: int
    seed: int
    device: torch.device
    teacher: Denoiser | None = None

    def normal(self, name: str, step: int, shape: tuple[int, ...], rows: slice) -> Tensor:
        """Return these rows of the step's standard normal draws (batch, *shape) of this name."""
        return self._draw(torch.randn, name, step, shape, rows)

    def uniform(self, name: str, step: int, rows: slice) -> Tensor:
        """Return these rows of the step's draws (batch,) of this name, uniform from 0 to 1."""
        return self._draw(torch.rand, name, step, (), rows)

    def _draw(
        self, make: Callable[..., Tensor], name: str, step: int, shape: tuple[int, ...], rows: slice
    ) -> Tensor:
        on = torch.device("cpu") if self.device.type == "meta" else self.device  # which has no generators
        source = generator(self.seed, "student", name, step, device=on)
        return make((self.batch, *shape), generator=source, device=on)[rows].to(self.device)


class Objective:
    """The base of all objectives.

    Attributes:
        teacher_evaluations: how often a teacher is asked for one example.
        frozen: networks beside the student that are part of the state of the training.
    """

    teacher_evaluations = 0
    frozen: nn.Module | None = None

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    def networks(self) -> int:
        """How many networks training holds: the student, a target, a teacher."""
        return 1 + (self.frozen is not None) + (self.task.teacher is not None)

    def rate(self, step: int) -> float:
        """Return the factor of the learning rate in a step, beside that of the warm-up."""
        return 1.0

    def prepare(self, state: State) -> None:
        """Get ready for step `state.step`; the state may be changed."""

    def relieve(self) -> bool:
        """Take less memory from now on, and more time; False if there is no way to."""
        return False

    def __call__(self, forward: Callable[..., Tensor], batch: Batch, step: int, rows: slice) -> Tensor:
        """Return the loss (a scalar): the mean over these rows of the batch of step `step`.

        Args:
            forward: the student, or what wraps it.
            batch: these rows: noise and image (B, C, H, W) float32, label (B,) int64, on the device. The
                image is the teacher's for this noise, or a real one, as the objective needs.
        """
        raise NotImplementedError
