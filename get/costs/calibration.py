"""What the parts of jobs take on the device at hand: measured in seconds, on random weights and random data.

Nothing is trained, read or downloaded. Each part runs as in its job, at the batch, precision and number of
threads of the config. Where a call with all images of a batch would take long (a large network on a CPU),
smaller calls are timed and a straight line is drawn through them.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from get.costs.jobs import Measure, Settings
from get.costs.measure import NO_CHANGE, peak_memory
from get.costs.timing import LIMIT, seconds_of, timing
from get.networks.denoiser import build as build_teacher
from get.pairs.dataset import Pairs, training_pairs
from get.pairs.manifest import read_manifest, write_manifest
from get.pairs.shards import write_shard
from get.runtime.device import pick_device, send
from get.runtime.limits import is_out_of_memory
from get.runtime.log import Progress
from get.runtime.seeding import classes_of, generator
from get.sampling.one_step import Sampling, sample
from get.scoring.extractors.classifier import Classifier
from get.scoring.features import Extractor, Features
from get.scoring.metrics import moments, resamples_of, square_root
from get.scoring.reference import Reference
from get.scoring.scores import Scoring, bootstrap, compare_with_train, score
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student.initial import training_state
from get.student.models import build as build_student
from get.student.objectives.pairs import Distillation, distillation_loss
from get.teacher.generation import sample as sample_teacher
from get.teacher.samplers import Sampler
from get.teacher.training import NoiseLevels, edm_loss
from get.training.loop import take_step
from get.training.optimisation import Optimisation
from get.training.state import State

# not by getrusage, which counts the process that started it too
TELL_MEMORY = """
import pathlib
status = pathlib.Path("/proc/self/status")
print(status.read_text() if status.exists() else "")
"""


class Found(NamedTuple):
    """What was measured: seconds by unit, bytes of memory if known, share of a batch that was timed."""

    seconds: dict[str, float]
    memory: int | None = None
    share: float = 1.0


# ------------------------------------------------------------------------------------------------- training


def student_step(s: Settings, device: torch.device) -> Found:
    """A step of distillation, with reading its batch from a shard."""
    model = s["model"]
    torch.manual_seed(0)
    student = build_student(model).to(device)
    batch = s["training"]["batch"] // s["processes"]
    options = Distillation(**NO_CHANGE, **{**s["training"], "batch": batch})
    with _pairs(model, batch) as pairs:

        def loss(count: int, forward: Any, step: int) -> Tensor:
            chosen = torch.randperm(batch)[:count]
            state = training_state(student.state_shape, count, 0, step, device)
            return distillation_loss(forward, pairs.batch(chosen).on(device), state, options)

        return _step(student, loss, options, device)


@contextmanager
def _pairs(model: Settings, count: int) -> Iterator[Pairs]:
    """Yield so many pairs of random images."""
    shape = (count, model["channels"], model["size"], model["size"])
    noise, image = (np.random.default_rng(0).random(shape).astype(np.float16) for _ in range(2))
    label = classes_of(range(count), model["classes"]).numpy()
    attributes = {"identity": "calibration", "teacher": "none", "classes": model["classes"]}
    with tempfile.TemporaryDirectory() as folder:
        shard, manifest = Path(folder, "train.h5"), Path(folder, "manifest.json")
        write_shard(shard, 0, noise, image, label, attributes)
        write_manifest(manifest, [shard], "calibration")
        yield training_pairs(read_manifest(manifest))


def teacher_step(s: Settings, device: torch.device) -> Found:
    """A step of training a teacher."""
    model = s["model"]
    torch.manual_seed(0)
    teacher = build_teacher(model).to(device)
    batch = s["training"]["batch"] // s["processes"]
    options = Optimisation(**{**s["training"], "batch": batch})
    levels = NoiseLevels(**s["noise_levels"])
    images = torch.rand(batch, *teacher.shape, device=device)
    labels = classes_of(range(batch), model["classes"]).to(device)

    def loss(count: int, denoise: Any, step: int) -> Tensor:
        chosen = send(torch.randperm(batch)[:count], device)
        source = generator(0, "noise", step, device=device)
        sigma = levels.draw(count, source)
        noise = torch.randn((count, *teacher.shape), generator=source, device=device)
        label = labels[chosen] if model["classes"] else None
        return edm_loss(denoise, images[chosen], noise, sigma, label, teacher.sigma_data)

    return _step(teacher, loss, options, device)


def classifier_step(s: Settings, device: torch.device) -> Found:
    """A step of training the classifier."""
    model, options = s["model"], Optimisation(**s["training"])
    torch.manual_seed(0)
    classifier = Classifier(**model).to(device)
    shape = (options.batch, model["channels"], model["size"], model["size"])
    images = torch.rand(shape, device=device)
    labels = classes_of(range(options.batch), model["classes"]).to(device)

    def loss(count: int, forward: Any, step: int) -> Tensor:
        chosen, source = (
            send(torch.randperm(options.batch)[:count], device),
            generator(0, step, device=device),
        )
        x = images[chosen] + s["noise"] * torch.randn((count, *shape[1:]), generator=source, device=device)
        return F.cross_entropy(forward(x), labels[chosen])

    return _step(classifier, loss, options, device)


def _step(
    model: nn.Module, loss: Callable[..., Tensor], options: Optimisation, device: torch.device
) -> Found:
    """Time steps of `options.batch` images, given loss(count, forward, step); and their memory, if quick."""
    state = State(model.train(), options, "")
    forward = torch.compile(model) if options.compile else model

    def call(count: int) -> None:
        take_step(state, forward, partial(loss, count), options, seed=0)

    # a compiled model is compiled again for each size
    found = timing(call, options.batch, device, least=options.batch if options.compile else 1)
    seconds = {"first": found.first, "step": found.seconds, "profile": found.seconds}
    memory = None
    if found.share == 1:
        begun = time.perf_counter()
        memory = peak_memory(partial(call, options.batch), device, state.tensors())
        seconds["profile"] = time.perf_counter() - begun
    return Found(seconds, memory, found.share)


# ------------------------------------------------------------------------------------------------- sampling


def teacher_evaluation(s: Settings, device: torch.device) -> Found:
    """One of the evaluations in which a teacher samples a batch."""
    torch.manual_seed(0)
    teacher = build_teacher(s["model"]).to(device).eval().requires_grad_(False)
    sampler = Sampler(**{**s["sampler"], "num_steps": 2})
    noise = torch.randn(sampler.batch, *teacher.shape, device=device)
    label = classes_of(range(sampler.batch), teacher.classes).to(device)

    def call(count: int) -> None:
        classes = label[:count] if teacher.classes else None
        sample_teacher(teacher, noise[:count], classes, sampler, device)

    found = timing(call, sampler.batch, device)
    return Found({"batch": found.seconds / sampler.evaluations}, share=found.share)


def sampling(s: Settings, device: torch.device) -> Found:
    """Sampling a student: per image, and per image and fixed-point iteration."""
    torch.manual_seed(0)
    student = build_student(s["model"]).to(device).eval().requires_grad_(False)
    full = s["batch"]
    labels = classes_of(range(full), s["model"]["classes"])

    def call(iterations: int | None, count: int) -> None:
        options = Sampling(count, iterations, precision=s["precision"])
        given: Settings = {"seed": 0, "options": options, "device": device, "trajectories": True}
        list(sample(student, range(count), labels[:count], **given))

    if student.state_shape is None:
        found = timing(partial(call, None), full, device)
        return Found({"image": found.seconds / full, "iteration": 0.0}, share=found.share)
    one, most = (timing(partial(call, count), full, device) for count in (1, s["most"]))
    iteration = (most.seconds - one.seconds) / full / max(1, s["most"] - 1)
    return Found({"image": one.seconds / full - iteration, "iteration": iteration}, share=most.share)


# ------------------------------------------------------------------------------------------------- scores


def write_random_inception(path: Path) -> None:
    """Write random weights of torch-fidelity's Inception."""
    from torch_fidelity import FeatureExtractorInceptionV3  # takes seconds

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> Any:
            """Leave the weights as they are."""

    torch.save({}, path)
    network = Untrained("inception", ["2048"], feature_extractor_weights_path=str(path))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # activations neither vanish nor explode
    torch.save(network.state_dict(), path)


