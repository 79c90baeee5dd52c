"""How fast is a training step, beside the published code on the same batch, weights and initial states?

    python benchmarks/training.py --settings results/settings/costs.json --students get-16 get-32 get-48 \
        --threads 1 --reference PATH

`--settings` describes all students of an experiment, here config.yaml (`snakemake FILE --cores 1` makes it).
`--reference` is a clone of locuslab/get, which wants torchdeq and timm installed. Each candidate takes the
same steps from the same weights, so their losses must agree; then all are timed in turn. On a CPU each has a
process of its own, with the settings of memory that its own program makes.
"""

import argparse
import multiprocessing
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from common import Row, arguments, begin, finish, machine, spread, timed, write
from torch import Tensor

from get.costs.measure import operations, peak_memory
from get.pairs.dataset import Batch
from get.runtime.device import pick_device
from get.runtime.log import logging_to
from get.storage.reading import read_json
from get.student.checkpoint import to_published
from get.student.losses.l1 import L1
from get.student.models import Student, build
from get.student.objectives.pairs import decoded_states, weighted_loss
from get.training.loop import take_step
from get.training.optimisation import Optimisation
from get.training.state import State

LR, EMA, DECAY = 1e-4, 0.9999, 0.8  # as the published code has them
# what run.sh of the published code says of the solver
SOLVER = ["--grad=6", "--sup_gap=1", "--f_max_iter=0", "--eval_f_max_iter=6", "--norm_type=none"]


@dataclass
class Candidate:
    """One way to take a step: step(number) -> loss; memory() -> the most bytes that a step holds."""

    step: Callable[[int], float]
    memory: Callable[[], int]


def inputs(model: Row, count: int, device: torch.device) -> tuple[Student, Batch]:
    """Return the student and the batch that all candidates start from."""
    torch.manual_seed(0)
    student = build(model).to(device)
    shape = (count, model["channels"], model["size"], model["size"])
    noise, image = (torch.randn(shape, device=device) for _ in range(2))
    label = torch.arange(count, device=device) % max(model["classes"], 1)
    return student, Batch(noise, image.clamp(-1, 1), label)


