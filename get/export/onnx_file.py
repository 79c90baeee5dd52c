"""A student as an ONNX file, which runs wherever ONNX Runtime does."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from get.export.check import Checked, Run, check
from get.export.description import describe
from get.export.graph import Graph, Options
from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.student import checkpoint

BOUNDS = {"float32": 1e-3, "float16": 2e-2, "int8": 0.5}  # of the difference from torch, images in [-1, 1]
LEAST = 256  # numbers in a tensor that is worth a smaller type
OPSET = 20


def export_onnx(
    *, weights: str | Path, options: Options, precision: str, names: list[str], output: Path
) -> Checked:
    """Write a student as an ONNX file, whose metadata hold what `describe` tells of it, as JSON under 'get'.

    Args:
        weights: the student's checkpoint; options: see `Options`; names: of its classes, if they have any.
        precision: of the weights in the file, a key of `BOUNDS`; it computes in float32.
        output: the .onnx.

    Raises:
        UserError: the checkpoint is damaged, an option does not suit it, a package is missing, or the file
            draws other images.
    """
    student, header = checkpoint.load(weights)
    graph = Graph(student, options).eval()
    said = describe(graph, header, weights, names) | {"precision": precision, "opset": OPSET}
    written = to_onnx(graph, precision, said)
    checked = check(graph, runner(written), BOUNDS[precision])
    with atomic(output) as temporary:
        temporary.write_bytes(written)
    return checked


def to_onnx(graph: Graph, precision: str, said: dict[str, Any] | None = None) -> bytes:
    """Return a graph as the content of an ONNX file; raises `UserError` if a package is missing."""
    onnx, _ = _packages()
    with _quiet():
        program = torch.onnx.export(
            graph.program(), dynamo=True, verbose=False, opset_version=OPSET, output_names=graph.outputs
        )
    assert program is not None
    model = program.model_proto
    _tidy(model)
    if precision != "float32":
        _store(onnx, model, precision)
    onnx.helper.set_model_props(model, {"get": json.dumps(said or {})})
    content: bytes = model.SerializeToString()
    return content


def _packages() -> tuple[ModuleType, ModuleType]:
    """Return the packages onnx and onnxruntime."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError as error:
        raise UserError(
            f"an .onnx needs packages ({error}): pip install -e '.[onnx]' -c envs/constraints.txt"
        ) from None
    return onnx, onnxruntime


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch.onnx says of its own workings out of the log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidy(model: Any) -> None:
    """Call the number of samples 'batch', and leave out torch's notes of its workings, half of the file."""
    for noted in (
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        del noted.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = "batch"


def _store(onnx: Any, model: Any, precision: str) -> None:
    """Store large float32 tensors in a smaller type, and turn them back where the graph begins."""
    kept, first = [], []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < LEAST:
            kept.append(tensor)
            continue
        stored, node = _smaller(onnx, tensor.name, values, precision)
        kept += [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()]
        first.append(node)
    nodes = [*first, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def _smaller(onnx: Any, name: str, values: np.ndarray, precision: str) -> tuple[dict[str, np.ndarray], Any]:
    """Return the tensors that stand for a float32 one, by name, and the node that turns them back into it."""
    if precision == "float16":
        node = onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        return {f"{name}.half": values.astype(np.float16)}, node
    # int8: symmetric, a scale for each row of the first axis
    rows = np.abs(values).reshape(len(values), -1).max(axis=1)
    scale = np.where(rows > 0, rows / 127, 1).astype(np.float32)
    whole = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    inputs = [f"{name}.int8", f"{name}.scale"]
    node = onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0)
    return dict(zip(inputs, (whole, scale), strict=True)), node


def runner(model: bytes) -> Run:
    """Return the content of an ONNX file as ONNX Runtime runs it: on the CPU, with torch's threads."""
    _, runtime = _packages()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(given: dict[str, Tensor]) -> list[Tensor]:
        found = session.run(None, {name: value.numpy() for name, value in given.items()})
        return [torch.from_numpy(array) for array in found]

    return run
