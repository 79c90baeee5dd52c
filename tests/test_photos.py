"""Crops of photographs: train and test have no pixel in common, classes are balanced, every image differs."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from get.data import sets
from get.data.sets import photos
from get.data.store import Images, read_split
from get.storage.hashing import sha256

HEIGHT, WIDTH = 427, 640  # of a photograph


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "images.h5"
    sets.write("photos", path, {})
    return path


@pytest.fixture(scope="module")
def splits(store: Path) -> dict[str, Images]:
    return {split: read_split(store, split) for split in ("train", "test")}


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    """All crops, none left out, of photographs whose pixels say where they are: (row, column, number)."""

    def paint(name: str) -> NDArray[np.uint8]:
        y, x = np.mgrid[:HEIGHT, :WIDTH] // photos.REDUCTION
        number = np.full_like(y, ["china.jpg", "flower.jpg"].index(name))
        return np.stack([y, x, number], axis=2).astype(np.uint8)

    monkeypatch.setattr("sklearn.datasets.load_sample_image", paint)
    monkeypatch.setattr(photos, "POSITIONS", (10**6, 10**6))
    photos.write_photos(tmp_path / "painted.h5")
    return {split: read_split(tmp_path / "painted.h5", split) for split in ("train", "test")}


def test_store(store: Path, splits: dict[str, Images]) -> None:
    described = sets.describe("photos")
    assert described.takes == []
    for (split, data), count in zip(splits.items(), described.images, strict=True):
        assert data.images.shape == (count, *described.shape), split
        assert data.images[:1].dtype == np.uint8
        assert (np.bincount(data.labels) == count // described.classes).all()
    with h5py.File(store) as file:
        assert file.attrs["name"] == "photos"
        assert "flower.jpg" in file.attrs["source"]


def test_every_image_differs(splits: dict[str, Images]) -> None:
    images = np.concatenate([data.images[:] for data in splits.values()])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_written_again_it_is_the_same_file(store: Path, tmp_path: Path) -> None:
    photos.write_photos(tmp_path / "images.h5")
    assert sha256(tmp_path / "images.h5") == sha256(store)


def test_no_pixel_is_in_both_splits(painted: dict[str, Images]) -> None:
    train, test = (places(data.images[:]) for data in painted.values())
    assert not (train & test).any()
    for number, first in enumerate(photos.PHOTOGRAPHS.values()):
        strip = slice(first, first + photos.STRIP)
        assert test[number, : HEIGHT // photos.REDUCTION, strip].mean() > 0.9
        assert not np.delete(test[number], np.arange(256)[strip], axis=1).any()
        assert train[number, 0, 0]
        assert train[number, 0, first + photos.STRIP :].any()


def places(images: NDArray[np.uint8]) -> NDArray[np.bool]:
    """Return which pixels of the photographs (2, 256, 256) painted images (N, 3, H, W) show."""
    shown = np.zeros((2, 256, 256), bool)
    row, column, number = images.transpose(1, 0, 2, 3)
    shown[number, row, column] = True
    return shown


def test_a_class_is_a_photograph_and_a_way_up(painted: dict[str, Images]) -> None:
    for data in painted.values():
        rows, columns, numbers = (data.images[:][:, channel].astype(int) for channel in range(3))
        upside_down = data.labels % 2
        assert (numbers == (data.labels // 2)[:, None, None]).all()
        assert (np.diff(rows, axis=1) == (1 - 2 * upside_down)[:, None, None]).all()
        # Half of each class are mirror images
        steps = np.diff(columns, axis=2)
        assert (steps == steps[:, :1, :1]).all()
        for label in range(photos.CLASSES):
            assert steps[data.labels == label, 0, 0].sum() == 0


def test_a_photograph_is_reduced_by_the_mean_of_blocks() -> None:
    photograph = np.zeros((7, 8, 3), np.uint8)
    photograph[3:6, 0:3, 1] = [[1, 2, 3], [4, 5, 6], [7, 8, 10]]  # mean 5.1
    photograph[6, :], photograph[:, 6:] = 200, 200  # incomplete blocks
    reduced = photos.reduce(photograph)
    assert reduced[..., 1].tolist() == [[0, 0], [5, 0]]
    assert not reduced[..., [0, 2]].any()


def test_crops_with_most_contrast_are_kept_in_their_order() -> None:
    contrast = np.array([3, 50, 0, 90, 7], np.uint8)
    crops = np.zeros((5, *photos.SHAPE), np.uint8)
    crops[..., ::2] = contrast[:, None, None, None]
    crops[2] = 255  # bright, and flat
    np.testing.assert_array_equal(photos.most_contrast(crops, 3), crops[[1, 3, 4]])


def test_few_crops_are_flat(splits: dict[str, Images]) -> None:
    for data in splits.values():
        contrast = data.images[:].std(axis=(2, 3)).mean(axis=1)
        assert contrast.min() > 8  # grey levels; sky has 1
