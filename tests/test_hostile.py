"""Every kind of file that the project reads, damaged, swapped and forged.

The reader takes the file (where no header can show the damage), or raises a `UserError` that names it and
says what to do. It never raises anything else, crashes, hangs, runs code, or takes memory because a header
says so. Damage is a function of kind and number, so that what fails can be repeated.

    GET_FUZZ=5000 pytest -n 0 tests/test_hostile.py -k damaged     5000 damaged files of each kind, not 100
"""

import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import DISTILLATION, GET, NETWORK, ROOT, VIT
from fabricate import edm_pickle, published_student
from fabricate_cifar import cifar10_archive, write_archive

from get.costs.measure import measure_costs
from get.data.sets.cifar10 import write_cifar10
from get.data.store import SPLITS, read_split, write_store
from get.imports.students import import_student
from get.imports.teachers import import_teacher
from get.networks import denoiser as network
from get.networks.denoiser import load
from get.pairs.dataset import Pairs, held_out_pairs, training_pairs
from get.pairs.indices import HELD_OUT
from get.pairs.manifest import read_manifest, write_manifest
from get.paper.claims import claims_frame
from get.paper.reproduction import reproduction
from get.paper.results import read_history, read_rows
from get.paper.statistics import over_iterations
from get.paper.tables import TABLES, readable
from get.runtime.remedies import explain
from get.sampling.files import open_samples
from get.sampling.sources import teacher_samples
from get.sampling.students import sample_student
from get.scoring.extractors.classifier import Classifier
from get.scoring.extractors.inception import only_weights
from get.scoring.features import Extractor
from get.scoring.metrics import read_moments
from get.scoring.reference import Source, read_reference, write_reference
from get.scoring.scores import score_samples
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.hashing import record_of
from get.storage.places import place
from get.storage.reading import read_json
from get.storage.weights import write_weights
from get.student import checkpoint, models
from get.student.training import Inputs, train_student
from get.teacher.generation import write_pairs
from get.teacher.samplers import Sampler

COUNT = int(os.environ.get("GET_FUZZ", "100"))
MEGABYTES = 400  # what reading one file may take; those here have some kilobytes
# and how many seconds: of the CPU, and, should it wait for something, of the clock (others use it too)
TIMERS = ((signal.ITIMER_PROF, signal.SIGPROF, 10), (signal.ITIMER_REAL, signal.SIGALRM, 100))
HANGS = (signal.SIGPROF, signal.SIGALRM)
CPU = torch.device("cpu")
SHAPE = {"channels": 1, "size": 8, "classes": 10}
TEACHER = {**NETWORK, **SHAPE}
SMALL = {**TEACHER, "channel_mult": [1], "model_channels": 4, "attention_resolutions": []}
CLASSIFIER = {**SHAPE, "width": 4, "features": 8}
MODELS = {"get": GET, "vit": VIT}
RUNS = [("get", 0, 2), ("get", 0, 4), ("get", 1, 2), ("vit", 0, 2)]  # student, seed, step
RUN = "students/get/seed0/2"
OTHER_RUNS = ("students/vit/seed0/2", "students/get/seed1/2", "students/get/seed0/4")
FIRST, SECOND, THEIRS = "pairs/a/train-00000.h5", "pairs/a/train-00001.h5", "pairs/b/train-00000.h5"
TEACHER_FILE, CLASSIFIER_FILE = "teachers/a.safetensors", "features/classifier.safetensors"
STATISTICS, FEATURES = "features/reference-train.npz", "features/reference-train.npy"
SAMPLING = {"samples": 20, "batch": 10, "iterations": [1], "precision": "float32"}
SCORING = {"splits": 2, "bootstrap": 3, "kid_subsets": 2, "kid_subset_size": 10, "nearest": 5}


# ------------------------------------------------------------------------------------------ a results folder


def train(root: Path, output: Path, student: str, seed: int, stop: int, start: Path | None = None) -> None:
    settings, inputs = root / f"settings/students/{student}.json", Inputs(root / "pairs/a/manifest.json")
    rest = {"seed": seed, "stop": stop, "device": "cpu", "start": start, "output": output}
    train_student(settings=settings, inputs=inputs, **rest)


def draw(root: Path, output: Path, run: str, seed: int) -> None:
    weights, held_out = root / f"students/{run}.safetensors", root / "pairs/a/held-out.h5"
    sample_student(weights=weights, held_out=held_out, **SAMPLING, seed=seed, device="cpu", output=output)


