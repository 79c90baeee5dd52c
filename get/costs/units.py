"""What units of work take on the device at hand: measured in seconds, on random weights and random data.

Nothing is trained, read or downloaded. Each unit runs as in its job, at the batch, precision and number of
threads of the config. Where a call with all images of a batch would take long (a large network on a CPU),
smaller calls are timed and a straight line is drawn through them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from get.costs.measure import RandomTraining, options_of, peak_memory
from get.costs.timing import LIMIT, seconds_of, timing
from get.experiment import Experiment
from get.experiment.counts import Unit
from get.experiment.settings import costs_of, student_settings
from get.imports.teachers import describe
from get.networks.denoiser import Denoiser
from get.networks.denoiser import build as build_teacher
from get.runtime import plugins
from get.runtime.device import autocast, pick_device
from get.runtime.limits import is_out_of_memory
from get.runtime.log import Progress, log
from get.runtime.seeding import classes_of, generator
from get.sampling.one_step import Sampling, sample
from get.scoring.extractors import PACKAGE as EXTRACTORS
from get.scoring.extractors import inception
from get.scoring.features import Extractor, Features
from get.scoring.metrics import moments, resamples_of, square_root
from get.scoring.reference import Reference
from get.scoring.scores import Scoring, bootstrap, compare_with_train, score
from get.storage.errors import UserError
from get.storage.temporary import temporary_folder
from get.storage.weights import write_weights
from get.student.models import Student, parameter_count
from get.student.models import build as build_student
from get.student.objective import Distillation
from get.teacher.training import NoiseLevels, edm_loss
from get.training.loop import take_step
from get.training.optimisation import Optimisation
from get.training.state import State


class Cost(NamedTuple):
    """What a unit takes.

    Attributes:
        seconds: by name.
        memory: bytes of the device beside those of a process that has just started; None if not known.
        disk: bytes of the model, with the state of its training where that is kept.
        share: of a batch that was timed.
    """

    seconds: dict[str, float]
    memory: int | None = None
    disk: int = 0
    share: float = 1.0


# ------------------------------------------------------------------------------------------------- training


def student_step(experiment: Experiment, name: str, gpus: int, device: torch.device) -> Cost:
    """A step of distillation, as a process of a training takes it."""
    training = student_settings(experiment, name)["training"]
    batch = training["batch"] // processes(experiment, "student", gpus)
    parts = experiment.all_students[name].training.accumulate or 1
    options = Distillation.read({**training, "batch": batch, "accumulate": parts}, "training")
    return distillation_step(experiment, name, options, device, relieved=True)


def whole_step(experiment: Experiment, name: str, gpus: int, device: torch.device) -> Cost:
    """A step of distillation as the job costs measures it: of the whole batch, without checkpointing."""
    return distillation_step(experiment, name, options_of(costs_of(experiment, name)["training"]), device)


def distillation_step(
    experiment: Experiment, name: str, options: Distillation, device: torch.device, relieved: bool = False
) -> Cost:
    """Return the cost of a step; where memory is short, as training goes on if it is `relieved`."""
    student = student_of(experiment, name).to(device)
    training = RandomTraining(student, options, costs_of(experiment, name).get("teacher"))

    def loss(count: int, forward: Any, step: int, rows: slice) -> Tensor:
        return training.loss(forward, step, slice(0, count // options.accumulate))

    trained = sum(p.numel() for p in student.parameters())
    state = weight_bytes(student) + 3 * 4 * trained  # with their average and the optimiser's two moments
    if training.objective.frozen:
        state += weight_bytes(training.objective.frozen)
    measure = partial(training_step, training.state, training.held, loss, options, device)
    cost = None
    try:
        cost = measure()
    except (MemoryError, RuntimeError) as error:
        if not (relieved and is_out_of_memory(error) and training.objective.relieve()):
            raise
    if cost is None:  # here the failed attempt has let go of its memory
        student.zero_grad()
        torch.cuda.empty_cache()
        cost = measure()
    return cost._replace(disk=cost.disk + state)


def student_of(experiment: Experiment, name: str) -> Student:
    """Return a student with random weights."""
    student = experiment.all_students[name]
    torch.manual_seed(0)
    shape = experiment.shape(experiment.teacher_of(student).conditional)
    return build_student(student.model.settings() | shape)


def processes(experiment: Experiment, kind: str, gpus: int) -> int:
    """Return how many processes share a training that asks for GPUs, of which there are so many."""
    return max(1, min(experiment.jobs[kind].gpu, gpus))


def teacher_step(experiment: Experiment, name: str, gpus: int, device: torch.device) -> Cost:
    """A step of training a teacher."""
    entry, teacher = experiment.teachers[name], teacher_of(experiment, name).to(device)
    assert entry.training
    batch = entry.training.batch // processes(experiment, "teacher", gpus)
    options = Optimisation(**{**entry.training.settings(), "batch": batch})
    levels = NoiseLevels(**entry.noise_levels.settings())
    images = torch.rand(batch, *teacher.shape, device=device)
    labels = classes_of(range(batch), teacher.classes).to(device)

    def loss(count: int, denoise: Any, step: int, rows: slice) -> Tensor:
        source = generator(0, step, device=device)
        noise = torch.randn((count, *teacher.shape), generator=source, device=device)
        label = labels[:count] if teacher.classes else None
        return edm_loss(denoise, images[:count], noise, levels.draw(count, source), label, teacher.sigma_data)

    state = State(teacher.train(), options, "")
    return training_step(state, state.tensors(), loss, options, device)


def teacher_of(experiment: Experiment, name: str) -> Denoiser:
    """Return a teacher with random weights; one that is imported is as its file says, if that is here."""
    torch.manual_seed(0)
    source = experiment.teachers[name].source
    if source and os.path.exists(path := experiment.local_copy(source)):
        return build_teacher(describe(path))
    return build_teacher(experiment.network_of(experiment.teachers[name]))


def training_step(
    state: State,
    held: Iterable[Tensor],
    loss: Callable[..., Tensor],
    options: Optimisation,
    device: torch.device,
) -> Cost:
    """Time steps of `options.batch` images, given loss(count, forward, step, rows) of a part of so many.

    Their memory, beside what is `held` all the time, is measured if that is quick.
    """
    model = state.model
    forward = torch.compile(model) if options.compile else model

    def call(count: int) -> None:
        take_step(state, forward, partial(loss, count), options, seed=0)

    # A compiled model is compiled again for each size; each part of a batch has an image at least
    least = options.batch if options.compile else options.accumulate
    found = timing(call, options.batch, device, least=least)
    whole = found.share == 1
    memory = peak_memory(partial(call, options.batch), device, held) if whole else None
    seconds = {"first": found.first, "step": found.seconds}
    return Cost(seconds, memory, weight_bytes(model), found.share)


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's weights on disk."""
    return 4 * parameter_count(model)


