"""Does a device compute what the CPU does, and do precision, compiler and interruptions change nothing more?

    python benchmarks/device_checks.py --device cuda --config workflow/config/cifar10.yaml \
        --students get-mini vit-base --parts students teacher scores precision compiler cache resume

Students and teacher are those of the config, with random weights, and see random pairs. Each check says what
was found, and what is allowed; where more was found the script ends with 1.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
import yaml
from common import Row, arguments, begin, finish, machine, write
from input import fabricate
from torch import Tensor, nn

from get.costs.measure import RandomTraining, options_of, peak_memory
from get.experiment import Experiment, load
from get.experiment.settings import costs_of, student_settings
from get.networks.denoiser import build as build_teacher
from get.pairs.dataset import Batch
from get.runtime.log import logging_to
from get.runtime.seeding import classes_of, normal
from get.scoring import metrics
from get.scoring.extractors.classifier import Classifier
from get.storage.atomic import write_json
from get.student.initial import sample_state
from get.student.losses.l1 import L1
from get.student.models import Student, build
from get.student.objectives.pairs import decoded_states, weighted_loss
from get.teacher.generation import sample
from get.teacher.samplers import Sampler
from get.teacher.training import edm_loss
from get.training.journal import read_journal
from get.training.loop import take_step
from get.training.state import State

CPU = torch.device("cpu")
Network = TypeVar("Network", bound=nn.Module)
MILESTONES = 50, 400  # of the training that is stopped, beyond the first line of its history
HEUN: dict[str, Any] = {"num_steps": 4, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
DECAY = 0.8  # of the loss over states
ROUNDING = 1e-3  # of float32 through a whole network, in proportion
ALLOWED = {"tf32": 0.02, "bfloat16": 0.05}  # of the loss after some steps, in proportion


def check(what: str, found: float, allowed: float) -> Row:
    """Return a row of the table."""
    return {"check": what, "found": found, "allowed": allowed, "fails": not found <= allowed}


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Return how far two tensors are apart, in proportion to the second (2-norms)."""
    ours, theirs = ours.detach().double().cpu(), theirs.detach().double().cpu()
    return float((ours - theirs).norm() / theirs.norm())


def awake(network: Network) -> Network:
    """Return the network with no layer next to zero, as some are before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for p in network.parameters():
            p.data += 0.02 * torch.randn_like(p)
    return network


class Given:
    """What is checked: a device, students by name, and a batch of random pairs for each."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
        self.experiment: Experiment = load(config)
        self.students = {name: costs_of(self.experiment, name) for name in args.students}

    def student(self, name: str, device: torch.device) -> Student:
        """Return a student, the same on every device."""
        torch.manual_seed(0)
        return awake(build(self.students[name]["model"])).to(device)

    def inputs(self, student: Student, device: torch.device) -> tuple[Batch, Tensor | None]:
        """Return random pairs and z_0, the same on every device."""
        numbers = range(self.args.batch)
        noise, image = (normal(numbers, student.shape, 0, "evaluation", name) for name in ("noise", "image"))
        label = classes_of(numbers, student.classes if student.conditional else 0)
        batch = Batch(noise, image.clamp(-1, 1), label).on(device)
        state = sample_state(student.state_shape, numbers, 0, "independent", CPU)  # devices draw differently
        return batch, None if state is None else state.to(device)

    def losses(self, name: str, **change: Any) -> list[float]:
        """Return the losses of some steps on the device, from the same weights, on the same pairs."""
        student = self.student(name, self.device)
        options = options_of(self.students[name]["training"], lr=1e-3, batch=self.args.batch, **change)
        training = RandomTraining(student, options, self.students[name].get("teacher"))
        training.batch, _ = self.inputs(student, self.device)
        forward = torch.compile(student) if options.compile else student
        found = []

        def loss(forward: Any, step: int, rows: slice) -> Tensor:
            found.append(training.loss(forward, step, rows))
            return found[-1]

        for _ in range(self.args.steps):
            take_step(training.state, forward, loss, options, seed=0)
        return [float(value.detach()) for value in found]


def students(given: Given) -> Iterator[Row]:
    """Images, loss and gradients of students, to the CPU's."""
    for name in given.students:
        images, gradients, losses = [], [], []
        for device in (given.device, CPU):
            student = given.student(name, device)
            batch, state = given.inputs(student, device)
            with torch.no_grad():
                images.append(student.trajectory(batch.noise, batch.label, state).images)
            decoded = decoded_states(student, batch.noise, batch.label, state)
            losses.append(weighted_loss(decoded, batch.image, L1(), DECAY))
            losses[-1].backward()
            gradients.append(
                torch.cat([p.grad.flatten().cpu() for p in student.parameters() if p.grad is not None])
            )
        yield check(f"{name}: images of all iterations", apart(*images), ROUNDING)
        yield check(f"{name}: loss", apart(*losses), ROUNDING)
        yield check(f"{name}: gradients", apart(*gradients), 10 * ROUNDING)


