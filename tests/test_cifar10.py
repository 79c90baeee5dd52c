"""CIFAR-10's archive: every pixel in its place; damaged, incomplete and hostile ones refused."""

import gzip
import io
import os
import pickle
import pickletools
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fabricate_cifar import FOLDER, batch_pickle, cifar10_archive, write_archive

from get.data.sets.cifar10 import BATCHES, REMEDY, write_cifar10
from get.data.store import read_split
from get.storage.errors import UserError
from get.storage.hashing import sha256, verified_sha256

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cifar10_archive(tmp_path_factory.mktemp("cifar10") / "cifar-10-python.tar.gz")


@pytest.fixture(scope="module")
def files(archive: Path) -> Files:
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: member.read() for name, member in members.items() if member}


def test_the_fabricated_archive_is_like_the_official_one(archive: Path, files: Files) -> None:
    with tarfile.open(archive) as tar:
        assert {f"{FOLDER}/{name}" for name in BATCHES} < set(tar.getnames())
    found: dict[str, set[Any]] = {}
    for opcode, argument, _ in pickletools.genops(files["data_batch_1"]):
        found.setdefault(opcode.name, set()).add(argument)
    assert found["PROTO"] == {2}
    assert found["GLOBAL"] == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    assert {"BINSTRING", "SHORT_BINSTRING", "BINPUT", "APPENDS"} <= found.keys()
    assert not {name for name in found if "UNICODE" in name or "BYTES" in name}
    batch = pickle.loads(files["data_batch_1"], encoding="bytes")  # numpy agrees
    assert list(batch) == [b"batch_label", b"labels", b"data", b"filenames"]
    assert batch[b"data"].shape == (100, 3072)
    assert batch[b"data"].dtype == np.uint8
    assert len(batch[b"filenames"]) == len(batch[b"labels"]) == 100
    assert pickle.loads(files["batches.meta"], encoding="bytes")[b"label_names"][9] == b"truck"


def test_fabrication_is_a_function_of_its_seed(tmp_path: Path) -> None:
    one, same, other = (cifar10_archive(tmp_path / f"{i}", 12, 11, seed) for i, seed in enumerate((0, 0, 1)))
    assert sha256(one) == sha256(same) != sha256(other)


def test_store(archive: Path, files: Files, tmp_path: Path) -> None:
    write_cifar10(tmp_path / "images.h5", archive=archive, sha256=sha256(archive).upper())
    train, test = (read_split(tmp_path / "images.h5", split) for split in ("train", "test"))
    assert train.images.shape == (500, 3, 32, 32)
    assert test.images.shape == (50, 3, 32, 32)
    assert train.classes == test.classes == 10
    with h5py.File(tmp_path / "images.h5") as file:
        assert file.attrs["name"] == "cifar10"
        assert sha256(archive) in file.attrs["source"]
    read = [pickle.loads(files[name], encoding="bytes") for name in BATCHES]
    labels = np.concatenate([batch[b"labels"] for batch in read])
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), labels)
    rows = np.concatenate([batch[b"data"] for batch in read])
    np.testing.assert_array_equal(np.concatenate([train.images[:], test.images[:]]).reshape(-1, 3072), rows)


def test_the_order_in_the_archive_does_not_matter(files: Files, archive: Path, tmp_path: Path) -> None:
    """In the official archive the batches do not stand in order."""
    turned = write_archive(tmp_path / "turned.tar.gz", dict(reversed(files.items())))
    for name, source in (("a", archive), ("b", turned)):
        write_cifar10(tmp_path / name, archive=source, sha256=None)
    for split in ("train", "test"):
        a, b = read_split(tmp_path / "a", split), read_split(tmp_path / "b", split)
        np.testing.assert_array_equal(a.images[:], b.images[:])
        np.testing.assert_array_equal(a.labels, b.labels)


