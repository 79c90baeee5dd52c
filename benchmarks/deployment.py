"""How long does an image take in torch, torch.export, ONNX Runtime and a browser, and how far is it off?

    python benchmarks/deployment.py --device cpu --threads 1 --browser

The GET and the ViT of digits that come with the package, and for 32x32 images in colour a GET that sees
classes and a ViT that sees none, both with random weights. Each is exported as `get export` does, and drawn
from the same noise. All take turns but the browser (Chromium with ONNX Runtime Web on one thread of the CPU),
which comes last.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Row, arguments, begin, finish, machine, spread, timed
from torch import Tensor

import get
from get.export import demo, onnx_file, program
from get.export.check import Run
from get.export.graph import Graph, Options
from get.runtime.log import logging_to
from get.student.models import Student, build

BATCHES = (1, 64)
SEED = 1
COLOUR: dict[str, Any] = {"channels": 3, "size": 32, "classes": 10, "patch": 4, "width": 128, "heads": 4}
GET: dict[str, Any] = {"family": "get", "injection_depth": 3, "equilibrium_depth": 2, "expansion": 4}
RANDOM: dict[str, dict[str, Any]] = {
    "GET, 32x32, random": {**COLOUR, **GET, "iterations": 6, "conditioning": "injection"},
    "ViT, 32x32, no classes, random": {**COLOUR, "family": "vit", "depth": 5, "conditioning": "none"},
}
IN_BROWSER = """
const [model, inputs, repeats, done] = arguments;
const ort = await import("./ort/ort.wasm.bundle.min.mjs");
ort.env.wasm.wasmPaths = {wasm: new URL("ort/ort-wasm-simd-threaded.wasm", location.href).href};
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(model, {executionProviders: ["wasm"]});
const feeds = {};
for (const [name, {dims, data}] of Object.entries(inputs)) {
    const label = name === "label";
    const values = label ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
    feeds[name] = new ort.Tensor(label ? "int64" : "float32", values, dims);
}
let images = (await session.run(feeds)).images;  // warms up
const seconds = [];
for (let i = 0; i < repeats; i++) {
    const begun = performance.now();
    images = (await session.run(feeds)).images;
    seconds.push((performance.now() - begun) / 1000);
}
done({seconds, images: [...images.data]});
"""


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__)
    parser.add_argument("--browser", action="store_true", help="also in Chromium (chromedriver, selenium)")
    parser.add_argument("--runtime", type=Path, help="onnxruntime-web as a .tgz; left out, npm fetches it")
    args = parser.parse_args()
    with logging_to():
        begin(args)
        graphs = {name: Graph(student, Options()).eval() for name, student in models().items()}
        rows = {name: measure(args, name, graph) for name, graph in graphs.items()}
        if args.browser:
            for row in in_browser(args, graphs):
                rows[row["model"]].append(row)
        finish(
            __file__, args, machine(torch.device("cpu")), [row for found in rows.values() for row in found]
        )


def models() -> dict[str, Student]:
    """Return the students by name."""
    known = {name: get.load(f"digits/{name}", "cpu").network for name in ("get-48", "vit-48")}
    torch.manual_seed(0)
    for name, description in RANDOM.items():
        known[name] = build(description).eval().requires_grad_(False)
        decoder: Any = known[name].decoder
        torch.nn.init.xavier_uniform_(decoder.linear.weight)  # or it would draw nothing
    return known


def measure(args: argparse.Namespace, name: str, graph: Graph) -> list[Row]:
    """Return a row for each way to run a student here."""
    ways = {"torch": in_torch(graph), **exported(graph)}
    given = {batch: graph.inputs(batch, SEED) for batch in BATCHES}
    calls = {(way, batch): partial(run, given[batch]) for way, run in ways.items() for batch in BATCHES}
    images = {way: calls[way, BATCHES[-1]]()[0] for way in ways}
    seconds = timed(calls, torch.device("cpu"), args.repeats)
    return [
        row_of(name, way, images["torch"], images[way], {batch: seconds[way, batch] for batch in BATCHES})
        for way in ways
    ]


def row_of(name: str, way: str, expected: Tensor, images: Tensor, seconds: dict[int, Any]) -> Row:
    """Return the largest difference from torch, and milliseconds per image."""
    times = {
        f"ms per image, batch {batch}": 1e3 * spread(found)["median"] / batch
        for batch, found in seconds.items()
    }
    return {"model": name, "run by": way, "difference": float((images - expected).abs().max()), **times}


def in_torch(graph: Graph) -> Run:
    """Return what runs the graph as it is."""
    return torch.no_grad()(lambda given: graph(**given))


def exported(graph: Graph) -> dict[str, Run]:
    """Return what runs the exported graph, by its name."""
    return {
        "torch.export": program.runner(program.to_program(graph)),
        "ONNX Runtime": onnx_file.runner(onnx_file.to_onnx(graph, "float32")),
    }


def in_browser(args: argparse.Namespace, graphs: dict[str, Graph]) -> list[Row]:
    """Return a row for each student in Chromium."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from browser import opened, served

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        folder.mkdir()
        (folder / "index.html").write_text("<!doctype html><title>students</title>", encoding="utf-8")
        demo.unpack_runtime(folder / "ort", args.runtime)
        with served(folder) as address, opened(address, Path(scratch)) as page:
            page.driver.set_script_timeout(600)
            for name, graph in graphs.items():
                (folder / "model.onnx").write_bytes(onnx_file.to_onnx(graph, "float32"))
                given = {batch: graph.inputs(batch, SEED) for batch in BATCHES}
                found = {
                    batch: page.driver.execute_async_script(
                        IN_BROWSER, f"model.onnx?{name}", plain(inputs), args.repeats
                    )
                    for batch, inputs in given.items()
                }
                expected = in_torch(graph)(given[BATCHES[-1]])[0]
                images = torch.tensor(found[BATCHES[-1]]["images"]).view_as(expected)
                seconds = {batch: each["seconds"] for batch, each in found.items()}
                rows.append(row_of(name, "browser", expected, images, seconds))
    return rows


def plain(inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Return inputs as JSON has them."""
    return {
        name: {"dims": list(value.shape), "data": value.flatten().tolist()} for name, value in inputs.items()
    }


if __name__ == "__main__":
    main()
