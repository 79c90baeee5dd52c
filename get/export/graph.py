"""A student as one graph, noise to images, for programs that do not know this package."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from get.runtime.seeding import classes_of, normal
from get.sampling.one_step import Sampling
from get.storage.errors import UserError
from get.storage.variants import Rule
from get.student.initial import sample_state
from get.student.models import Student

ALL = "all"
RULES = (*Rule, ALL)
STATES = ("input", "shared", "zeros")
TRIED = 3  # samples with which the graph is traced


@dataclass(frozen=True)
class Options:
    """What is fixed in a graph.

    Args:
        rule: which state is decoded, a `Rule`, or 'all' for the image of every iteration, and the residuals.
        iterations: fixed-point iterations; None is the number trained with.
        initial: z_0 is an 'input', or in the graph: the draw that is 'shared' by all samples, or 'zeros'.
    """

    rule: str = Rule.LOWEST_RESIDUAL
    iterations: int | None = None
    initial: str = "input"

    def __post_init__(self) -> None:
        for name, value, known in (("rule", self.rule, RULES), ("initial", self.initial, STATES)):
            if value not in known:
                raise UserError(f"{name} is {value!r}; it must be one of {', '.join(known)}")

    def require_state(self, student: Student) -> None:
        """Raise `UserError` if an option asks for a state that the student does not have."""
        rule = Rule.LAST if self.rule == ALL else self.rule
        initial = Sampling.initial if self.initial == "input" else self.initial
        Sampling(iterations=self.iterations, rule=rule, initial=initial).require_state(student)


class Graph(nn.Module):
    """A student with fixed options.

    Its inputs, by name: 'noise' (B, C, H, W) of unit variance, 'label' (B,) int64 if it sees one, 'state'
    z_0 (B, N, D) if it has one that is an input. Its outputs: 'images' (B, C, H, W) in about [-1, 1], or of
    the rule 'all' 'images' (K, B, C, H, W) and 'residuals' (K, B).

    Args:
        student: in evaluation mode.
        options: see `Options`.

    Raises:
        UserError: an option asks for a state that the student does not have.
    """

    def __init__(self, student: Student, options: Options) -> None:
        super().__init__()
        options.require_state(student)
        self.student, self.options = student, options
        self.outputs = ["images", "residuals"] if options.rule == ALL else ["images"]
        self.start: Tensor | None
        inside = student.state_shape is not None and options.initial != "input"
        cpu = torch.device("cpu")
        start = sample_state(student.state_shape, [0], 0, options.initial, cpu) if inside else None
        self.register_buffer("start", start)

    def forward(
        self, noise: Tensor, label: Tensor | None = None, state: Tensor | None = None
    ) -> list[Tensor]:
        """Return the outputs."""
        if self.start is not None:
            state = self.start.expand(noise.shape[0], -1, -1)
        iterations = self.options.iterations
        if self.options.rule == ALL:
            return list(self.student.trajectory(noise, label, state, iterations))
        return [self.student.generate(noise, label, state, iterations, self.options.rule).images]

    def inputs(self, count: int, seed: int) -> dict[str, Tensor]:
        """Return inputs of so many samples, which no training and no score has seen."""
        numbers = range(count)
        drawn = {"noise": normal(numbers, self.student.shape, seed, "export", "noise")}
        if self.student.conditional:
            drawn["label"] = classes_of(numbers, self.student.classes)
        if self.student.state_shape is not None and self.start is None:
            drawn["state"] = normal(numbers, self.student.state_shape, seed, "export", "state")
        return drawn

    def program(self) -> ExportedProgram:
        """Return the graph of any number of samples, as `torch.export` has it; `UserError` if it cannot."""
        tried, batch = self.inputs(TRIED, 0), Dim("batch", min=1)
        shapes = {name: {0: batch} for name in tried}
        try:
            program = torch.export.export(self, (), tried, dynamic_shapes=shapes, strict=False)
        except Exception as error:  # of a student that anybody may have written
            said = str(error).strip().splitlines()[:1]
            raise UserError(
                f"{type(self.student).__name__} is no graph of any number of samples ({' '.join(said)}): in "
                "forward, take noise.shape[0], not len(noise), and branch on no value of a tensor"
            ) from None
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # which names files of this machine
        return program
