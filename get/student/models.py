"""Students: networks that map noise (and a label) to an image in one call.

A plain student needs a constructor and `forward(noise, label)`, which returns images; the rest is here. One
with a state that it applies itself to again and again, like GET, has `state_shape` and `iterations` too, and
its `forward(noise, label, state, checkpointing)` returns every state that training supervises, decoded.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from get.runtime import plugins
from get.storage.errors import UserError
from get.storage.variants import Rule
from get.student import architectures

Description = Mapping[str, Any]


class Generated(NamedTuple):
    """Images in about [-1, 1]: (B, C, H, W), or (K, B, C, H, W) of a trajectory; and residuals (K, B).

    A student without a state has K = 1 and no residuals (0, B).
    """

    images: Tensor
    residuals: Tensor


class Student(nn.Module):
    """The base of all students.

    Args:
        channels, size: of the images (B, channels, size, size).
        classes: number of classes of the pairs; 0 for none.
        conditioning: how the class comes in; 'none' for a student that does not see it.
    """

    iterations = 1  # of the state, all of which are supervised; in the config, the key of this name
    state_shape: tuple[int, int] | None = None  # (N, D) of the initial state z_0 of one sample, if it has one
    forward: Callable[..., Tensor]

    def __init__(self, *, channels: int, size: int, classes: int, conditioning: str) -> None:
        super().__init__()
        if conditioning != "none" and not classes:
            raise UserError(f"model.conditioning is {conditioning!r}, but the pairs have no classes")
        self.shape = (channels, size, size)
        self.classes = classes
        self.conditional = conditioning != "none"

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None = None,
        iterations: int | None = None,
        rule: str = Rule.LOWEST_RESIDUAL,
    ) -> Generated:
        """Map noise (B, C, H, W), label (B,) int64 and z_0 (B, N, D) to images (B, C, H, W).

        Args:
            noise, label: an unconditional student does not read the label.
            state: z_0 and the last two options are for students with a state, which override this.
            iterations: number of fixed-point iterations; None is the number trained with.
            rule: which state is decoded, a `Rule`.
        """
        images, residuals = self.trajectory(noise, label)
        return Generated(images[0], residuals)

    def trajectory(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None = None, iterations: int | None = None
    ) -> Generated:
        """Return the images of every state z_1..z_K, of which `generate` decodes one; arguments as there."""
        return Generated(self(noise, label)[None], noise.new_empty(0, noise.shape[0]))


def build(description: Description) -> Student:
    """Return the student that `description` names: key 'family' and the arguments of that class.

    Raises:
        UserError: a key is missing, unknown or impossible, or the family's module is at fault.
    """
    arguments = {key: value for key, value in description.items() if key != "family"}
    given = (*architectures.OF_IMAGES, architectures.FORM)
    of_config = {key: value for key, value in description.items() if key not in given}
    architectures.check(of_config)
    family = plugins.load(architectures.PACKAGE, description["family"], "model.family").STUDENT
    try:
        student: Student = family(**arguments)
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of a constructor that anybody may have written
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f"{_module(description)}: no student of {dict(arguments)}"
        raise UserError(f"{where} ({type(error).__name__}: {error}; {last.filename}:{last.lineno})") from None
    _check(student, description)
    return student


def _module(description: Description) -> str:
    return f"get/student/architectures/{description['family']}.py"


def _check(student: Student, description: Description) -> None:
    """Raise `UserError` if training could not average the student, or others take it for another kind."""
    where = _module(description)
    if ("iterations" in description) != (student.state_shape is not None):
        raise UserError(f"{where}: a key iterations and a state_shape go together; give both or neither")
    if len(list(student.named_parameters(remove_duplicate=False))) > len(list(student.parameters())):
        raise UserError(f"{where}: a module has two names; register it under one and call it twice")
    if any(getattr(module, "track_running_stats", False) for module in student.modules()):
        raise UserError(f"{where}: running statistics are not averaged; normalise without (GroupNorm, say)")


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, counted as the paper does: with the fixed position table."""
    return sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()])