def teacher(given: Given) -> Iterator[Row]:
    """The teacher of the first student: one evaluation, and the images of a few Heun steps."""
    experiment = given.experiment
    entry = experiment.teacher_of(experiment.students[given.args.students[0]])
    outputs, images = [], []
    for device in (given.device, CPU):
        torch.manual_seed(0)
        network = awake(build_teacher(experiment.network_of(entry))).eval().requires_grad_(False)
        noise = normal(range(4), network.shape, 0, "evaluation", "noise").to(device)
        label = classes_of(range(4), network.classes).to(device)
        network.to(device)
        outputs.append(network(noise, torch.ones(4, device=device), label))
        sampler = Sampler(**HEUN, precision="float32", batch=4)
        images.append(sample(network, noise, label, sampler, device))
    yield check("teacher: an evaluation", apart(*outputs), ROUNDING)
    yield check(f"teacher: images of {HEUN['num_steps']} Heun steps", apart(*images), 10 * ROUNDING)


def scores(given: Given) -> Iterator[Row]:
    """Features of a classifier, and FID, IS and KID of the same features."""
    images = torch.rand(2000, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = []
    for device in (given.device, CPU):
        torch.manual_seed(0)
        network = Classifier(channels=3, size=32, classes=10, width=16, features=64).to(device)
        with torch.no_grad():
            found.append([layer.cpu() for layer in network.layers(images.to(device))])
    for what, ours, theirs in zip(("features", "logits"), *found, strict=True):
        yield check(f"classifier: {what}", apart(ours, theirs), ROUNDING)
    rows, logits = (layer.numpy() for layer in found[1])
    half, subsets = len(rows) // 2, metrics.parts_of(len(rows), 10)
    moved = rows + 0.1 * rows.std()  # or KID would be rounding alone
    for what, score in {
        "FID": lambda on: frechet(rows[:half], moved[half:], on),
        "Inception Score": lambda on: float(np.mean(metrics.inception_scores(logits, subsets, on))),
        "KID": lambda on: float(np.mean(metrics.kernel_distances(rows[:half], moved[half:], 5, 200, on))),
    }.items():
        ours, theirs = score(given.device), score(CPU)
        yield check(what, abs(ours - theirs) / abs(theirs), 1e-5)


def frechet(generated: np.ndarray, real: np.ndarray, device: torch.device) -> float:
    """Return the Fréchet distance of features."""
    found, wanted = (metrics.moments(rows, device) for rows in (generated, real))
    return float(metrics.frechet(found, wanted, metrics.square_root(wanted.sigma)))


def precision(given: Given) -> Iterator[Row]:
    """The loss after some steps in lower precision, to float32."""
    for name in given.students:
        wanted = given.losses(name, precision="float32")[-1]
        for kind in ("tf32", "bfloat16") if given.device.type == "cuda" else ("bfloat16",):
            found = given.losses(name, precision=kind)[-1]
            yield check(f"{name}: loss in {kind}", abs(found / wanted - 1), ALLOWED[kind])


def compiler(given: Given) -> Iterator[Row]:
    """The loss of students and teacher after some compiled steps, to uncompiled ones; breaks of the graph."""
    from torch._dynamo.utils import counters

    trainings = {name: partial(given.losses, name, precision="float32") for name in given.students}
    for name, losses in {**trainings, "teacher": partial(teacher_losses, given)}.items():
        wanted = losses(compile=False)[-1]
        torch.compiler.reset()
        counters.clear()
        found = losses(compile=True)[-1]
        yield check(f"{name}: loss, compiled", abs(found / wanted - 1), ROUNDING)
        yield check(f"{name}: breaks of the graph", sum(counters["graph_break"].values()), 0)
        # none if nothing was compiled, and one more for each time that a step did not fit it
        yield check(f"{name}: graphs beside one", abs(counters["stats"]["unique_graphs"] - 1), 0)


def teacher_losses(given: Given, compile: bool) -> list[float]:
    """Return the losses of some steps of a teacher's training on random images."""
    experiment, found = given.experiment, []
    torch.manual_seed(0)
    network = experiment.network_of(experiment.teacher_of(experiment.students[given.args.students[0]]))
    teacher = awake(build_teacher(network)).to(given.device).train()
    wanted = {"batch": given.args.batch, "clip": 1.0, "compile": compile, "precision": "float32"}
    options = options_of(wanted, lr=1e-3)
    state, forward = State(teacher, options, ""), torch.compile(teacher) if compile else teacher
    numbers, shape = range(given.args.batch), teacher.shape
    image, noise = (normal(numbers, shape, 0, name).to(given.device) for name in ("image", "noise"))
    label = classes_of(numbers, teacher.classes).to(given.device) if teacher.classes else None
    sigma = torch.linspace(0.1, 2, given.args.batch, device=given.device)

    def loss(denoise: Any, step: int, rows: slice) -> Tensor:
        found.append(edm_loss(denoise, image, noise, sigma, label, teacher.sigma_data))
        return found[-1]

    for _ in range(given.args.steps):
        take_step(state, forward, loss, options, seed=0)
    return [float(value.detach()) for value in found]


def cache(given: Given) -> Iterator[Row]:
    """The seconds of a compiled training that goes on from another, whose code it finds, to that one's."""
    steps = [given.args.steps, 2 * given.args.steps]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings, manifest = fabricated(given, folder, compile=True)
        outputs = [folder / f"{step}.pt" for step in steps]
        seconds = []
        for step, output, start in zip(steps, outputs, [None, outputs[0]], strict=True):
            begun = time.perf_counter()
            command = trainer(given, settings, manifest, step, output, start)
            kept = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(folder / "code")}
            subprocess.run(command, check=True, env=kept)
            seconds.append(time.perf_counter() - begun)
        yield check("seconds of a compiled training that follows another", seconds[1] / seconds[0], 0.8)


