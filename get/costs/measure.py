"""Costs of students: parameters, operations, time and memory, measured on random weights.

Operations are counted on the meta device and are exact. Times and memory are those of the machine at hand,
all students one after the other in one job, so that they compare. Students of one model share its sampling
time, those of the same training its costs too: measured twice, they would differ by noise.
"""

import json
import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from get.costs.timing import wait
from get.networks.denoiser import build as build_teacher
from get.pairs.dataset import Batch
from get.runtime.device import autocast, pick_device
from get.runtime.log import Progress, log
from get.storage.atomic import write_json
from get.storage.settings import require_keys
from get.storage.temporary import temporary_folder
from get.student.models import Description, Student, build, parameter_count
from get.student.objective import Distillation, Task
from get.training.loop import take_step
from get.training.state import State

WARM_UP, REPEATS = 2, 5  # calls before the timed ones, and timed calls
NO_CHANGE: dict[str, Any] = {  # settings of training that change no cost
    "lr": 0.0,
    "warmup": 0,
    "weight_decay": 0.0,
    "ema": 0.9,
    "ema_warmup": False,
}
Name = TypeVar("Name", bound=Hashable)
MODES = {"plain": False, "checkpointed": True}  # of training; a student with a state has both


def random_inputs(student: Student, count: int, device: torch.device) -> tuple[Batch, Tensor | None]:
    """Return `count` random pairs on `device`, and z_0 (B, N, D) or None for a student without a state."""
    noise, image = (torch.randn(count, *student.shape, device=device) for _ in range(2))
    label = torch.zeros(count, dtype=torch.int64, device=device)
    shape = student.state_shape
    return Batch(noise, image, label), None if shape is None else torch.randn(count, *shape, device=device)


class RandomTraining:
    """A training of a student on random examples: its objective, and the loss as the training loop takes it.

    Args:
        student: on its device, which is also that of the examples.
        options: of the training.
        teacher: arguments of `denoiser.build`, of one with random weights; for objectives that ask one.
    """

    def __init__(self, student: Student, options: Distillation, teacher: Description | None) -> None:
        device = next(student.parameters()).device
        self.batch, _ = random_inputs(student, options.batch, device)
        with device:
            asked = build_teacher(teacher).eval().requires_grad_(False) if teacher else None
        loss = options.build_loss()
        task = Task(student, loss, options.batch, 0, device, asked)
        self.objective, self.student = options.build(task), student
        self.state = State(student.train(), options, "", self.objective.frozen)
        beside = [module for module in (asked, getattr(loss, "network", None)) if module is not None]
        held = (each for module in beside for each in module.state_dict().values())
        self.held = [*self.state.tensors(), *held]

    def loss(self, forward: Callable[..., Tensor], step: int, rows: slice) -> Tensor:
        """Return the loss of these rows."""
        part = Batch(*(tensor[rows] for tensor in self.batch))
        return self.objective(forward, part, step, rows)


def operations(
    description: Description, training: Mapping[str, Any], teacher: Description | None = None
) -> dict[str, int]:
    """Return what a student costs for each image, but for time: operations, and evaluations of a teacher.

    Counted as the paper counts: matrix products and convolutions, one multiply-accumulate being two FLOPs.
    Training is forward and backward pass of the loss (of pairs, on all states, without checkpointing), and
    the forward passes of targets and teacher. Parameters and networks in memory are those of all images.

    Args:
        description: of the student; training: see `training_costs`; teacher: see `RandomTraining`.
    """
    meta = torch.device("meta")
    with meta:
        student = build(description)
    batch, state = random_inputs(student, 1, meta)
    with FlopCounterMode(display=False) as sampling, torch.no_grad():
        student.generate(batch.noise, batch.label, state, rule="last")
    one = RandomTraining(student, options_of(training, batch=1), teacher)
    with FlopCounterMode(display=False) as counted:
        one.loss(student, 0, slice(0, 1)).backward()
    return {
        "parameters": parameter_count(student),
        "macs": sampling.get_total_flops() // 2,
        "training_flops": counted.get_total_flops(),
        "teacher_evaluations": one.objective.teacher_evaluations,
        "networks": one.objective.networks,
    }


def teacher_macs(description: Description) -> int:
    """Return the multiply-accumulates of one evaluation of a teacher, for one image."""
    meta = torch.device("meta")
    with meta:
        teacher = build_teacher(description)
    noise, label = torch.randn(1, *teacher.shape, device=meta), torch.zeros(1, dtype=torch.int64, device=meta)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        teacher(noise, torch.ones(1, device=meta), label)
    return int(counted.get_total_flops()) // 2


def options_of(training: Mapping[str, Any], **change: Any) -> Distillation:
    """Return the options of a training of which only the keys are known that decide its costs."""
    return Distillation.read({**NO_CHANGE, **training, **change}, "training")


def sampling_time(
    student: Student, iterations: Sequence[int | None], batch: int, precision: str
) -> dict[str, dict[str, float]]:
    """Return the seconds per image by number of iterations ('1' without a state); see `spread`."""
    device = next(student.parameters()).device
    inputs, state = random_inputs(student, batch, device)

    def call(count: int | None) -> None:
        with torch.no_grad(), autocast(device, precision):
            student.generate(inputs.noise, inputs.label, state, count)

    seconds = timed({str(count or 1): partial(call, count) for count in iterations}, device)
    return {name: spread(values / batch) for name, values in seconds.items()}


