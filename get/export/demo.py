"""A page that draws in the browser: models, ONNX Runtime Web and one HTML file in a folder for any server."""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from get.api import open_pairs
from get.data.store import to_bytes
from get.export.description import describe
from get.export.graph import ALL, Graph, Options
from get.export.onnx_file import to_onnx
from get.sampling.comparison import short_names
from get.storage.atomic import new_folder, write_json
from get.storage.errors import UserError
from get.storage.reading import missing, reading
from get.student import checkpoint
from get.student.models import parameter_count

PAGE = Path(__file__).with_name("demo.html")
PACKAGE = "onnxruntime-web@1.30.0"
RUNTIME = (  # what the page loads of it: with WebGPU, and without
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
)
SHOWN = 60  # pairs of the teacher


def write_demo(
    *,
    students: Sequence[Path],
    pairs: Path | None,
    names: list[str],
    runtime: Path | None,
    output: Path,
) -> None:
    """Write a new folder: index.html, models/*.onnx, demo.json, ort/ and, with pairs, pairs.bin.

    Args:
        students: their checkpoints, of images of one shape and of one number of classes.
        pairs: of their teacher (a folder or manifest), whose first are shown beside what the students draw.
        names: of the classes.
        runtime: the package onnxruntime-web as a .tgz; left out, npm fetches it.
        output: the folder.

    Raises:
        UserError: a checkpoint or the pairs are damaged, the models are of different images, or there is no
            package and no npm.
    """
    if runtime is not None and not runtime.exists():
        raise missing(runtime)
    graphs = [_graph(path) for path in students]
    kinds = {(graph.student.shape, _classes(graph)) for graph in graphs}
    if len(kinds) != 1:
        raise UserError("the students' images differ in shape or classes; show them in pages of their own")
    ((shape, classes),) = kinds
    with new_folder(output) as folder:
        (folder / "models").mkdir()
        models = []
        for name, path, graph in zip(_names(students), students, graphs, strict=True):
            said = describe(graph, checkpoint.load(path)[1], path, names)
            (folder / f"models/{name}.onnx").write_bytes(to_onnx(graph, "float32", said))
            models.append(_model(name, graph, said))
        shown = _pairs(folder / "pairs.bin", pairs, shape) if pairs else None
        labels = names or [str(number) for number in range(classes)]
        write_json(
            folder / "demo.json", {"shape": shape, "classes": labels, "models": models, "pairs": shown}
        )
        unpack_runtime(folder / "ort", runtime)
        shutil.copyfile(PAGE, folder / "index.html")


def _graph(path: Path) -> Graph:
    """Return a student as a graph that gives every iteration, if it has any."""
    student, _ = checkpoint.load(path)
    return Graph(student, Options(rule=ALL) if student.state_shape else Options()).eval()


def _classes(graph: Graph) -> int:
    return graph.student.classes if graph.student.conditional else 0


def _names(students: Sequence[Path]) -> list[str]:
    """Return names of files for the students, each its own."""
    found = [name.replace("/", "-") for name in short_names(students)]
    return [name if found.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(found)]


def _model(name: str, graph: Graph, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page has to know of a model."""
    family = said["model"]["family"]
    title = {"get": "GET", "vit": "ViT", "unet": "U-Net"}.get(family, family)
    return {
        "name": name,
        "title": f"{title}, {parameter_count(graph.student):,} parameters",
        "inputs": said["inputs"],
        "iterations": said.get("iterations", 1),
    }


def _pairs(path: Path, source: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    """Write noise (float32), then images (uint8), of the teacher's first pairs; returns count and classes."""
    found = open_pairs(source)
    if tuple(found.shape) != shape:
        raise UserError(f"{source} has images {tuple(found.shape)}, but the students draw {shape}")
    noise, image, label = found.batch(torch.arange(min(SHOWN, len(found))))
    path.write_bytes(b"".join(each.numpy().tobytes() for each in (noise.float(), to_bytes(image.float()))))
    return {"count": len(label), "labels": label.tolist()}


def unpack_runtime(folder: Path, package: Path | None) -> None:
    """Unpack what a page loads of ONNX Runtime Web into a new folder; `package`: see `write_demo`."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        path = package or _fetched(Path(scratch))
        with reading(path, f"package {PACKAGE} as npm packs it"), tarfile.open(path) as archive:
            for name in RUNTIME:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())


def _fetched(folder: Path) -> Path:
    """Let npm fetch the package."""
    npm = shutil.which("npm")
    remedy = f"fetch it elsewhere (npm pack {PACKAGE}) and name the file: --runtime FILE.tgz"
    if npm is None:
        raise UserError(f"the page needs {PACKAGE}, and there is no npm to fetch it; {remedy}")
    done = subprocess.run([npm, "pack", PACKAGE], cwd=folder, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise UserError(f"npm could not fetch {PACKAGE} ({done.stderr.strip()[-200:]}); {remedy}")
    (packed,) = folder.glob("*.tgz")
    return packed