def apart(make: Callable[[], Candidate]) -> Candidate:
    """Return the candidate that `make` returns, which lives in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there, torch.get_num_threads(), make), daemon=True).start()
    there.close()

    def ask(question: str, *given: int) -> Any:
        try:
            here.send((question, given))
            return here.recv()
        except (EOFError, OSError):
            raise SystemExit("a candidate's process ended; what it printed says why") from None

    return Candidate(partial(ask, "step"), partial(ask, "memory"))


def _serve(connection: Connection, threads: int, make: Callable[[], Candidate]) -> None:
    torch.set_num_threads(threads)
    candidate = make()
    with suppress(EOFError):  # nobody asks any more
        while True:
            question, given = connection.recv()
            connection.send(getattr(candidate, question)(*given))


def ours(model: Row, count: int, device: torch.device, clip: float | None, **options: Any) -> Candidate:
    """Our step; `options` are precision, compile and checkpointing."""
    pick_device(str(device))  # as a job does
    student, batch = inputs(model, count, device)
    rest: dict[str, Any] = {"warmup": 0, "weight_decay": 0.0, "ema_warmup": False}
    modes = {"checkpointing": options.pop("checkpointing")}
    settings = Optimisation(batch=len(batch.noise), lr=LR, ema=EMA, clip=clip, **rest, **options)
    state = State(student.train(), settings, "")
    forward = torch.compile(student) if settings.compile else student
    last: list[Tensor] = []

    def loss(forward: Any, step: int, rows: slice) -> Tensor:
        z = initial_state(student, len(batch.noise), step, batch.noise.device)
        images = decoded_states(forward, batch.noise, batch.label, z, **modes)
        last[:] = [weighted_loss(images, batch.image, L1(), DECAY)]
        return last[0]

    def step(number: int) -> float:
        take_step(state, forward, loss, settings, seed=0)
        return float(last[0].detach())

    return Candidate(step, lambda: peak_memory(lambda: step(0), device, state.tensors()))


def initial_state(student: Student, batch: int, step: int, device: torch.device) -> Tensor | None:
    """Draw z_0 as the published code will: from the global generator, first of all."""
    torch.manual_seed(step)
    return torch.randn(batch, *student.state_shape, device=device) if student.state_shape else None


def published(reference: Path, model: Row, count: int, device: torch.device, o1: bool) -> Candidate:
    """The published step: its model, its loss with its logging, AdamW and its loop for the average."""
    student, batch = inputs(model, count, device)
    sys.path.insert(0, str(reference))
    stand_in("pytorch_gan_metrics", "get_inception_score_and_fid")  # no longer imports
    stand_in("piq", "LPIPS", "DISTS")
    from losses import L1Loss  # type: ignore[import-not-found]
    from models.get import GET  # type: ignore[import-not-found]
    from models.vit import ViT  # type: ignore[import-not-found]
    from torchdeq import add_deq_args
    from torchdeq.loss import fp_correction
    from utils import update_ema  # type: ignore[import-not-found]

    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    parser = argparse.ArgumentParser()
    add_deq_args(parser)
    args = parser.parse_args(SOLVER, Namespace(mem=o1))
    sizes = {"input_size": model["size"], "patch_size": model["patch"], "in_channels": model["channels"]}
    sizes |= {"hidden_size": model["width"], "num_heads": model["heads"], "num_classes": model["classes"]}
    conditional = model["conditioning"] != "none"
    if model["family"] == "get":
        depths = {"depth": model["injection_depth"], "deq_depth": model["equilibrium_depth"]}
        make = partial(GET, args, **sizes, **depths, deq_mlp_ratio=model["expansion"], cond=conditional)
    else:
        make = partial(ViT, args, **sizes, depth=model["depth"], cond=conditional)
    network, average = make().to(device), make().to(device).requires_grad_(False)
    network.load_state_dict(to_published(student))
    update_ema(average, network, decay=0)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0)
    image = batch.image if conditional else batch.image.double()  # as its unconditional pairs are stored
    label = batch.label if conditional else None

    def step(number: int) -> float:
        torch.manual_seed(number)
        torch.backends.cuda.matmul.allow_tf32 = True
        loss, _ = fp_correction(L1Loss(), (network(batch.noise, label), image), return_loss_values=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        update_ema(average, network, decay=EMA)
        return float(loss.detach())

    def memory() -> int:
        moments = [t for values in optimizer.state.values() for t in values.values()]
        held = [*network.state_dict().values(), *average.state_dict().values(), *moments]
        return peak_memory(lambda: step(0), device, held)

    return Candidate(step, memory)


def stand_in(name: str, *attributes: str) -> None:
    """Let a module that is only imported be there."""
    module = ModuleType(name)
    vars(module).update(dict.fromkeys(attributes))
    sys.modules.setdefault(name, module)


def measure(
    name: str, settings: Row, args: argparse.Namespace, device: torch.device, limits: Row
) -> list[Row]:
    """Return the rows of one student."""
    model, count = settings["model"], args.batch or settings["training"]["batch"]
    is_get = model["family"] == "get"
    modes = [False, True] if is_get and args.o1 else [False]  # whether in O(1) memory
    makes: dict[str, Callable[[], Candidate]] = {}
    precisions = {}
    for precision in args.precisions:
        for o1 in modes:
            options = {"precision": precision, "compile": args.compile, "checkpointing": o1}
            text = f"ours, {precision}{', compiled' * args.compile}{', O(1)' * o1}"
            makes[text] = partial(ours, model, count, device, settings["training"]["clip"], **options)
            precisions[text] = precision
    if args.reference and (is_get or model["conditioning"] == "none"):  # its conditional ViT does not run
        for o1 in modes:
            text = f"published{', O(1)' * o1}"
            makes[text] = partial(published, args.reference, model, count, device, o1)
            precisions[text] = "tf32" if device.type == "cuda" else "float32"
    candidates = {text: apart(make) if device.type == "cpu" else make() for text, make in makes.items()}
    losses = {}
    for text, each in candidates.items():
        for number in range(args.steps):
            losses[text] = each.step(number)
    calls = {text: partial(each.step, 0) for text, each in candidates.items()}
    seconds = timed(calls, device, args.repeats)
    flops = operations(model, settings["training"])["training_flops"] * count
    rows = []
    for text, each in candidates.items():
        step = spread(seconds[text])
        row = {"student": name, "code": text, "batch": count, "ms/step": 1e3 * step["median"]}
        row |= {"low": 1e3 * step["low"], "high": 1e3 * step["high"], "images/s": count / step["median"]}
        base = seconds.get("published")
        row["x published"] = None if base is None else spread(base)["median"] / step["median"]
        row["of matrix rate"] = flops / step["median"] / limits["matrix_flops"][precisions[text]]
        row["memory (MB)"] = each.memory() / 1e6
        row["loss"] = losses[text]
        rows.append(row)
    return rows


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__, "locuslab/get")
    parser.add_argument("--settings", type=Path, required=True, help="settings/costs.json of an experiment")
    parser.add_argument("--students", nargs="+", required=True, help="their names")
    parser.add_argument("--batch", type=int, help="left out, each student's own")
    parser.add_argument("--steps", type=int, default=10, help="after which the losses are compared")
    parser.add_argument("--precisions", nargs="+", default=["float32"], help="of our code")
    parser.add_argument("--compile", action="store_true", help="our code with torch.compile")
    parser.add_argument("--o1", action="store_true", help="O(1)-memory mode too")
    args = parser.parse_args()
    with logging_to():
        device = begin(args)
        limits, students = machine(device), read_json(args.settings)["students"]
        rows: list[Row] = []
        for name in args.students:
            rows += measure(name, students[name], args, device, limits)
            write(__file__, args, limits, rows)  # what is known so far, should it be cut off
    finish(__file__, args, limits, rows)


if __name__ == "__main__":
    main()
