"""Pairs: the same whatever the shards, read back as written, refused where damaged."""

import errno
import gc
import json
import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from conftest import NETWORK, SHAPE
from numpy.typing import NDArray

from get.cli import main
from get.networks.denoiser import build
from get.pairs import dataset
from get.pairs.dataset import Batch, Pairs, held_out_pairs, training_pairs
from get.pairs.indices import HELD_OUT, shard_range
from get.pairs.manifest import read_manifest, verify, write_manifest
from get.pairs.shards import write_shard
from get.runtime.seeding import normal
from get.storage.errors import UserError
from get.storage.hashing import record_of
from get.storage.weights import write_weights
from get.teacher import generation
from get.teacher.generation import write_pairs
from get.teacher.samplers import Sampler

SAMPLER = Sampler(num_steps=3, sigma_min=0.01, sigma_max=10, rho=7, precision="float32", batch=8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build({**SHAPE, **NETWORK})
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    write_weights(path, "teacher", model.state_dict(), {"model": {**SHAPE, **NETWORK}})
    return path


def generate(teacher: Path, folder: Path, shards: int, count: int = 60) -> Pairs:
    files = []
    for shard in range(shards):
        files.append(folder / f"train-{shard:05d}.h5")
        indices = shard_range(shard, shards, count, SAMPLER.batch)
        write_pairs(
            teacher=teacher,
            indices=indices,
            sampler=SAMPLER,
            seed=0,
            identity="x",
            device="cpu",
            output=files[-1],
        )
    write_manifest(folder / "manifest.json", files, "x")
    return training_pairs(read_manifest(folder / "manifest.json", "x"))


def test_bit_equal_for_any_number_of_shards(teacher: Path, tmp_path: Path) -> None:
    batches = [
        generate(teacher, tmp_path / str(shards), shards).batch(torch.arange(60)) for shards in (1, 3, 8)
    ]
    for other in batches[1:]:
        for a, b in zip(batches[0], other, strict=True):
            assert a.equal(b)
    assert batches[0].noise.equal(normal(range(60), (1, 8, 8), 0, "pairs").half())
    assert batches[0].label.tolist() == [i % 10 for i in range(60)]


def test_a_pair_does_not_depend_on_the_count(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch of a shard is computed whole: arithmetic may depend on the size of a batch."""
    sizes, real = set(), generation.sample
    monkeypatch.setattr(
        generation, "sample", lambda model, noise, *rest: sizes.add(len(noise)) or real(model, noise, *rest)
    )
    few, many = generate(teacher, tmp_path / "a", 1, 13), generate(teacher, tmp_path / "b", 1, 60)
    for a, b in zip(few.batch(torch.arange(13)), many.batch(torch.arange(13)), strict=True):
        assert a.equal(b)
    assert sizes == {SAMPLER.batch}


@pytest.mark.parametrize(("count", "batch", "shards"), [(60, 8, 3), (5, 8, 4), (6000, 250, 7), (10, 1, 10)])
def test_shards_cover_the_indices(count: int, batch: int, shards: int) -> None:
    ranges = [shard_range(shard, shards, count, batch) for shard in range(shards)]
    assert [i for r in ranges for i in r] == list(range(count))
    assert all(r.start % batch == 0 or not r for r in ranges)


def test_batches_cross_shards_and_keep_order(pairs: Path) -> None:
    manifest = read_manifest(pairs)
    data = training_pairs(manifest)
    assert len(data) == 200
    assert len(held_out_pairs(pairs.parent / "held-out.h5", "abc")) == 30
    positions = torch.tensor([199, 0, 119, 120, 0])
    batch = data.batch(positions)
    with h5py.File(pairs.parent / "train-00001.h5") as file:
        np.testing.assert_array_equal(batch.noise[0].numpy(), file["noise"][79])
        np.testing.assert_array_equal(batch.image[3].numpy(), file["image"][0])
    assert batch.label.tolist() == [9, 0, 9, 0, 0]
    assert batch.noise[1].equal(batch.noise[4])


def some_pairs(count: int) -> list[NDArray[Any]]:
    """Return noise, image and label of random pairs."""
    source = np.random.default_rng(0)
    noise, image = (source.standard_normal((count, 3, 4, 4)).astype(np.float16) for _ in range(2))
    return [noise, image, source.integers(0, 10, count)]


def write_apart(folder: Path, content: list[NDArray[Any]], shards: int) -> Path:
    """Write pairs as so many shards; returns the manifest."""
    files, start = [folder / f"train-{number:05d}.h5" for number in range(shards)], 0
    attributes = {"identity": "abc", "classes": 10, "teacher": "t"}
    parts = zip(*(np.array_split(array, shards) for array in content), strict=True)
    for file, part in zip(files, parts, strict=True):
        write_shard(file, start, *part, attributes)
        start += len(part[0])
    write_manifest(folder / "manifest.json", files, "abc")
    return folder / "manifest.json"


def test_a_batch_is_what_was_written(tmp_path: Path) -> None:
    written = some_pairs(500)
    data = training_pairs(read_manifest(write_apart(tmp_path, written, 7)))
    positions = torch.from_numpy(np.random.default_rng(1).integers(0, 500, 1000))
    batch = data.batch(positions)
    for tensor, array in zip(batch, written, strict=True):
        assert tensor.numpy().dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array[positions.numpy()])


def test_float16_becomes_float32_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 1, 8, 8)
    every = np.where(np.isnan(every), np.float16(0), every)
    batch = Batch(*(torch.from_numpy(array) for array in (every, -every, np.arange(len(every)))))
    moved = batch.on(torch.device("cpu"))
    assert moved.noise.dtype == moved.image.dtype == torch.float32
    for tensor, array in ((moved.noise, every), (moved.image, -every)):
        assert tensor.numpy().tobytes() == array.astype(np.float32).tobytes()
    assert moved.label.equal(batch.label)


def test_more_shards_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = some_pairs(400)
    manifest = read_manifest(write_apart(tmp_path, written, 200))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        data = training_pairs(manifest)
        np.testing.assert_array_equal(data.batch(torch.arange(400)).image.numpy(), written[1])
        monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 300))
        with pytest.raises(UserError, match=r"200 shards .* allows 300 files; raise .*ulimit.*fewer shards"):
            training_pairs(manifest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_reading_takes_no_memory(tmp_path: Path) -> None:
    """No page of a shard stays in this process, as it would of a map."""

    def resident() -> int:
        return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text())[1])

    data = training_pairs(read_manifest(write_apart(tmp_path, some_pairs(100_000), 2)))
    data.batch(torch.arange(100))
    before = resident()
    for start in range(0, 100_000, 1000):
        data.batch(torch.arange(start, start + 1000))
    assert resident() - before < 2000  # kB, of 19,200


@pytest.fixture
def copy(pairs: Path, tmp_path: Path) -> Path:
    shutil.copytree(pairs.parent, tmp_path / "pairs")
    return tmp_path / "pairs" / "manifest.json"


def open_files(folder: Path) -> int:
    return sum(str(folder) in os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())


def test_files_close_with_the_pairs(copy: Path) -> None:
    data = training_pairs(read_manifest(copy))
    assert open_files(copy.parent) == 2
    del data
    (copy.parent / "train-00001.h5").unlink()
    with pytest.raises(UserError):
        training_pairs(read_manifest(copy))
    gc.collect()  # the error keeps what was opened before it
    assert open_files(copy.parent) == 0


@pytest.mark.usefixtures("large")
def test_a_shard_that_is_cut_off_while_it_is_read(copy: Path) -> None:
    data, shard = training_pairs(read_manifest(copy)), copy.parent / "train-00001.h5"
    data.batch(torch.arange(200))
    os.truncate(shard, 20_000)
    with pytest.raises(
        UserError,
        match=r"train-00001.h5 .*damaged \(it was cut off after ",
    ):
        data.batch(torch.arange(200))
    assert len(data.batch(torch.arange(120)).image) == 120  # the other shard is whole


def test_a_few_pairs_are_kept_in_memory(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = training_pairs(read_manifest(copy))
    monkeypatch.setattr(dataset, "KEPT", 200 * 2 * 2 * 64 - 1)  # bytes
    read = training_pairs(read_manifest(copy))
    for shard in copy.parent.glob("train-*.h5"):
        os.truncate(shard, 0)
    numbers = torch.tensor([199, 3, 120, 3])
    with pytest.raises(UserError, match="cut off"):
        read.batch(numbers)
    batch = kept.batch(numbers)
    assert batch.image.shape == (4, 1, 8, 8)
    assert batch.label.tolist() == [9, 3, 0, 3]
    assert batch.noise[1].equal(batch.noise[3])


@pytest.mark.usefixtures("large")
def test_a_shard_that_is_deleted_or_made_again_is_read_as_it_was(copy: Path) -> None:
    data, shard = training_pairs(read_manifest(copy)), copy.parent / "train-00001.h5"
    before = data.batch(torch.arange(200))
    shard.unlink()
    assert all(a.equal(b) for a, b in zip(before, data.batch(torch.arange(200)), strict=True))
    shutil.copy(copy.parent / "train-00000.h5", shard)
    assert all(a.equal(b) for a, b in zip(before, data.batch(torch.arange(200)), strict=True))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_file_system_that_fails(copy: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    data = training_pairs(read_manifest(copy))

    def fail(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(UserError, match=r"train-00001.h5 cannot be read now .*; run the same command again"):
        data.batch(torch.tensor([150]))


def test_missing_shard(copy: Path) -> None:
    (copy.parent / "train-00001.h5").unlink()
    with pytest.raises(UserError, match=r"train-00001.h5 does not exist, but .*manifest.json lists it"):
        training_pairs(read_manifest(copy))


def flip_a_byte(path: Path, *, keep_time: bool = False) -> None:
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-5] ^= 1  # in the data: header and size stay
    path.write_bytes(content)
    times = (stat.st_atime_ns, stat.st_mtime_ns if keep_time else stat.st_mtime_ns + 10**9)
    os.utime(path, ns=times)


def swap(shard: Path) -> None:
    other, temporary = shard.with_name("train-00000.h5"), shard.with_name("x")
    shard.replace(temporary), other.replace(shard), temporary.replace(other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda shard: os.truncate(shard, 0),
        lambda shard: os.truncate(shard, 100),
        lambda shard: os.truncate(shard, 20_000),
        lambda shard: shard.write_bytes(shard.read_bytes() + b"x"),
        flip_a_byte,
        swap,
    ],
)
def test_a_shard_that_is_not_the_one_listed(damage: Callable[[Path], Any], copy: Path) -> None:
    damage(copy.parent / "train-00001.h5")
    with pytest.raises(UserError, match=r"train-0000[01].h5 is not the shard that .*manifest.json lists"):
        training_pairs(read_manifest(copy))


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_a_truncated_shard_is_not_listed(size: int, copy: Path) -> None:
    shard = copy.parent / "train-00000.h5"
    os.truncate(shard, size)
    record_of(shard).unlink()
    with pytest.raises(UserError, match=r"train-00000.h5 is no shard of pairs or is damaged"):
        write_manifest(copy, [shard], "abc")


def test_an_unchanged_copy_of_another_time_is_fine(copy: Path) -> None:
    os.utime(copy.parent / "train-00001.h5")
    assert len(training_pairs(read_manifest(copy))) == 200


def test_verify_hashes_every_shard(copy: Path) -> None:
    assert verify(copy) == 3
    assert main(["verify", str(copy)]) == 0
    flip_a_byte(copy.parent / "train-00001.h5", keep_time=True)
    (copy.parent / "held-out.h5").unlink()
    with pytest.raises(UserError, match=r"held-out.h5 \S*train-00001.h5$"):
        verify(copy)
    assert main(["verify", str(copy)]) == 2


def change(shard: Path, **attributes: Any) -> None:
    """Write a shard again with other attributes; it has no recorded hash any more."""
    with h5py.File(shard, "r+") as file:
        file.attrs.update(attributes)
    record_of(shard).unlink()


def test_shard_of_other_settings_is_noticed_when_read(copy: Path) -> None:
    change(copy.parent / "held-out.h5", identity="xyz")
    with pytest.raises(UserError, match=r"held-out.h5 belongs to pairs of other settings"):
        held_out_pairs(copy.parent / "held-out.h5", "abc")


def test_gaps_and_overlaps_are_refused(copy: Path) -> None:
    with pytest.raises(UserError, match=r"train-00001.h5 starts at pair 120, not 0"):
        write_manifest(copy, [copy.parent / "train-00001.h5"], "abc")
    change(copy.parent / "train-00001.h5", start=110)
    with pytest.raises(UserError, match=r"train-00001.h5 starts at pair 110, not 120"):
        write_manifest(copy, sorted(copy.parent.glob("*.h5")), "abc")


def test_shards_of_other_settings_are_refused(copy: Path) -> None:
    with pytest.raises(UserError, match="belongs to pairs of other settings"):
        write_manifest(copy, [copy.parent / "train-00000.h5"], "other")
    with pytest.raises(UserError, match="made with other settings"):
        read_manifest(copy, "other")


def test_shards_of_two_teachers_are_refused(copy: Path) -> None:
    change(copy.parent / "train-00001.h5", teacher="another")
    with pytest.raises(UserError, match="different teachers"):
        write_manifest(copy, sorted(copy.parent.glob("*.h5")), "abc")


def test_damaged_manifest(copy: Path) -> None:
    copy.write_text("{")
    with pytest.raises(UserError, match=r"manifest.json is no JSON"):
        read_manifest(copy)
    copy.write_text(json.dumps({"identity": "abc"}))
    with pytest.raises(UserError, match="is no manifest of pairs"):
        read_manifest(copy)


@pytest.mark.parametrize("value", [np.nan, np.inf, 11.0])
def test_bad_images_are_not_written(tmp_path: Path, value: float) -> None:
    noise, image = np.zeros((4, 1, 8, 8), np.float16), np.zeros((4, 1, 8, 8), np.float16)
    image[2, 0, 3, 3] = value
    with pytest.raises(UserError, match="image of pair 12 has pixels"):
        write_shard(tmp_path / "s.h5", 10, noise, image, np.zeros(4, np.int64), {"identity": ""})
    assert not list(tmp_path.iterdir())


def test_held_out_indices_are_out_of_reach() -> None:
    assert HELD_OUT > 10**12
    assert HELD_OUT % 64 == 0
