"""An archive of CIFAR-10's format with made-up images, byte by byte what Python 2's cPickle would write."""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = "cifar-10-batches-py"
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
README = b'<meta HTTP-EQUIV="REFRESH" content="0; url=http://www.cs.toronto.edu/~kriz/cifar.html">\n'


def cifar10_archive(path: str | Path, train: int = 100, test: int = 50, seed: int = 0) -> Path:
    """Write the archive with `train` images in each of the five batches and `test` in the sixth."""
    source = np.random.default_rng(seed)
    files = {"batches.meta": python2_pickle(meta(train)), "readme.html": README}
    for number in range(1, 6):
        labels = source.permutation(np.arange(train) % 10)
        title = f"training batch {number} of 5".encode()
        files[f"data_batch_{number}"] = batch_pickle(blobs(labels, source), labels.tolist(), title)
    labels = source.permutation(np.arange(test) % 10)
    files["test_batch"] = batch_pickle(blobs(labels, source), labels.tolist(), b"testing batch 1 of 1")
    return write_archive(path, files)


def blobs(labels: NDArray[Any], source: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (N, 3072): a smooth blob on a shaded ground; its place and colour tell the class."""
    angle = 2 * np.pi * labels[:, None] / 10 + source.normal(0, 0.1, (len(labels), 1))
    colour = 0.5 + 0.5 * np.cos(angle + 2 * np.pi * np.arange(3) / 3)  # (N, 3): a circle of hues
    centre = (
        16 + 8 * np.concatenate([np.cos(angle), np.sin(angle)], 1) + source.normal(0, 1, (len(labels), 2))
    )
    width = source.uniform(4, 7, (len(labels), 1, 1))
    y, x = np.mgrid[:32, :32]
    square = (y - centre[:, :1, None]) ** 2 + (x - centre[:, 1:, None]) ** 2  # (N, 32, 32)
    blob = np.exp(-square / (2 * width**2))[:, None]
    ground = (0.2 + 0.3 * y / 31)[None, None] * np.roll(colour, 1, axis=1)[:, :, None, None]
    images = ground * (1 - blob) + colour[:, :, None, None] * blob
    return np.rint(255 * images).astype(np.uint8).reshape(-1, 3072)


def write_archive(path: str | Path, files: Mapping[str, bytes]) -> Path:
    """Write a .tar.gz of `files` in the folder of CIFAR-10; the same files give the same bytes."""
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        folder = tarfile.TarInfo(FOLDER)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return Path(path)


def meta(train: int) -> dict[bytes, Any]:
    """Return the content of batches.meta."""
    names = [name.encode() for name in NAMES]
    return {b"num_cases_per_batch": train, b"label_names": names, b"num_vis": 3072}


def batch_pickle(images: NDArray[Any], labels: list[int], title: bytes = b"batch") -> bytes:
    """Return the pickle of one batch; `images` (N, 3072), in the official files uint8."""
    names = [f"{NAMES[label % 10]}_s_{index:06d}.png".encode() for index, label in enumerate(labels)]
    return python2_pickle({b"batch_label": title, b"labels": labels, b"data": images, b"filenames": names})


def python2_pickle(value: Any) -> bytes:
    """Return `value` as cPickle.dumps(value, 2) wrote it; bytes stand for Python 2's str."""
    return b"\x80\x02" + Python2Pickler().write(value) + b"."


class Python2Pickler:
    """Writes the opcodes of protocol 2 (see pickletools), with the memo that no one reads."""

    def __init__(self) -> None:
        self.stored = 0

    def write(self, value: Any) -> bytes:
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if 0 <= value < 256:
                return b"K" + struct.pack("<B", value)
            case int() if 0 <= value < 65536:
                return b"M" + struct.pack("<H", value)
            case int():
                return b"J" + struct.pack("<i", value)
            case bytes() if len(value) < 256:
                return b"U" + struct.pack("<B", len(value)) + value + self.put()
            case bytes():
                return b"T" + struct.pack("<i", len(value)) + value + self.put()
            case tuple():
                return self.tuple(value)
            case list():
                return b"]" + self.put() + self.groups(value, b"ae")
            case dict():
                return b"}" + self.put() + self.groups(value.items(), b"su")
            case np.ndarray():
                return self.array(value)
        raise TypeError(value)

    def put(self) -> bytes:
        self.stored += 1
        number = self.stored
        return b"q" + struct.pack("<B", number) if number < 256 else b"r" + struct.pack("<i", number)

    def tuple(self, value: tuple[Any, ...]) -> bytes:
        items = b"".join(map(self.write, value))
        if 1 <= len(value) <= 3:
            return items + b"\x85\x86\x87"[len(value) - 1 : len(value)] + self.put()
        return b"(" + items + b"t" + self.put()

    def groups(self, items: Any, codes: bytes) -> bytes:
        """Add the items of a list or a dict by thousands; `codes` add one, and all since the mark."""
        parts = [b"".join(map(self.write, item if codes == b"su" else (item,))) for item in items]
        text = b""
        for start in range(0, len(parts), 1000):
            group = parts[start : start + 1000]
            text += group[0] + codes[:1] if len(group) == 1 else b"(" + b"".join(group) + codes[1:]
        return text

    def name(self, module: bytes, name: bytes) -> bytes:
        return b"c" + module + b"\n" + name + b"\n" + self.put()

    def array(self, value: NDArray[Any]) -> bytes:
        made = self.name(b"numpy.core.multiarray", b"_reconstruct") + self.name(b"numpy", b"ndarray")
        made += self.write((0,)) + self.write(b"b") + b"\x87" + self.put() + b"R" + self.put()
        head = b"(" + self.write(1) + self.write(value.shape)
        kind = self.name(b"numpy", b"dtype") + self.write(value.dtype.str.lstrip("|<").encode())
        kind += self.write(0) + self.write(1) + b"\x87" + self.put() + b"R" + self.put()
        order = b"|" if value.dtype.itemsize == 1 else b"<"
        kind += self.write((3, order, None, None, None, -1, -1, 0)) + b"b"
        fortran = not value.flags.c_contiguous and value.flags.f_contiguous
        data = self.write(value.tobytes("A" if fortran else "C"))
        return made + head + kind + self.write(fortran) + data + b"t" + self.put() + b"b"