def generate(root: Path, output: Path, name: str, indices: range) -> None:
    sampler, teacher = (
        Sampler(num_steps=2, sigma_min=0.01, sigma_max=1, rho=7, precision="float32", batch=8),
        root / f"teachers/{name}.safetensors",
    )
    options: dict[str, Any] = {"sampler": sampler, "seed": 0, "identity": name, "device": "cpu"}
    write_pairs(teacher=teacher, indices=indices, **options, output=output)


def score(root: Path, output: Path, source: str) -> None:
    score_samples(
        samples=root / f"samples/{source}.h5",
        statistics={split: root / f"features/reference-{split}.npz" for split in SPLITS},
        features={split: root / f"features/reference-{split}.npy" for split in SPLITS},
        store=root / "data/images.h5",
        extractor="classifier",
        weights=root / "features/classifier.safetensors",
        batch=50,
        scoring=SCORING,
        seed=0,
        device="cpu",
        output=output,
    )


def references(root: Path) -> None:
    store, weights = root / "data/images.h5", root / "features/classifier.safetensors"
    for split in SPLITS:
        statistics, features = (root / f"features/reference-{split}.{kind}" for kind in ("npz", "npy"))
        options: dict[str, Any] = {"extractor": "classifier", "batch": 50, "device": "cpu"}
        write_reference(
            store=store, split=split, weights=weights, **options, statistics=statistics, features=features
        )


def store(path: Path, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (60, 1, 8, 8), np.uint8)
    labels, split = np.arange(60) % 10, (np.arange(60) >= 40).astype(np.uint8)
    write_store(path, images, labels, split, name="noise", classes=10, source="")


def weights(path: Path, kind: str, model: torch.nn.Module, description: dict[str, Any]) -> None:
    for parameter in model.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    write_weights(path, kind, model.state_dict(), {"model": description})


def shown(root: Path, costs: bool = True) -> Any:
    """Return everything that the tables and claims make of the scores."""
    runs: dict[tuple[str, int], list[str]] = {}
    for student, seed, step in RUNS:
        runs.setdefault((student, step), []).append(
            str(root / f"scores/students/{student}/seed{seed}/{step}.json")
        )
    entries = [
        {"student": name, "label": name, "batch": 16, "scores": files} for (name, _), files in runs.items()
    ]
    rows = read_rows(entries, root / "costs.json" if costs else None)
    over_iterations(rows)
    training = {name: {"pairs": 48, "nfe": 3, "teacher": "EDM"} for name in MODELS}
    arguments = {"1": {"cifar10": True}, "3": {"cifar10": True}, "5": {"cifar10": True, "training": training}}
    for number, table in TABLES.items():
        readable(table.lines(rows, **arguments.get(number, {})), number)
    return claims_frame(reproduction(dict.fromkeys("12346", rows), [rows[0], rows[-1]], True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with all kinds of files, made by the project's own functions in a few seconds."""
    root = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    for name, seed in (("images", 0), ("others", 1)):
        store(root / f"data/{name}.h5", seed)
    for name in ("classifier", "another"):
        weights(root / f"features/{name}.safetensors", "classifier", Classifier(**CLASSIFIER), CLASSIFIER)
    references(root)
    for name in "ab":
        weights(root / f"teachers/{name}.safetensors", "teacher", network.build(TEACHER), TEACHER)
        parts = {"train-00000": (0, 32), "train-00001": (32, 48), "held-out": (HELD_OUT, HELD_OUT + 16)}
        files = [root / f"pairs/{name}/{part}.h5" for part in parts]
        for file, indices in zip(files, parts.values(), strict=True):
            generate(root, file, name, range(*indices))
        write_manifest(root / f"pairs/{name}/manifest.json", files, name)
    for name, model in MODELS.items():
        content = {"model": model, "training": DISTILLATION, "pairs": "a"}
        write_json(root / f"settings/students/{name}.json", content)
    for student, seed, step in RUNS:
        run = f"students/{student}/seed{seed}/{step}"
        train(root, root / f"{run}.pt", student, seed, step)
        draw(root, root / f"samples/{run}.h5", run.removeprefix("students/"), seed)
        score(root, root / f"scores/{run}.json", run)
    described = {name: {"model": {**model, **SHAPE}} for name, model in MODELS.items()}
    training = {key: DISTILLATION[key] for key in ("batch", "clip", "compile", "precision")}
    evaluation = {"batch": 4, "iterations": [1], "precision": "float32"}
    for name, students in (("costs", described), ("others", {"gets": described["get"]})):
        students = {key: {**value, "training": training} for key, value in students.items()}
        options: dict[str, Any] = {"evaluation": evaluation, "threads": 1, "device": "cpu"}
        measure_costs(students=students, **options, output=root / f"{name}.json")
    inputs = root / "inputs"
    inputs.mkdir()
    edm_pickle(inputs / "edm.pkl", SMALL)
    published_student(inputs / "get.pth", models.build({**GET, **SHAPE}))
    cifar10_archive(inputs / "cifar.tar.gz", 3, 2)
    torch.save({"weight": torch.zeros(5), "more": torch.ones(2, 3)}, inputs / "inception.pth")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "results"))