# ------------------------------------------------------------------------------------------------- sampling


def evaluation(experiment: Experiment, name: str, gpus: int, device: torch.device) -> Cost:
    """One of the evaluations in which the teacher of a set of pairs samples an image."""
    pairs = experiment.pairs[name]
    teacher, sampler = teacher_of(experiment, pairs.teacher).to(device).eval(), pairs.sampler
    teacher.requires_grad_(False)
    noise, sigma = torch.randn(sampler.batch, *teacher.shape, device=device), torch.ones(1, device=device)
    labels = classes_of(range(sampler.batch), teacher.classes).to(device)

    def call(count: int) -> None:
        with torch.no_grad(), autocast(device, sampler.precision):
            teacher(noise[:count], sigma.expand(count), labels[:count] if teacher.classes else None)

    found = timing(call, sampler.batch, device)
    return Cost({"image": found.seconds / sampler.batch}, disk=weight_bytes(teacher), share=found.share)


def sampling(experiment: Experiment, name: str, gpus: int, device: torch.device) -> Cost:
    """Sampling a student: per image, and per image and fixed-point iteration."""
    student, settings = student_of(experiment, name).to(device).eval(), experiment.config.evaluation
    student.requires_grad_(False)
    full = settings.batch
    labels = classes_of(range(full), student.classes)

    def call(iterations: int | None, count: int) -> None:
        options = Sampling(count, iterations, precision=settings.precision)
        draw = partial(sample, seed=0, options=options, device=device, trajectories=True)
        list(draw(student, range(count), labels[:count]))

    if student.state_shape is None:
        found = timing(partial(call, None), full, device)
        seconds = {"image": found.seconds / full, "iteration": 0.0}
        return Cost(seconds, disk=weight_bytes(student), share=found.share)
    highest = max(student.iterations, *settings.iterations, 2)
    one, most = (timing(partial(call, count), full, device) for count in (1, highest))
    iteration = (most.seconds - one.seconds) / full / (highest - 1)
    seconds = {"image": one.seconds / full - iteration, "iteration": iteration}
    return Cost(seconds, disk=weight_bytes(student), share=most.share)


# --------------------------------------------------------------------------------------------------- scores


def extractor_of(experiment: Experiment) -> dict[str, int] | None:
    """Return the description of an extractor that is trained here; None for another."""
    trained = experiment.config.features.trained
    return trained.model.settings() | experiment.shape() if trained else None


