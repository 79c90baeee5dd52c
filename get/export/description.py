"""What an exported graph says of itself."""

from pathlib import Path
from typing import Any

from get import __version__
from get.export.graph import Graph
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.pretrained import find
from get.storage.weights import Header

SAID = ("model", "training", "step", "seed", "pairs", "teacher", "source")


def describe(graph: Graph, header: Header, weights: str | Path, names: list[str]) -> dict[str, Any]:
    """Return how the student was made, inputs and outputs, names of its classes, and its file's SHA-256.

    Raises:
        UserError: there are not as many names as classes.
    """
    student, options = graph.student, graph.options
    classes = student.classes if student.conditional else 0
    if names and len(names) != classes:
        raise UserError(f"--classes has {len(names)} names, but the student sees {classes} classes")
    stateful = student.state_shape is not None
    fixed = {
        "rule": options.rule,
        "initial": options.initial,
        "iterations": options.iterations or student.iterations,
    }
    return {
        "library_name": "get-distillation",
        "library_version": __version__,
        **{key: header[key] for key in SAID if header.get(key) is not None},
        **(fixed if stateful else {}),
        "inputs": {name: list(value.shape[1:]) for name, value in graph.inputs(1, 0).items()},
        "outputs": graph.outputs,
        "classes": names or [str(number) for number in range(classes)],
        "weights": sha256(find(weights)),
    }