# ------------------------------------------------------------------------------------------------ the readers


def every(pairs: Pairs) -> None:
    pairs.batch(torch.arange(len(pairs)))


def every_training_pair(root: Path) -> None:
    every(training_pairs(read_manifest(root / "pairs/a/manifest.json", "a")))


def every_sample(path: Path) -> None:
    with open_samples(path) as content:
        for images in content.variants.values():
            images[:]


def reference(root: Path) -> None:
    source = Source(root / "data/images.h5", "train", root / "features/classifier.safetensors")
    read_reference(root / STATISTICS, root / FEATURES, source, CPU)


def state_of(root: Path) -> None:
    (root / "result.unfinished.pt").unlink(missing_ok=True)  # or it would go on from there
    train(root, root / "result.pt", "get", 0, 2, root / f"{RUN}.pt")


def student_of(root: Path, settings: str = "settings/students/get.json") -> None:
    options: dict[str, Any] = {"seed": 0, "step": 1, "shape": [1, 8, 8], "classes": 10, "sha256": None}
    output = root / "imported.safetensors"
    import_student(source=root / "inputs/get.pth", settings=root / settings, **options, output=output)


def teacher_of(root: Path) -> None:
    options: dict[str, Any] = {"conditional": True, "shape": [1, 8, 8], "classes": 10, "sha256": None}
    import_teacher(source=root / "inputs/edm.pkl", **options, output=root / "imported.safetensors")


def cifar10_of(root: Path) -> None:
    write_cifar10(root / "imported.h5", archive=root / "inputs/cifar.tar.gz", sha256=None)


class Kind(NamedTuple):
    """A kind of file: one of it, and what reads it."""

    path: str
    read: Callable[[Path], Any]


KINDS = {
    "store": Kind(
        "data/images.h5", lambda root: [read_split(root / "data/images.h5", split) for split in SPLITS]
    ),
    "shard": Kind(
        "pairs/a/held-out.h5", lambda root: every(held_out_pairs(root / "pairs/a/held-out.h5", "a"))
    ),
    "samples": Kind(f"samples/{RUN}.h5", lambda root: every_sample(root / f"samples/{RUN}.h5")),
    "listed shard": Kind(FIRST, every_training_pair),
    "manifest": Kind("pairs/a/manifest.json", every_training_pair),
    "classifier": Kind(
        CLASSIFIER_FILE, lambda root: Extractor("classifier", root / CLASSIFIER_FILE, "cpu", 1)
    ),
    "statistics": Kind(STATISTICS, reference),
    "features": Kind(FEATURES, reference),
    "teacher": Kind(TEACHER_FILE, lambda root: load(root / TEACHER_FILE)),
    "student": Kind(f"{RUN}.safetensors", lambda root: checkpoint.load(root / f"{RUN}.safetensors")),
    "scores": Kind(f"scores/{RUN}.json", shown),
    "costs": Kind("costs.json", shown),
    "history": Kind(f"{RUN}.json", lambda root: read_history(root / f"{RUN}.json")),
    "published student": Kind("inputs/get.pth", student_of),
    "published teacher": Kind("inputs/edm.pkl", teacher_of),
    "archive": Kind("inputs/cifar.tar.gz", cifar10_of),
    "inception": Kind("inputs/inception.pth", lambda root: only_weights(root / "inputs/inception.pth")),
    "state": Kind(f"{RUN}.pt", state_of),
}
REMEDIES = (
    "again", "snakemake", "correct", "delete", "get the file", "refused", "no EDM teacher", "our network",
    "do not fit", "can be imported", "name another", "import another", "get cifar-10-python.tar.gz",
)  # fmt: skip
HDF5 = ("store", "shard", "samples")


def verdict(read: Callable[[], Any], path: Path) -> str:
    """Return 'read', 'refused', or what else came of reading the file at `path`."""
    try:
        read()
    except UserError as error:
        text = explain(error)
        helps = any(word in text for word in REMEDIES)
        return "refused" if str(path) in text and helps and len(text) < 1500 else f"unhelpful: {text}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"