def training_step(
    student: Student, options: Distillation, teacher: Description | None = None
) -> dict[str, Any]:
    """Return iterations per second (see `spread`) and the peak memory in bytes of a training step."""
    device = next(student.parameters()).device
    training = RandomTraining(student, options, teacher)
    forward = torch.compile(student) if options.compile else student
    call = partial(take_step, training.state, forward, training.loss, options, seed=0)
    rates = 1 / timed({"step": call}, device)["step"]
    peak = peak_memory(call, device, training.held)
    return {"iterations_per_second": spread(rates), "peak_memory_bytes": peak}


def timed(
    calls: Mapping[Name, Callable[[], object]], device: torch.device, repeats: int = REPEATS
) -> dict[Name, np.ndarray]:
    """Return the seconds of so many calls of each, in turn, after some that warm up."""
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    for repeat in range(WARM_UP + repeats):
        for name, call in calls.items():
            wait(device)
            begun = time.perf_counter()
            call()
            wait(device)
            if repeat >= WARM_UP:
                seconds[name].append(time.perf_counter() - begun)
    return {name: np.array(values) for name, values in seconds.items()}


def spread(values: np.ndarray) -> dict[str, float]:
    """Return the median, and the quartiles as low and high."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "low": low, "high": high}


def peak_memory(call: Callable[[], object], device: torch.device, held: Iterable[Tensor]) -> int:
    """Return the most bytes that torch holds during `call` for one model.

    The sizes of the tensors that are `held` all the time, and the peak of what is allocated during the call:
    by the allocator of a CUDA device, or what the profiler sees allocated and freed on a CPU.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        # other models may be there, too
        return sum(t.nbytes for t in held) + torch.cuda.max_memory_allocated(device) - before
    # Every allocation (+) and release (-) during the call, in order
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler says that it finds no GPU, as an error
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    with temporary_folder() as folder:
        trace = folder / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    # The peak of their sum, on top of what is held all the time
    return sum(t.nbytes for t in held) + max(np.cumsum([size for _, size in changes]).tolist())


def sampling_costs(
    description: Description, evaluation: Mapping[str, Any], device: torch.device
) -> dict[str, dict[str, float]]:
    """Return `sampling_time`; `evaluation` has the 'batch', 'iterations' and 'precision' of sampling."""
    student = _built(description, device).eval()
    counts = sorted({student.iterations, *evaluation["iterations"]}) if student.state_shape else [None]
    return sampling_time(student, counts, evaluation["batch"], evaluation["precision"])


def training_costs(
    description: Description, training: Mapping[str, Any], teacher: Description | None, device: torch.device
) -> dict[str, dict[str, Any]]:
    """Return `training_step` in those of `MODES` that the model has and the memory of the device allows.

    `training` has 'batch', 'clip', 'compile', 'precision', and 'objective', 'loss' and the objective's keys
    where these are not those of the paper; `teacher`: see `RandomTraining`.
    """
    student = _built(description, device)
    costs = {}
    for mode in MODES if student.state_shape else ["plain"]:
        try:
            checkpointing = {"checkpointing": True} if MODES[mode] else {}
            costs[mode] = training_step(student, options_of(training, **checkpointing), teacher)
        except torch.OutOfMemoryError:
            log.info("not enough memory on %s for training (%s) at batch %d", device, mode, training["batch"])
    return costs


def _built(description: Description, device: torch.device) -> Student:
    torch.manual_seed(0)
    return build(description).to(device)


def measure_costs(
    *,
    students: Mapping[str, Mapping[str, Any]],
    evaluation: Mapping[str, Any],
    threads: int,
    device: str,
    output: str | Path,
    teachers: Mapping[str, Description] | None = None,
) -> None:
    """Measure all students and write JSON: the device, and under `students` the costs of each by name.

    Under `teachers` are the multiply-accumulates of one evaluation of each, for one image.

    Args:
        students: by name, 'model' (the whole description) and 'training', as for `training_costs`, and
            'teacher', the whole description of one that is asked while the student is trained.
        evaluation: as for `sampling_costs`; threads: of the CPU; device: see `device.pick_device`.
        output: the JSON file.
        teachers: whole descriptions by name, if any.
    """
    torch.set_num_threads(threads)
    on, costs = pick_device(device), {}
    measured: dict[str, Any] = {}

    def once(measure: Callable[..., Any], *settings: Any) -> Any:
        key = json.dumps([measure.__name__, *settings], sort_keys=True)
        if key not in measured:
            measured[key] = measure(*settings, on)
        return measured[key]

    progress = Progress("costs", len(students))
    for name, student in students.items():
        teacher = student.get("teacher")
        require_keys(student, ("model", "training", *(["teacher"] if teacher else [])), f"settings of {name}")
        model, training = student["model"], student["training"]
        costs[name] = operations(model, training, teacher)
        costs[name]["training"] = once(training_costs, model, training, teacher)
        costs[name]["sampling"] = once(sampling_costs, model, evaluation)
        progress.advance(note=name)
    progress.close()
    cuda = on.type == "cuda"
    machine = torch.cuda.get_device_name(on) if cuda else f"CPU, {threads} thread{'s' * (threads > 1)}"
    found = {"device": machine, "torch": torch.__version__, **evaluation, "students": costs}
    if teachers:
        found["teachers"] = {name: {"macs": teacher_macs(each)} for name, each in teachers.items()}
    write_json(output, found)