def features(experiment: Experiment, of: str, gpus: int, device: torch.device) -> Cost:
    """Features of an image."""
    torch.manual_seed(0)
    model, batch = extractor_of(experiment), experiment.config.evaluation.batch
    name = experiment.config.features.extractor
    images = np.random.default_rng(0).integers(0, 256, (batch, *experiment.config.data.shape), np.uint8)
    with temporary_folder() as folder:
        path = folder / "weights"
        module = plugins.load(EXTRACTORS, name, "features.extractor")
        if model:
            write_weights(path, name, module.NETWORK(**model).state_dict(), {"model": model})
        else:
            if not hasattr(module, "untrained"):  # taken to be as long as Inception's
                name, module = "inception", inception
            module.untrained(path)
        extract = Extractor(name, path, str(device), batch)
        found = timing(lambda count: extract(images[:count]), batch, device)
    return Cost({"image": found.seconds / batch}, share=found.share)


def scoring(experiment: Experiment, of: str, gpus: int, device: torch.device) -> Cost:
    """All that a score takes beside the features: of each variant, and of the headline."""
    evaluation, (train, _) = experiment.config.evaluation, experiment.config.data.counts
    options, samples = Scoring(**evaluation.scoring.settings()), evaluation.samples
    width, outputs = experiment.config.features.width, experiment.logits
    source = np.random.default_rng(0)
    rows = source.random((max(samples, train), width), np.float32)
    logits = source.random((samples, outputs), np.float32) if outputs else None
    shape = experiment.config.data.shape
    images = np.broadcast_to(source.integers(0, 256, (1, *shape), np.uint8), (train, *shape))  # in no memory
    found = moments(rows[: max(2, width)], device)
    real = Reference(rows[:train], found, square_root(found.sigma))
    references, least = {"train": real, "test": real}, max(2, samples // 16)
    few = max(least, min(samples, options.kid_subset_size))

    def part_of(count: int) -> Features:
        return Features(rows[:count], None if logits is None else logits[:count])

    def resampled(number: int, count: int) -> dict[str, list[float]]:
        shares = resamples_of(count, number, 0)
        return bootstrap(part_of(count), references, shares, device)

    def scored(subsets: int) -> None:
        part = replace(options, kid_subsets=subsets)
        score(part_of(few), references, part, values, device)

    def compared(count: int) -> None:
        part = replace(real, features=rows[: max(2, train * count // samples)])
        compare_with_train(images[: options.nearest], part_of(count), part, images, options, device)

    # Bootstrap: most of a resample may be what all share
    one = timing(partial(resampled, 1), samples, device, least=least)
    variant = options.bootstrap * one.seconds
    if variant < LIMIT:
        variant = seconds_of(partial(resampled, options.bootstrap), samples, device)
    # FID, KID, Inception Score
    values = resampled(2, few)
    variant += timing(scored, options.kid_subsets, device).seconds
    # Precision and recall: distances of all to all
    headline = timing(compared, samples, device, least=max(8, samples // 16), power=2).seconds
    return Cost({"variant": variant, "headline": headline}, share=one.share)


# ------------------------------------------------------------------------------------------------- processes


def start(experiment: Experiment | None, process: str, gpus: int, device: torch.device) -> Cost:
    """A process that does what a job does before its work (see `start`), and its memory."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "get.costs.start", process]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return Cost({"start": time.perf_counter() - begun}, int(done.stdout) or None)


UNITS: dict[str, Callable[..., Cost]] = {
    function.__name__: function
    for function in (student_step, whole_step, teacher_step, evaluation, sampling, features, scoring, start)
}


def measure_units(
    units: Iterable[Unit], experiment: Experiment, cores: int, gpus: int
) -> dict[Unit, Cost | None]:
    """Measure each unit once; None for what this device has too little memory for.

    As many are measured at a time as jobs of the workflow would run on so many cores, for they slow each
    other down; where they use a GPU, one.

    Raises:
        UserError: a device is not there, or a process was killed.
    """
    wanted = list(dict.fromkeys(units))
    threads = {unit.kind: min(experiment.jobs[unit.kind].threads, cores) for unit in wanted}
    on_gpu = torch.cuda.is_available() and any(experiment.device(kind) != "cpu" for kind in threads)
    workers = 1 if on_gpu else max(1, cores // max(threads.values()))
    progress, costs = Progress("measured", len(wanted)), {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        tasks = {unit: pool.submit(measured, unit, experiment, threads[unit.kind], gpus) for unit in wanted}
        for unit, task in tasks.items():
            try:
                costs[unit] = task.result()
            except BrokenProcessPool:
                raise UserError(
                    "a process that measured was killed, perhaps for lack of memory; raise jobs.costs.mem_mb"
                ) from None
            progress.advance(note=unit.name)
    progress.close()
    return costs


def measured(unit: Unit, experiment: Experiment, threads: int, gpus: int) -> Cost | None:
    """Return the cost of a unit; None where memory does not suffice, or a package is not installed."""
    torch.set_num_threads(threads)
    try:
        device = pick_device(experiment.device(unit.kind))
        return UNITS[unit.name](experiment, unit.of, gpus, device)
    except ImportError as error:
        log.warning("%s of %s is not measured: %s", unit.name, unit.of, error)
        return None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