def test_a_pixel_of_each_channel(files: Files, tmp_path: Path) -> None:
    """A row is 1024 red, 1024 green and 1024 blue values, each row by row."""
    row = np.zeros((3, 3072), np.uint8)
    row[1, 2 * 32 + 5], row[1, 1024 + 3 * 32 + 7], row[1, 2048 + 31 * 32] = 11, 22, 33
    changed = write_archive(tmp_path / "a.tar.gz", files | {"data_batch_1": batch_pickle(row, [4, 9, 0])})
    write_cifar10(tmp_path / "images.h5", archive=changed, sha256=None)
    image = read_split(tmp_path / "images.h5", "train").images[1:2][0]
    assert (image[0, 2, 5], image[1, 3, 7], image[2, 31, 0]) == (11, 22, 33)
    assert np.count_nonzero(image) == 3


def test_columns_first(files: Files, archive: Path, tmp_path: Path) -> None:
    """An array in Fortran's order is pickled as it lies in memory, and says so."""
    batch = pickle.loads(files["test_batch"], encoding="bytes")
    turned = batch_pickle(np.asfortranarray(batch[b"data"]), batch[b"labels"])
    assert pickle.loads(turned, encoding="bytes")[b"data"].flags.f_contiguous
    path = write_archive(tmp_path / "a.tar.gz", files | {"test_batch": turned})
    write_cifar10(tmp_path / "images.h5", archive=path, sha256=None)
    test = read_split(tmp_path / "images.h5", "test")
    np.testing.assert_array_equal(test.images[:].reshape(-1, 3072), batch[b"data"])


def test_batches_written_again_by_python_3(files: Files, tmp_path: Path) -> None:
    """Protocol 2 of Python 3 and numpy 2: bytes go through _codecs.encode, arrays through numpy._core."""
    values = {name: pickle.loads(files[name], encoding="bytes") for name in BATCHES}
    again = {name: pickle.dumps(value, 2) for name, value in values.items()}
    assert b"_codecs\nencode" in again["data_batch_1"]
    assert b"numpy._core" in again["data_batch_1"]
    write_cifar10(tmp_path / "x.h5", archive=write_archive(tmp_path / "a.tar.gz", again), sha256=None)
    train = read_split(tmp_path / "x.h5", "train")
    np.testing.assert_array_equal(train.images[:100].reshape(-1, 3072), values["data_batch_1"][b"data"])


def refused(archive: Path, message: str, checksum: str | None = None) -> None:
    before = set(archive.parent.iterdir())
    with pytest.raises(UserError, match=message) as caught:
        write_cifar10(archive.parent / "images.h5", archive=archive, sha256=checksum)
    assert str(archive) in str(caught.value)
    assert set(archive.parent.iterdir()) == before


def test_another_checksum(archive: Path) -> None:
    wanted = "0" * 64
    refused(archive, rf"has SHA-256 {sha256(archive)}, not {wanted}.*name the one that has it", wanted)


def test_checksum_of_a_file(archive: Path, tmp_path: Path) -> None:
    assert verified_sha256(archive, None) == verified_sha256(archive, sha256(archive)) == sha256(archive)
    with pytest.raises(UserError, match=r"none.tar.gz cannot be read \(No such file"):
        verified_sha256(tmp_path / "none.tar.gz", None)


def test_truncated(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99):
        (tmp_path / "a.tar.gz").write_bytes(whole[: int(share * len(whole))])
        refused(tmp_path / "a.tar.gz", rf"(is no complete|is no batch).*{re.escape(REMEDY)}")
    (tmp_path / "a.tar.gz").write_bytes(whole[:-1])
    refused(tmp_path / "a.tar.gz", "is no complete")


