"""CIFAR-10 from the archive that its authors publish for Python (Krizhevsky 2009).

`cifar-10-python.tar.gz` holds six pickles of Python 2. They are read as data, without running what they name,
and the arrays are made from their bytes.
"""

import gzip
import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from get.data.store import write_store
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256
from get.storage.unpickling import Answers, Budget, Stored, show, unpickle

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
LARGEST = 2**30  # bytes of the archive, unpacked: it has 186 million
SHAPE = (3, 32, 32)
CLASSES = 10
IMAGES = (50_000, 10_000)
PIXELS = 3 * 32 * 32
REMEDY = "get cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def write_cifar10(path: str | Path, *, archive: str | Path, sha256: str | None) -> None:
    """Write the store at `path` from `archive`, whose SHA-256 must be `sha256` (None: any).

    Raises:
        UserError: another checksum, or the archive is damaged, incomplete or not CIFAR-10.
    """
    digest = verified_sha256(archive, sha256)
    batches = _read(archive)
    images = np.concatenate([batches[name][0] for name in BATCHES])
    labels = np.concatenate([batches[name][1] for name in BATCHES])
    split = np.zeros(len(labels), np.uint8)
    split[-len(batches["test_batch"][1]) :] = 1
    source = f"CIFAR-10, python version (Krizhevsky 2009), from an archive with SHA-256 {digest}"
    write_store(path, images, labels, split, name="cifar10", classes=CLASSES, source=source)


def _read(archive: str | Path) -> dict[str, Batch]:
    """Return the batches of the archive by name, all six."""
    batches = {}
    try:
        with gzip.open(archive) as stream:  # to the end, where gzip has its checksum of the whole
            while stream.read(2**20):
                if stream.tell() > LARGEST:
                    raise ValueError(f"it unpacks to more than {LARGEST} bytes")
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name in BATCHES and member.isfile() and (file := tar.extractfile(member)):
                    batches[name] = _batch(file.read(), f"{archive}: {name}")
    except UserError:
        raise
    except Exception as error:  # libraries raise errors of every kind for damaged files
        raise UserError(f"{archive} is no complete .tar.gz ({error}); {REMEDY}") from None
    if missing := [name for name in BATCHES if name not in batches]:
        raise UserError(f"{archive} lacks {', '.join(missing)}; {REMEDY}")
    return batches


def _batch(content: bytes, name: str) -> Batch:
    """Return images uint8 (N, 3, 32, 32) and labels int64 (N,) of one pickled batch."""
    budget = Budget(len(content))
    answers: Answers = {**ANSWERS, "_codecs.encode": lambda text, _: _encode(text, budget)}
    try:
        batch = unpickle(io.BytesIO(content), answers, budget)
        rows, labels = _rows(batch[b"data"]), batch[b"labels"]
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise ValueError("its labels are no list of numbers")
    except Exception as error:  # a damaged or hostile pickle can raise any
        raise UserError(
            f"{name} is no batch of CIFAR-10 ({error or type(error).__name__}); {REMEDY}"
        ) from None
    if len(labels) != len(rows) or not labels:
        raise UserError(f"{name} has {len(rows)} images and {len(labels)} labels; {REMEDY}")
    if not 0 <= min(labels) <= max(labels) < CLASSES:
        raise UserError(f"{name} has labels outside 0 to {CLASSES - 1}; {REMEDY}")
    return rows.reshape(-1, *SHAPE), np.array(labels, np.int64)


ANSWERS: Answers = {  # and _codecs.encode
    "numpy.core.multiarray._reconstruct": Stored,
    "numpy._core.multiarray._reconstruct": Stored,  # NumPy 2
    "numpy.ndarray": None,
    "numpy.dtype": Stored,
}


def _encode(text: str, budget: Budget) -> bytes:
    """Return the bytes that Python 3 writes into protocol 2 as text in Latin-1."""
    budget.take(len(text))
    return text.encode("latin-1")


def _rows(array: Stored) -> NDArray[np.uint8]:
    """Return the pickled array uint8 (N, 3072); its state is version, shape, dtype, Fortran order, bytes."""
    _, shape, dtype, fortran, data = array.state
    if dtype.arguments[0] not in (b"u1", "u1", b"|u1", "|u1") or type(data) is not bytes:
        raise ValueError("its images are no bytes")
    count = len(data) // PIXELS
    if shape != (count, PIXELS) or len(data) != count * PIXELS:
        raise ValueError(f"its images have shape {show(shape)}, not (N, {PIXELS})")
    return np.frombuffer(data, np.uint8).reshape(count, PIXELS, order="F" if fortran else "C")


WRITE = write_cifar10