def checkpointing(given: Given) -> Iterator[Row]:
    """The losses of a GET in O(1)-memory mode, to the plain one; and its share of the memory."""
    for name in (name for name, of in given.students.items() if of["model"]["family"] == "get"):
        plain, saving = (given.losses(name, precision="float32", checkpointing=on) for on in (False, True))
        yield check(
            f"{name}: losses in O(1) memory",
            max(abs(a / b - 1) for a, b in zip(saving, plain, strict=True)),
            ROUNDING,
        )
        peaks = []
        for on in (True, False):
            student = given.student(name, given.device)
            options = options_of(given.students[name]["training"], batch=given.args.batch, checkpointing=on)
            training = RandomTraining(student, options, None)
            call = partial(take_step, training.state, student, training.loss, options, seed=0)
            call()
            peaks.append(peak_memory(call, given.device, training.held))
        yield check(f"{name}: share of the memory", peaks[0] / peaks[1], 0.8)


def resume(given: Given) -> Iterator[Row]:
    """A training of two milestones: once as it is, once asked to stop on the way and started again."""
    first, last = MILESTONES
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train = partial(trainer, given, *fabricated(given, folder))
        # Both trainings
        outputs = [folder / kind / f"{last}.pt" for kind in ("whole", "stopped")]
        for output in outputs:
            before = output.with_name(f"{first}.pt")
            subprocess.run(train(first, before), check=True)
            if output.parent.name == "stopped":
                yield check(
                    "steps of the training that was stopped",
                    stop_after(train(last, output, before), output, first),
                    last - 1,
                )
            subprocess.run(train(last, output, before), check=True)
        # To the same weights: bit for bit on a CPU; a GPU's kernels may add in any order
        ours, theirs = (safetensors.torch.load_file(output.with_suffix(".safetensors")) for output in outputs)
        yield check(
            "weights of the stopped one, largest difference",
            max(float((ours[key] - theirs[key]).abs().max()) for key in theirs),
            0 if given.device.type == "cpu" else ROUNDING,
        )  # fmt: skip


def fabricated(given: Given, folder: Path, **change: Any) -> tuple[Path, Path]:
    """Write settings of the first student, and a manifest of random pairs; returns their paths."""
    name = given.args.students[0]
    settings = student_settings(given.experiment, name)
    settings["training"] |= {"batch": given.args.batch, **change}
    write_json(folder / "settings.json", settings)
    shape = tuple(given.inputs(given.student(name, CPU), CPU)[0].noise.shape[1:])
    return folder / "settings.json", fabricate(folder, 2000, settings["pairs"], shape)


def trainer(
    given: Given, settings: Path, manifest: Path, steps: int, output: Path, start: Path | None = None
) -> list[str]:
    """Return the command that trains to a milestone, on the GPU that this process has claimed."""
    output.parent.mkdir(exist_ok=True)
    command = f"-m get train-student --seed 0 --steps {steps} --device {given.device}"
    command += (
        f" --threads {given.args.threads} --settings {settings} --manifest {manifest} --output {output}"
    )
    return [sys.executable, *command.split(), *(["--previous", str(start)] if start else [])]


def stop_after(command: list[str], output: Path, step: int) -> int:
    """Start a training, ask it to stop once it has gone beyond a step; returns the step where it stopped."""
    process = subprocess.Popen(command)
    journal = output.with_suffix(".journal.jsonl")

    def last() -> int:
        lines = read_journal(journal) if journal.exists() else []
        return max((line.get("step", 0) for line in lines), default=0)

    while process.poll() is None and last() <= step:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait()
    return last()


PARTS: dict[str, Callable[[Given], Iterable[Row]]] = {
    part.__name__: part
    for part in (students, teacher, scores, precision, compiler, cache, checkpointing, resume)
}


def main() -> int:
    """Run as the module's text says; returns 1 if a check fails."""
    parser = arguments(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="of an experiment")
    parser.add_argument("--students", nargs="+", required=True, help="their names")
    parser.add_argument("--batch", type=int, default=16, help="pairs of a step")
    parser.add_argument("--steps", type=int, default=20, help="after which losses are compared")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which checks")
    args = parser.parse_args()
    with logging_to():
        given = Given(args, begin(args))
        limits, rows = machine(given.device), []
        for row in (row for part in args.parts for row in PARTS[part](given)):
            rows.append(row)
            write(__file__, args, limits, rows)  # what is known so far, should it be cut off
        finish(__file__, args, limits, rows)
    return int(any(row["fails"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