def test_changed_bytes_fail_the_checksum_of_gzip(archive: Path, tmp_path: Path) -> None:
    whole = gzip.decompress(archive.read_bytes())
    other = bytearray(gzip.compress(whole, 0))  # stored as they are: nothing but the checksum can tell
    other[len(other) // 2] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(other)
    refused(tmp_path / "a.tar.gz", "is no complete.*CRC")


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("<html>moved</html>")
    refused(tmp_path / "a.tar.gz", "is no complete .tar.gz")


@pytest.mark.parametrize("name", ["data_batch_4", "test_batch"])
def test_missing_batch(files: Files, tmp_path: Path, name: str) -> None:
    rest = {key: value for key, value in files.items() if key != name}
    refused(write_archive(tmp_path / "a.tar.gz", rest), f"lacks {name}; get cifar-10-python")


def rows(*shape: int, kind: type = np.uint8) -> Any:
    return np.zeros(shape, kind)


# the same text encoded again and again; a shape whose text, and hash, have no end
ENCODED = b"\x80\x02X\xe8\x03\0\0" + b"x" * 1000 + b"q\0" + b"c_codecs\nencode\nh\0N\x86R" * 99 + b"."
SHAPE = b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(200))
SHAPED = batch_pickle(rows(0, 3072), []).replace(b"K\x00M\x00\x0c\x86", SHAPE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (batch_pickle(rows(4, 3072), [1, 2, 3]), "has 4 images and 3 labels"),
        (batch_pickle(rows(0, 3072), []), "has 0 images and 0 labels"),
        (batch_pickle(rows(2, 3072), [1, 10]), "has labels outside 0 to 9"),
        (batch_pickle(rows(2, 3072), [-1, 1]), "has labels outside 0 to 9"),
        (batch_pickle(rows(2, 3072), [True, 1]), "labels are no list of numbers"),
        (batch_pickle(rows(2, 1024), [1, 2]), r"images have shape \(2, 1024\), not \(N, 3072\)"),
        (batch_pickle(rows(2, 3, 1024), [1, 2]), r"images have shape \(2, 3, 1024\)"),
        (batch_pickle(rows(2, 3072, kind=np.float32), [1, 2]), "images are no bytes"),
        (pickle.dumps({b"labels": [1]}, 2), r"is no batch of CIFAR-10 \(b'data'\)"),
        (pickle.dumps([1], 2), "is no batch of CIFAR-10"),
        (ENCODED, "unfolds to more values"),
        (SHAPED, r"images have shape a tuple"),
        (b"\x80\x02" + b"]" * 1_000_001, "more than 1000000 instructions"),
        (b"", "is no batch of CIFAR-10"),
        (b"\x80\x02}", "is no batch of CIFAR-10"),
    ],
)
def test_bad_batch(files: Files, tmp_path: Path, content: bytes, message: str) -> None:
    path = write_archive(tmp_path / "a.tar.gz", files | {"data_batch_3": content})
    refused(path, rf"data_batch_3.*{message}.*{re.escape(REMEDY)}")


def text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


# Each would make the file FLAG, were its names not refused. The first four do so in Python's own unpickler.
HOSTILE: dict[str, Callable[[str], bytes]] = {
    "os.mkdir": lambda flag: b"\x80\x02cos\nmkdir\n" + text(flag) + b"\x85R.",
    "posix.mkdir": lambda flag: b"(" + text(flag) + b"iposix\nmkdir\n.",  # INST
    "builtins.eval": lambda flag: b"\x80\x02cbuiltins\neval\n" + text(f"open({flag!r}, 'w')") + b"\x85R.",
    "__builtin__.eval": lambda flag: b"c__builtin__\neval\n" + text(f"open({flag!r},'w')") + b"\x85R.",
    "numpy.dtype.__class__": lambda flag: b"\x80\x04\x8c\x05numpy\x8c\x0fdtype.__class__\x93.",
    "numpy.load": lambda flag: b"\x80\x02cnumpy\nload\n" + text(flag) + b"\x85R.",
    "_codecs.encode.__call__": lambda flag: b"\x80\x04\x8c\x07_codecs\x8c\x0fencode.__call__\x93.",
    "_codecs.decode": lambda flag: b"\x80\x02c_codecs\ndecode\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle(files: Files, tmp_path: Path, name: str) -> None:
    flag = tmp_path / "flag"
    path = write_archive(tmp_path / "a.tar.gz", files | {"test_batch": HOSTILE[name](str(flag))})
    refused(path, rf"test_batch.* (asks for {re.escape(name)}|has an instruction INST); refused")
    assert not flag.exists()


def test_the_hostile_pickles_are_hostile(tmp_path: Path) -> None:
    """The test above can fail: the plain unpickler runs these."""
    for name in list(HOSTILE)[:4]:
        flag = tmp_path / "flag"
        pickle.loads(HOSTILE[name](str(flag)))
        assert flag.exists()
        os.rename(flag, tmp_path / name)


def test_a_link_is_no_batch(files: Files, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            if name == "test_batch":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                content = b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused(tmp_path / "a.tar.gz", "lacks test_batch")