def features(s: Settings, device: torch.device) -> Found:
    """Features of an image."""
    torch.manual_seed(0)
    extractor, batch = s["extractor"], s["batch"]
    images = np.random.default_rng(0).integers(0, 256, (batch, *s["shape"]), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights")
        if extractor["name"] == "inception":
            write_random_inception(weights)
        else:
            model = extractor["model"]
            write_weights(weights, "classifier", Classifier(**model).state_dict(), {"model": model})
        extract = Extractor(extractor["name"], weights, str(device), batch)
        found = timing(lambda count: extract(images[:count], folder), batch, device)
    return Found({"image": found.seconds / batch}, share=found.share)


def scoring(s: Settings, device: torch.device) -> Found:
    """All that a score takes beside the features: of each variant, and of the headline."""
    options, samples, train = Scoring(**s["options"]), s["samples"], s["train"]
    source, (width, outputs) = np.random.default_rng(0), s["widths"]
    rows = source.random((max(samples, train), width), np.float32)
    logits = source.random((samples, outputs), np.float32)
    images = source.integers(0, 256, (train, *s["shape"]), np.uint8)
    found = moments(rows[: max(2, width)], device)
    real = Reference(rows[:train], found, square_root(found.sigma))
    references, least = {"train": real, "test": real}, max(2, samples // 16)
    few = max(least, min(samples, options.kid_subset_size))

    def resampled(number: int, count: int) -> dict[str, list[float]]:
        shares = resamples_of(count, number, 0)
        return bootstrap(Features(rows[:count], logits[:count]), references, shares, device)

    one = timing(partial(resampled, 1), samples, device, least=least)
    share, resamples = one.share, options.bootstrap * one.seconds
    if resamples < LIMIT:  # most of it may be what all share
        resamples = seconds_of(lambda count: resampled(options.bootstrap, count), samples, device)
    values = resampled(2, few)

    def scored(subsets: int) -> None:
        part = replace(options, kid_subsets=subsets)
        score(Features(rows[:few], logits[:few]), references, part, values, device)

    def compared(count: int) -> None:
        part = replace(real, features=rows[: max(2, train * count // samples)])
        chosen = Features(rows[:count], logits[:count])
        compare_with_train(images[: options.nearest], chosen, part, images, options, device)

    variant = resamples + timing(scored, options.kid_subsets, device).seconds
    headline = timing(compared, samples, device, least=max(8, samples // 16), power=2).seconds
    return Found({"variant": variant, "headline": headline}, share=share)


# ------------------------------------------------------------------------------------------------- processes


def start(s: Settings, device: torch.device) -> Found:
    """A process that only does what a job does before its work: its time, and its memory where Linux says."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", s["code"] + TELL_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"this failed: {s['code']}\n{done.stderr}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
    return Found({"start": seconds}, 1024 * int(peak[1]) if peak else None)


PARTS: dict[str, Callable[[Settings, torch.device], Found]] = {
    function.__name__: function
    for function in (
        student_step,
        teacher_step,
        classifier_step,
        teacher_evaluation,
        sampling,
        features,
        scoring,
        start,
    )
}


def calibrate(measures: Iterable[Measure], kinds: Settings, cores: int) -> dict[Measure, Found | None]:
    """Measure everything; None for what this device has too little memory for.

    As many are measured at a time as jobs of the workflow would run on so many cores, for they slow each
    other down; where they use a GPU, one.

    Args:
        measures: what.
        kinds: `jobs` of the config, with the 'device' of each.
        cores: of the machine.

    Raises:
        UserError: a device is not there, or a process was killed.
    """
    wanted = list(measures)
    threads = {kind: min(job["threads"], cores) for kind, job in kinds.items()}
    used = {measure.kind for measure in wanted}
    gpu = torch.cuda.is_available() and any(kinds[kind]["device"] != "cpu" for kind in used)
    workers = 1 if gpu else max(1, cores // max(threads[kind] for kind in used))
    progress, found = Progress("measured", len(wanted)), {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        tasks = {m: pool.submit(_found, m, threads[m.kind], kinds[m.kind]["device"]) for m in wanted}
        for measure, task in tasks.items():
            try:
                found[measure] = task.result()
            except BrokenProcessPool:
                raise UserError(
                    "a process that measured was killed, perhaps for lack of memory; raise jobs.costs.mem_mb"
                ) from None
            progress.advance(note=measure.name)
    progress.close()
    return found


def _found(measure: Measure, threads: int, device: str) -> Found | None:
    torch.set_num_threads(threads)
    try:
        return PARTS[measure.name](json.loads(measure.settings), pick_device(device))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