# ---------------------------------------------------------------------------------------------- random damage

JUNK: list[Any] = [
    None, True, -1, 0, 3, 10**6, 2**31, 2**63, 10**40, -0.5, 1e308, math.nan, math.inf, "", "text",
    "../../etc/passwd", "a\x00b", "\ud800", "x" * 10_000, [], [[]], {}, {"a": 1}, [1, 2, 3], [None],
]  # fmt: skip


def spoilt(content: Any, dice: random.Random) -> Any:
    """Return JSON-like content with one value, or one key, replaced."""
    if isinstance(content, dict | list) and content and dice.random() < 0.85:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = dice.choice(keys)
        changed = dict(content) if isinstance(content, dict) else list(content)
        if dice.random() < 0.1:
            del changed[key]
        else:
            changed[key] = spoilt(content[key], dice)
        return changed
    return dice.choice(JUNK)


def spoilt_values(whole: bytes, dice: random.Random) -> bytes | None:
    """Return a file of JSON, or one with a JSON header, with a spoilt value; None for other files."""
    if whole[:1] == b"{":
        return json.dumps(spoilt(json.loads(whole), dice)).encode()
    if whole[8:9] != b"{":
        return None
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    if dice.random() < 0.7:  # what the project itself keeps there
        kind, text = next(iter(header["__metadata__"].items()))
        header["__metadata__"][kind] = json.dumps(spoilt(json.loads(text), dice))
    else:
        header = spoilt(header, dice)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def damaged(whole: bytes, other: bytes, dice: random.Random) -> bytes:
    """Return a file with random damage; `other` is one of another kind."""
    if dice.random() < 0.4 and (changed := spoilt_values(whole, dice)) is not None:
        return changed
    content = bytearray(whole)
    limit = min(len(content), dice.choice([64, 1024, 4096, len(content)]))  # headers come first, mostly
    at = dice.randrange(limit)
    match dice.choice(["cut", "flip", "flip", "flip", "splice", "fill", "insert", "remove"]):
        case "cut":
            del content[at:]
        case "flip":
            for _ in range(dice.choice([1, 1, 2, 4, 16])):
                content[dice.randrange(limit)] = dice.choice(
                    [dice.randrange(256), 0, 255, 1, 128, *b'0129[]{}",']
                )
        case "splice":
            content[at : at + dice.choice([1, 16, 500])] = other[: dice.choice([8, 100, 2000])]
        case "fill":
            content[at : at + dice.choice([4, 8, 64])] = dice.choice([b"\0", b"\xff"]) * 8
        case "insert":
            content[at:at] = content[: dice.choice([1, 8, 100])]
        case "remove":
            del content[at : at + dice.choice([1, 8, 100])]
    return bytes(content)


def fates(root: Path, kind: Kind, name: str, count: int) -> Counter[str]:
    """Return what came of reading `count` damaged files, with the number of one that came to it.

    Another process reads them, for HDF5 itself may crash or hang; another goes on behind the file at fault.
    """
    path, found, number = root / kind.path, Counter[str](), 0
    whole, others = path.read_bytes(), [(root / other.path).read_bytes() for other in KINDS.values()]
    while number < count:
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            os.close(receive)
            _read_on(root, kind, whole, others, range(number, count), name, send)
        os.close(send)
        with open(receive) as lines:
            for line in lines:
                number, said = int(line.split("\t")[0]) + 1, line.split("\t", 1)[1].strip()
                found[said if said in ("read", "refused") else f"{name}/{number - 1}: {said}"] += 1
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            found["hang" if os.WTERMSIG(status) in HANGS else "crash"] += 1
            number += 1
    return found


