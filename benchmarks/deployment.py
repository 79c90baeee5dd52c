"""How long does an image take in torch, torch.export and ONNX Runtime, and how far are the images apart?

    python benchmarks/deployment.py --device cpu --threads 1

The GET and the ViT of digits that come with the package, and a GET for 32x32 images in colour with random
weights. Each is exported as `get export` does, and drawn from the same noise; all take turns.
"""

import argparse
from functools import partial
from typing import Any

import torch
from common import Row, arguments, begin, finish, machine, spread, timed

import get
from get.export import onnx_file, program
from get.export.check import Run
from get.export.graph import Graph, Options
from get.runtime.log import logging_to
from get.student.models import Student, build

BATCHES = (1, 64)
SEED = 1
LARGE: dict[str, Any] = {
    "family": "get", "patch": 4, "width": 128, "heads": 4, "injection_depth": 3, "equilibrium_depth": 2,
    "expansion": 4, "iterations": 6, "conditioning": "injection", "channels": 3, "size": 32, "classes": 10,
}  # fmt: skip


def main() -> None:
    """Run as the module's text says."""
    args = arguments(__doc__).parse_args()
    with logging_to():
        begin(args)
        rows = [row for name, student in models().items() for row in measure(args, name, student)]
        finish(__file__, args, machine(torch.device("cpu")), rows)


def models() -> dict[str, Student]:
    """Return the students by name."""
    torch.manual_seed(0)
    large = build(LARGE).eval().requires_grad_(False)
    torch.nn.init.xavier_uniform_(large.decoder.linear.weight)  # or it would draw nothing
    known = {name: get.load(f"digits/{name}", "cpu").network for name in ("get-48", "vit-48")}
    return known | {"GET, 32x32, random": large}


def measure(args: argparse.Namespace, name: str, student: Student) -> list[Row]:
    """Return a row for each way to run a student: its difference from torch, milliseconds per image."""
    graph = Graph(student, Options()).eval()
    ways = {"torch": torch.no_grad()(lambda given: graph(**given)), **exported(graph)}
    given = {batch: graph.inputs(batch, SEED) for batch in BATCHES}
    calls = {(way, batch): partial(run, given[batch]) for way, run in ways.items() for batch in BATCHES}
    expected = calls["torch", BATCHES[-1]]()[0]
    seconds = timed(calls, torch.device("cpu"), args.repeats)
    rows = []
    for way in ways:
        difference = float((calls[way, BATCHES[-1]]()[0] - expected).abs().max())
        row: Row = {"model": name, "run by": way, "difference": difference}
        for batch in BATCHES:
            row[f"ms per image, batch {batch}"] = 1e3 * spread(seconds[way, batch])["median"] / batch
        rows.append(row)
    return rows


def exported(graph: Graph) -> dict[str, Run]:
    """Return what runs the exported graph, by its name."""
    return {
        "torch.export": program.runner(program.to_program(graph)),
        "ONNX Runtime": onnx_file.runner(onnx_file.to_onnx(graph, "float32")),
    }


if __name__ == "__main__":
    main()