def _read_on(
    root: Path, kind: Kind, whole: bytes, others: list[bytes], numbers: range, name: str, send: int
) -> None:
    """Read the damaged files with these numbers, and write a line about each to `send`; never returns."""
    path = root / kind.path
    for number in numbers:
        dice = random.Random(f"{name}/{number}")
        path.write_bytes(damaged(whole, dice.choice(others), dice))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for timer, number_of, seconds in TIMERS:
            signal.signal(number_of, signal.SIG_DFL)
            signal.setitimer(timer, seconds)
        said = verdict(lambda: kind.read(root), path)
        for timer, _, _ in TIMERS:
            signal.setitimer(timer, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        said = f"took {grown} MB" if grown > MEGABYTES else " ".join(said.split())[:300]
        os.write(send, f"{number}\t{said.encode('ascii', 'replace').decode()}\n".encode())
    os._exit(0)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.slow
def test_damaged(name: str, root: Path) -> None:
    kind = KINDS[name]
    kind.read(root)
    for record in root.rglob(".*.sha256"):  # what is beside a file may be missing or forged
        record.unlink()
    found = fates(root, kind, name, COUNT)
    crashes = found.pop("crash", 0) + found.pop("hang", 0)
    assert found.keys() <= {"read", "refused"}, found
    assert found["refused"] > COUNT / 5, found
    # once in some thousand damaged files without a record, HDF5 itself crashes or does not end
    assert crashes <= (1 + COUNT // 500 if name in HDF5 else 0), (crashes, found)


@pytest.mark.parametrize("name", HDF5)
def test_damaged_hdf5_with_a_record_is_not_opened(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]
    path = root / kind.path
    whole = path.read_bytes()
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("the file was opened"))
    for number in range(50):
        path.write_bytes(damaged(whole, b"other", random.Random(f"{name}/{number}")))
        if path.read_bytes() != whole:
            assert verdict(lambda: kind.read(root), path) == "refused"


# ----------------------------------------------------------- whole files of their kind, with the wrong things


def refused(read: Callable[[], Any], path: Path) -> str:
    """Return the message, which names the file and says what to do."""
    with pytest.raises(UserError) as caught:
        read()
    message = explain(caught.value)
    assert str(path) in message
    assert any(word in message for word in REMEDIES), message
    return message


def forged_hdf5(path: Path, forgery: str, names: tuple[str, str]) -> None:
    """Write the HDF5 file at `path` again, with a forged dataset; `names` are of the first and the last."""
    first, last = names
    record_of(path).unlink()
    with h5py.File(path, "r+") as file:
        shape, dtype = file[first].shape, file[first].dtype
        others = {"filters": {"compression": "gzip"}, "external": {"external": [("/etc/passwd", 0, 10**9)]}}
        if forgery in ("type", "shape", "huge", "filters", "external"):
            del file[first]
        if forgery == "attributes":
            for name in list(file.attrs):
                del file.attrs[name]
        elif forgery == "text":
            for name in list(file.attrs):
                file.attrs[name] = "nonsense"
        elif forgery == "missing":
            del file[last]
        elif forgery == "short":
            kept = file[last][:-1]
            del file[last]
            file[last] = kept
        elif forgery == "type":
            file[first] = np.zeros(shape, np.float64)
        elif forgery == "shape":
            file[first] = np.zeros(shape[:3], dtype)
        elif forgery == "huge":  # a small file that would unfold to 8 TB
            file.create_dataset(first, (2**40, *shape[1:]), dtype, chunks=(1, *shape[1:]))
        elif forgery == "objects":
            del file[last]
            file.create_dataset(last, (3,), h5py.string_dtype())
        elif forgery == "group":
            del file[last]
            file.create_group(last)
        elif forgery in others:
            file.create_dataset(first, shape, dtype, **others[forgery])
        elif forgery == "link":
            del file[last]
            file[last] = h5py.ExternalLink(path.with_name("linked.h5"), last)
            shutil.copy(path, path.with_name("linked.h5"))
        elif forgery == "loop":
            del file[last]
            file[last] = h5py.SoftLink(f"/{last}")
    if forgery == "link":
        with h5py.File(path.with_name("linked.h5"), "w") as file:
            file[last] = np.zeros(shape[0], np.int64)


FORGERIES = (
    "attributes", "text", "missing", "short", "type", "shape", "huge", "objects", "group", "filters",
    "external", "link", "loop",
)  # fmt: skip
SETS = {"store": ("images", "labels"), "shard": ("image", "label"), "samples": ("images/last-3", "labels")}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("name", HDF5)
def test_forged_hdf5(name: str, forgery: str, root: Path) -> None:
    kind = KINDS[name]
    if forgery == "text" and name == "store":
        return  # its text says where the images are from
    forged_hdf5(root / kind.path, forgery, SETS[name])
    refused(lambda: kind.read(root), root / kind.path)


def test_labels_that_are_no_classes(root: Path) -> None:
    path = root / "data/images.h5"
    record_of(path).unlink()
    for label in (-1, 10):
        with h5py.File(path, "r+") as file:
            file["labels"][3] = label
        assert "labels outside 0 to 9" in refused(lambda: read_split(path, "train"), path)


def test_held_out_pairs_are_not_for_training(root: Path) -> None:
    path = root / "pairs/a/held-out.h5"
    swap(root, "pairs/a/held-out.h5", "pairs/a/train-00000.h5")
    assert "pairs from 0 on" in refused(lambda: held_out_pairs(path, "a"), path)


HEADERS: list[dict[str, Any]] = [
    {"width": 2**40}, {"width": 4096}, {"width": -4}, {"width": "16"}, {"width": None}, {"heads": 0},
    {"patch": 0}, {"injection_depth": 10**9}, {"equilibrium_depth": 10**9}, {"equilibrium_depth": -1},
    {"injection_depth": 1.5}, {"family": []}, {"classes": 2**50}, {"classes": 0}, {"size": 2**20},
    {"family": "gan"}, {"more": 1}, {"channels": 3},
]  # fmt: skip


def test_a_header_that_lies(root: Path) -> None:
    path = root / f"{RUN}.safetensors"
    state = safetensors.torch.load_file(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for change in HEADERS:
        write_weights(path, "student", state, {"model": {**GET, **SHAPE, **change}})
        refused(lambda: checkpoint.load(path), path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


def test_a_header_of_another_form(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for content in ("[]", "{}", "null", '{"model": []}', "[" * 100_000, '{"model": NaN}'):
        safetensors.torch.save_file({"a": torch.zeros(2)}, path, metadata={"student": content})
        refused(lambda: checkpoint.load(path), path)


@pytest.mark.parametrize("name", ["student", "teacher", "classifier"])
def test_weights_that_are_no_numbers(name: str, root: Path) -> None:
    kind = KINDS[name]
    path = root / kind.path
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    state = safetensors.torch.load_file(path)
    first, *_ = state
    for change in (
        {first: state[first] * math.nan},
        {first: state[first] + math.inf},
        {first: state[first].double()},
        {"more": torch.zeros(1)},
    ):
        safetensors.torch.save_file({**state, **change}, path, metadata=metadata)
        refused(lambda: kind.read(root), path)


@pytest.mark.parametrize("name", ["manifest", "scores", "costs", "history"])
def test_json_of_another_form(name: str, root: Path) -> None:
    kind = KINDS[name]
    nested = ("[" * 100_000, '{"a": ' * 5000)
    for text in (*nested, "", "NaN", "1" * 5000, '"\\ud800"', "\0", "[]", "{}", "null"):
        (root / kind.path).write_text(text)
        refused(lambda: kind.read(root), root / kind.path)


@pytest.mark.parametrize("name", ["../../data/images.h5", "..", "x" * 300, "a\0b"])
def test_a_manifest_lists_what_lies_beside_it(name: str, root: Path) -> None:
    path = root / "pairs/a/manifest.json"
    content = read_json(path)
    content["shards"][0]["file"] = name
    write_json(path, content)
    refused(lambda: training_pairs(read_manifest(path)), path)


def test_numbers_that_are_none(root: Path) -> None:
    path = root / f"scores/{RUN}.json"
    content = read_json(path)
    variant = content["scores"][content["headline"]]
    for value in (math.nan, math.inf, None, "3", [1], True):
        path.write_text(
            json.dumps({**content, "scores": {content["headline"]: {**variant, "fid_train": value}}})
        )
        assert "fid_train is" in refused(lambda: shown(root), path)


def test_scores_that_are_missing(root: Path) -> None:
    path = root / f"scores/{RUN}.json"
    content = read_json(path)
    for name in ("fid_test", "is_sd", "fid_train_low", "samples"):
        variant = {key: value for key, value in content["scores"]["last-3"].items() if key != name}
        write_json(path, {**content, "scores": {**content["scores"], "last-3": variant}})
        assert f"no {name}" in refused(lambda: shown(root), path)
    for change in ({"step": 0}, {"step": None}, {"parameters": 0}, {"headline": "none"}, {"bootstrap": {}}):
        write_json(path, {**content, **change})
        refused(lambda: shown(root), path)


def test_statistics_that_unfold(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("get.scoring.metrics.LARGEST", 10**7)
    path = root / STATISTICS
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("mu.npy", "w") as file:
        file.write(bytes(10**7 + 1))
    assert "unfolds to" in refused(lambda: read_moments(path), path)


@pytest.mark.parametrize("name", ["inception", "published student"])
def test_weights_that_unfold(name: str, root: Path) -> None:
    """torch.save writes what it has as it is, but reads what is compressed."""
    kind = KINDS[name]
    path = root / kind.path
    file = io.BytesIO()
    torch.save({"ema": {"a": torch.zeros(10**7)}}, file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in whole.infolist():
            archive.writestr(member.filename, whole.read(member))
    assert "unfolds to" in refused(lambda: kind.read(root), path)


def test_features_that_are_none(root: Path) -> None:
    path = root / FEATURES
    whole = np.load(path)
    for rows in (whole * np.nan, whole[:1], whole[0], whole.astype(np.float64), whole[:, 1:], whole + 1):
        np.save(path, rows)
        refused(lambda: reference(root), path)
    np.savez(path.with_suffix(".npz.npz"), rows=whole)
    path.with_suffix(".npz.npz").replace(path)
    refused(lambda: reference(root), path)


def test_archive_that_unfolds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("get.data.sets.cifar10.LARGEST", 10**6)
    path = root / "inputs/cifar.tar.gz"
    write_archive(path, {"data_batch_1": bytes(10**7)})
    assert "unpacks to more than" in refused(lambda: cifar10_of(root), path)


def test_archive_that_says_it_stores_much(root: Path) -> None:
    """In C, unpickling takes 16 bytes for each number below the highest under which something is stored."""
    path = root / "inputs/cifar.tar.gz"
    write_archive(path, {"data_batch_1": b"\x80\x02Nr" + struct.pack("<I", 2**28) + b"."})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: cifar10_of(root), path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


class Command:
    """Unpickled, it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def hostile(path: Path, form: str, command: str) -> None:
    """Write a file that would run `command`."""
    content = Command(command)
    match form:
        case "npz":
            objects = np.array([content], dtype=object)
            np.savez(path, mu=objects, sigma=objects, source=objects)
        case "npy":
            np.save(path, np.array([[content], [content]], dtype=object), allow_pickle=True)
        case "torch":
            torch.save({"ema": content, "step": content}, path)
        case "legacy torch":
            torch.save({"ema": content, "step": content}, path, _use_new_zipfile_serialization=False)
        case "pickle":
            path.write_bytes(pickle.dumps(content))
        case "tar":
            batch = pickle.dumps({b"data": content, b"labels": [1]}, 2)
            write_archive(path, {"data_batch_1": batch})


FORMS = ("npz", "npy", "torch", "legacy torch", "pickle", "tar")


@pytest.mark.parametrize("name", KINDS)
def test_no_code_runs(name: str, root: Path) -> None:
    kind, canary = KINDS[name], root / "canary"
    path = root / kind.path
    for record in root.rglob(".*.sha256"):
        record.unlink()
    for form in FORMS:
        written = root / f"written.{form}"  # numpy insists on the suffix
        hostile(written, form, f"touch {canary}")
        written.replace(path)
        refused(lambda: kind.read(root), path)
        assert not canary.exists()


def test_the_hostile_files_are_hostile(tmp_path: Path) -> None:
    for form, unsafe in {
        "npy": lambda path: np.load(path, allow_pickle=True),
        "torch": lambda path: torch.load(path, weights_only=False),
        "legacy torch": lambda path: torch.load(path, weights_only=False),
        "pickle": lambda path: pickle.loads(path.read_bytes()),
    }.items():
        canary, path = tmp_path / f"{form} ran".replace(" ", "-"), tmp_path / "x.npy"
        hostile(path, form, f"touch {canary}")
        unsafe(path)
        assert canary.exists()


# ----------------------------------------------------------------- the next stage stops, and writes no result


def swap(root: Path, path: str, by: str) -> None:
    """Put the file `by`, with its record, in the place of `path`."""
    shutil.copy2(root / by, root / path)
    shutil.copy2(record_of(root / by), record_of(root / path))


class Use(NamedTuple):
    """A file of a results folder, the stage that uses it, and what may be put in its place by mistake."""

    path: str
    stage: Callable[[Path, Path], Any]
    others: tuple[str, ...]


def scoring(root: Path, out: Path) -> None:
    score(root, out, RUN)


def drawing(root: Path, out: Path) -> None:
    draw(root, out, "get/seed0/2", 0)


def training(root: Path, out: Path) -> None:
    train(root, out, "get", 0, 1)


def resuming(root: Path, out: Path) -> None:
    train(root, out, "get", 0, 3, root / f"{RUN}.pt")


def generating(root: Path, out: Path) -> None:
    generate(root, out, "a", range(8))


def listing(root: Path, out: Path) -> None:
    write_manifest(root / "pairs/a/result", sorted((root / "pairs/a").glob("*.h5")), "a")


def collecting(root: Path, out: Path) -> None:
    teacher_samples(manifest=root / "pairs/a/manifest.json", samples=9, nfe=3, output=out)


def showing(root: Path, out: Path) -> None:
    write_json(out, shown(root).to_json())


USES = {
    "store": Use("data/images.h5", scoring, ("data/others.h5",)),
    "statistics": Use(STATISTICS, scoring, ("features/reference-test.npz",)),
    "features": Use(FEATURES, scoring, ("features/reference-test.npy",)),
    "classifier": Use(CLASSIFIER_FILE, scoring, ("features/another.safetensors", TEACHER_FILE)),
    "teacher": Use(TEACHER_FILE, generating, ("teachers/b.safetensors", f"{RUN}.safetensors")),
    "shard to list": Use(FIRST, listing, (THEIRS, SECOND, "data/images.h5")),
    "shard to learn from": Use(FIRST, training, (THEIRS, SECOND, "pairs/a/held-out.h5")),
    "shard of the teacher's samples": Use(FIRST, collecting, (THEIRS, SECOND)),
    "held-out shard": Use("pairs/a/held-out.h5", drawing, ("pairs/b/held-out.h5", FIRST)),
    "manifest": Use("pairs/a/manifest.json", training, ("pairs/b/manifest.json", "costs.json")),
    "state": Use(f"{RUN}.pt", resuming, tuple(f"{run}.pt" for run in OTHER_RUNS)),
    "student": Use(
        f"{RUN}.safetensors", drawing, (*(f"{run}.safetensors" for run in OTHER_RUNS), TEACHER_FILE)
    ),
    "samples": Use(f"samples/{RUN}.h5", scoring, tuple(f"samples/{run}.h5" for run in OTHER_RUNS)),
    "scores": Use(f"scores/{RUN}.json", showing, tuple(f"scores/{run}.json" for run in OTHER_RUNS)),
    "costs": Use("costs.json", showing, ("others.json", "pairs/a/manifest.json")),
}
ACCIDENTS: dict[str, Callable[[Path], Any]] = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all but two bytes": lambda path: path.write_bytes(path.read_bytes()[:-2]),
    "nothing": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("Quota exceeded"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


def stops(root: Path, use: Use) -> None:
    before = sorted(root.rglob("*"))
    refused(lambda: use.stage(root, root / "result"), root / use.path)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("name", USES)
def test_undamaged_files_are_used(name: str, root: Path) -> None:
    USES[name].stage(root, root / "result")
    assert list(root.rglob("result*"))


@pytest.mark.parametrize("name", USES)
def test_a_damaged_file_stops_the_next_stage(name: str, root: Path) -> None:
    use = USES[name]
    whole = (root / use.path).read_bytes()
    for accident in ACCIDENTS.values():
        (root / use.path).write_bytes(whole)
        accident(root / use.path)
        stops(root, use)


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name, use in USES.items() for other in use.others]
)
def test_anothers_file_stops_the_next_stage(name: str, other: str, root: Path) -> None:
    use = USES[name]
    swap(root, use.path, other)
    stops(root, use)


def test_places() -> None:
    for path, expected in {
        "results/students/get-16/seed0/500.safetensors": "students/get-16/seed0/500",
        "/a/students/b/samples/students/get-1.5/seed12/500.h5": "students/get-1.5/seed12/500",
        "results/cifar10/teachers/vp-1.5.safetensors": "teachers/vp-1.5",
        "scores/baselines/real.json": "baselines/real",
        "/home/students/bob/get.safetensors": None,
        "results/students/get/seed0/500.unfinished.pt": None,
        "results/features/classifier.safetensors": None,
    }.items():
        assert place(path) == expected, path


@pytest.mark.parametrize("form", ["tag", "half", "manifest"])
@pytest.mark.workflow
def test_config(form: str, root: Path) -> None:
    """Snakemake reads the config; few are tried, for each takes seconds."""
    whole, canary, path = (ROOT / "tests/config.yaml").read_text(), root / "canary", root / "config.yaml"
    content = {
        "tag": f"seed: !!python/object/apply:os.system ['touch {canary}']\n{whole}",
        "half": whole[: len(whole) // 2],
        "manifest": (root / "pairs/a/manifest.json").read_text(),
    }
    path.write_text(content[form])
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--directory", root]
    command += ["--snakefile", ROOT / "Snakefile", "--configfile", path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Config file is not valid" in said or "Error in the config: " in said
    assert "Traceback" not in said
    assert not canary.exists()
