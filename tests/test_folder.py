"""Images of one's own: what is found in folders, archives and arrays, and what is refused by name."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from get.data.sets import DataSet, describe, write
from get.data.store import Images, read_split
from get.storage.errors import UserError

DEFAULTS = {"labels": None, "resize": None, "sha256": None, "test_fraction": 0.25, "seed": 0}
RANDOM = np.random.default_rng(0)


def picture(mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Return a picture of noise."""
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    pixels = RANDOM.integers(0, 256, (size[1], size[0], *channels), np.uint8)
    if mode in ("LA", "RGBA"):
        pixels[..., -1] = 255
    return Image.fromarray(pixels, mode if mode in ("LA", "CMYK") else None)


def save(path: Path, image: Image.Image | None = None) -> Path:
    """Write a picture, of noise unless it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path)
    return path


def folder(path: Path, *names: str, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Path:
    """Write pictures of these names into a folder."""
    for name in names:
        save(path / name, picture(mode, size))
    return path


def numbered(*folders: str, count: int = 8) -> Iterable[str]:
    """Return names of pictures in folders."""
    return [f"{each}/{number:02d}.png".removeprefix("/") for each in folders for number in range(count)]


def found(path: Path, **change: Any) -> DataSet:
    return describe("folder", {**DEFAULTS, "archive": str(path), **change})


def stored(path: Path, out: Path, **change: Any) -> dict[str, Images]:
    """Return the splits of the store that is made."""
    given = {**DEFAULTS, "archive": str(path), **change}
    write("folder", out, {"shape": describe("folder", given).shape, **given})
    return {split: read_split(out, split) for split in ("train", "test")}


def refusal(path: Path, out: Path, **change: Any) -> str:
    """Return why a store is not made; nothing may be left of it."""
    with pytest.raises(UserError) as caught:
        stored(path, out, **change)
    assert not list(out.parent.glob(f"*{out.name}*"))
    return str(caught.value)


# ---------- what is found


@pytest.mark.parametrize(
    ("names", "classes", "images"),
    [
        (numbered("cats", "dogs"), 2, 16),
        (numbered("pets/cats", "pets/dogs"), 2, 16),
        (numbered("cats/young", "cats/old", "dogs"), 2, 24),
        (numbered(""), 0, 8),
        (numbered("all"), 0, 8),
        ([*numbered("train/cats", "train/dogs"), *numbered("test/cats", count=3)], 2, (16, 3)),
        ([*numbered("x/train/0", "x/train/1"), *numbered("x/val/0", "x/val/1", count=2)], 2, (16, 4)),
        ([*numbered("train"), *numbered("test", count=4)], 0, (8, 4)),
        ([*numbered("Train/0", "Train/1"), *numbered("TEST/0", "TEST/1", count=2)], 2, (16, 4)),
        (numbered("train/cats", "train/dogs"), 2, 16),
    ],
)
def test_folders_are_classes_and_splits(
    names: list[str], classes: int, images: int | tuple[int, int], tmp_path: Path
) -> None:
    described = found(folder(tmp_path / "x", *names))
    assert (described.shape, described.classes, described.images) == ([3, 8, 8], classes, images)
    splits = stored(tmp_path / "x", tmp_path / "images.h5")
    count = sum(images) if isinstance(images, tuple) else images
    assert sum(len(split.labels) for split in splits.values()) == count
    if isinstance(images, tuple):
        assert tuple(len(split.labels) for split in splits.values()) == images


def test_classes_are_in_the_order_of_their_names_or_numbers(tmp_path: Path) -> None:
    values = {"10": 0, "9": 1, "2": 2}
    for name, value in values.items():
        for number in range(8):
            pixels = np.full((8, 8), 20 * value + number, np.uint8)
            save(tmp_path / f"x/{name}/{number}.png", Image.fromarray(pixels))
    splits = stored(tmp_path / "x", tmp_path / "images.h5")
    for split in splits.values():
        assert (split.labels == 2 - split.images[:][:, 0, 0, 0] // 20).all()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return folder(tmp_path / "pets", *numbered("cats", "dogs"))


def zipped(path: Path, out: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for file in sorted(path.rglob("*.*"), reverse=True):
            archive.write(file, inside + str(file.relative_to(path)))
    return out


def tarred(path: Path, out: Path, inside: str = "./") -> Path:
    with tarfile.open(out, "w:gz" if out.suffix == ".tgz" else "w") as archive:
        for file in sorted(path.rglob("*"), reverse=True):
            archive.add(file, inside + str(file.relative_to(path)), recursive=False)
    return out


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
@pytest.mark.parametrize("inside", ["", "pets/"])
def test_an_archive_is_read_as_its_folder(name: str, inside: str, pets: Path, tmp_path: Path) -> None:
    pack = zipped if name == "x.zip" else tarred
    archive = pack(pets, tmp_path / name, inside)
    wanted, splits = stored(pets, tmp_path / "a.h5"), stored(archive, tmp_path / "b.h5")
    for split, data in splits.items():
        np.testing.assert_array_equal(data.images[:], wanted[split].images[:])
        np.testing.assert_array_equal(data.labels, wanted[split].labels)


@pytest.mark.parametrize("inside", ["", "edm/"])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_data_set_of_edm(labelled: bool, inside: str, tmp_path: Path) -> None:
    """Its folders are no classes; dataset.json has the labels, or says that there are none."""
    names = numbered("00000", "00001")
    path = folder(tmp_path / "edm", *names)
    labels = [[name, number % 4] for number, name in enumerate(names)] if labelled else None
    (path / "dataset.json").write_text(json.dumps({"labels": labels}))
    archive = zipped(path, tmp_path / "edm.zip", inside)
    assert found(archive).classes == (4 if labelled else 0)
    splits = stored(archive, tmp_path / "images.h5")
    count = np.bincount(np.concatenate([split.labels for split in splits.values()]))
    assert count.tolist() == ([4, 4, 4, 4] if labelled else [16])


def test_labels_from_a_table(pets: Path, tmp_path: Path) -> None:
    lines = [
        f"{name},{'odd' if number % 2 else 'even'}" for number, name in enumerate(numbered("cats", "dogs"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    assert found(pets, labels=str(tmp_path / "labels.csv")).classes == 2
    splits = stored(pets, tmp_path / "images.h5", labels=str(tmp_path / "labels.csv"))
    assert sum(split.labels.sum() for split in splits.values()) == 8


def test_folders_that_are_no_classes(pets: Path) -> None:
    assert found(pets, labels="none").classes == 0


@pytest.mark.parametrize("shape", [(40, 8, 8, 3), (40, 3, 8, 8), (40, 8, 8, 1), (40, 1, 8, 8), (40, 8, 8)])
@pytest.mark.parametrize("labels", ["labels", "arr_1", None])
def test_arrays(shape: tuple[int, ...], labels: str | None, tmp_path: Path) -> None:
    arrays = {"arr_0": RANDOM.integers(0, 256, shape, np.uint8)}
    if labels:
        arrays[labels] = np.arange(40) % 4
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    described = found(tmp_path / "x.npz")
    channels = 3 if 3 in shape else 1
    assert (described.shape, described.classes, described.images) == (
        [channels, 8, 8],
        4 if labels else 0,
        40,
    )
    splits = stored(tmp_path / "x.npz", tmp_path / "images.h5")
    first = arrays["arr_0"][0].transpose(2, 0, 1) if shape[-1] in (1, 3) else arrays["arr_0"][0]
    images = np.concatenate([split.images[:] for split in splits.values()])
    assert (images == first.reshape(channels, 8, 8)).all((1, 2, 3)).sum() == 1


def test_the_split_is_drawn_class_by_class_and_does_not_depend_on_the_archive(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("a", count=40), *numbered("b", count=20))
    splits = stored(path, tmp_path / "images.h5")
    assert np.bincount(splits["test"].labels).tolist() == [10, 5]
    other = stored(path, tmp_path / "other.h5", seed=1)
    assert not np.array_equal(other["test"].images[:], splits["test"].images[:])


# ---------- pixels


def test_kinds_of_pictures_that_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colour = picture()
    deep = RANDOM.integers(0, 2**16, (8, 8), np.uint16)
    grey = picture("L")
    kinds = {
        "a.png": colour,
        "b.bmp": picture(),
        "c.webp": picture(),
        "d.jpg": picture(),
        "e.png": colour.quantize(16),
        "f.png": grey,
        "g.png": Image.fromarray(deep),
        "h.png": picture("RGBA"),
        "i.png": picture("LA"),
        "j.png": grey.convert("1"),
    }
    for name, image in kinds.items():
        save(tmp_path / "x" / name, image)
    with caplog.at_level("INFO"):
        splits = stored(tmp_path / "x", tmp_path / "images.h5")
    for changes in (
        "4 of them grey repeated to colour",
        "1 of them cut from 16 to 8 bits",
        "3 of them converted to 8-bit grey or RGB",
    ):
        assert changes in caplog.text
    images = np.concatenate([split.images[:] for split in splits.values()])
    wanted = [
        np.asarray(colour).transpose(2, 0, 1),
        np.stack([np.asarray(grey)] * 3),
        np.stack([(deep >> 8).astype(np.uint8)] * 3),
        np.asarray(kinds["h.png"].convert("RGB")).transpose(2, 0, 1),
    ]
    for image in wanted:
        assert (images == image).all((1, 2, 3)).sum() == 1


def test_grey_alone_stays_grey(tmp_path: Path) -> None:
    assert found(folder(tmp_path / "x", *numbered(""), mode="L")).shape == [1, 8, 8]


def test_the_square_in_the_middle_is_resized(tmp_path: Path) -> None:
    """Antialiased: the mean of the square stays, and what lies beside it does not come in."""
    for number in range(8):
        pixels = np.full((32, 64, 3), 200, np.uint8)
        pixels[:, 16:48] = RANDOM.integers(0, 100, (32, 32, 3))
        save(tmp_path / f"x/{number}.png", Image.fromarray(pixels))
    save(tmp_path / "x/upright.png", picture(size=(16, 40)))
    assert found(tmp_path / "x", resize=8).shape == [3, 8, 8]
    splits = stored(tmp_path / "x", tmp_path / "images.h5", resize=8)
    images = np.concatenate([split.images[:] for split in splits.values()])
    assert len(images) == 9
    assert sorted(images.mean((1, 2, 3)))[7] < 60


def test_fine_stripes_become_grey(tmp_path: Path) -> None:
    """Without a filter against aliasing they would stay black and white."""
    for number in range(8):
        stripes = np.where(np.arange(32) % 2, 255, number).astype(np.uint8)
        save(tmp_path / f"x/{number}.png", Image.fromarray(np.stack([stripes] * 32)))
    images = stored(tmp_path / "x", tmp_path / "images.h5", resize=8)["train"].images[:]
    assert abs(images.astype(int) - 127).max() < 20


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image, exif = picture(), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    folder(tmp_path / "x", *numbered(""))
    image.save(tmp_path / "x/turned.png", exif=exif)
    splits = stored(tmp_path / "x", tmp_path / "images.h5")
    images = np.concatenate([split.images[:] for split in splits.values()])
    turned = np.asarray(image.transpose(Image.Transpose.ROTATE_270)).transpose(2, 0, 1)
    assert (images == turned).all((1, 2, 3)).sum() == 1


def test_pictures_that_are_alike_are_in_one_split(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("", count=40))
    same = picture()
    for number in range(10):
        save(path / f"same{number}.png", same)
    splits = stored(path, tmp_path / "images.h5", test_fraction=0.4)
    pixels = np.asarray(same).transpose(2, 0, 1)
    found = [(split.images[:] == pixels).all((1, 2, 3)).sum() for split in splits.values()]
    assert sorted(found) == [0, 10]


def test_copies_do_not_make_the_test_split_smaller(tmp_path: Path) -> None:
    for name in numbered("cats", "dogs", count=20):
        image = picture()
        for copy in ("x", "y"):
            save(tmp_path / "x" / name.replace("/", f"/{copy}"), image)
    splits = stored(tmp_path / "x", tmp_path / "images.h5", test_fraction=0.2)
    assert [len(split.labels) for split in splits.values()] == [64, 16]
    assert [np.bincount(split.labels).tolist() for split in splits.values()] == [[32, 32], [8, 8]]
    train, test = (set(map(bytes, split.images[:])) for split in splits.values())
    assert not train & test


def test_copies_of_one_picture_have_no_test_split(tmp_path: Path) -> None:
    same = picture()
    for number in range(8):
        save(tmp_path / f"x/{number}.png", same)
    assert "a split cannot be drawn: of 'all' there are 1 pictures" in refusal(
        tmp_path / "x", tmp_path / "images.h5"
    )


def test_each_class_is_to_train(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("a", count=50), *numbered("b", count=2))
    assert "no picture of 'b' is to train" in refusal(path, tmp_path / "images.h5", test_fraction=0.9)


# ---------- what is refused


def spoil(name: str, content: bytes | Image.Image) -> Callable[[Path], object]:
    """Return a function that puts something of this name into a folder."""

    def put(path: Path) -> object:
        if isinstance(content, Image.Image):
            return save(path / name, content)
        return (path / name).write_bytes(content)

    return put


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def frames(kind: str) -> bytes:
    file = io.BytesIO()
    picture().save(file, kind, save_all=True, append_images=[picture()])
    return file.getvalue()


TRANSPARENT = Image.fromarray(np.full((8, 8, 4), 127, np.uint8))
BAD_PICTURES = {
    "0 bytes": (spoil("cats/bad.png", b""), "it has 0 bytes"),
    "truncated": (spoil("cats/bad.png", png(picture())[:-30]), "it cannot be read"),
    "damaged": (spoil("cats/bad.png", png(picture()).replace(b"IDAT", b"IDAX")), "it cannot be read"),
    "no picture": (spoil("cats/bad.png", b"hello" * 10), "it cannot be read"),
    "html": (spoil("cats/bad.jpg", b"<html>404</html>"), "it cannot be read"),
    "wider": (spoil("cats/bad.png", picture(size=(9, 8))), "it has 9 x 8 pixels, not 8 x 8"),
    "smaller": (spoil("cats/bad.png", picture(size=(4, 4))), "it has 4 x 4 pixels, not 8 x 8"),
    "CMYK": (spoil("cats/bad.jpg", picture("CMYK")), "its mode is CMYK"),
    "transparent": (spoil("cats/bad.png", TRANSPARENT), "it has transparent pixels"),
    "grey and alpha": (spoil("cats/bad.png", TRANSPARENT.convert("LA")), "it has transparent pixels"),
    "frames": (spoil("cats/bad.webp", frames("webp")), "it has 2 frames"),
    "frames of png": (spoil("cats/bad.png", frames("png")), "it has 2 frames"),
    "gif as png": (spoil("cats/bad.png", frames("gif")), "it has 2 frames"),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
@pytest.mark.parametrize("archive", ["folder", "zip", "tar"])
def test_a_picture_that_cannot_be_taken_is_named(kind: str, archive: str, pets: Path, tmp_path: Path) -> None:
    put, why = BAD_PICTURES[kind]
    put(pets)
    path = {"folder": lambda: pets, "zip": lambda: zipped(pets, tmp_path / "x.zip"),
            "tar": lambda: tarred(pets, tmp_path / "x.tar", "")}[archive]()  # fmt: skip
    message = refusal(path, tmp_path / "images.h5")
    assert "1 of 17 pictures cannot be taken: cats/bad." in message
    assert why in message


def test_all_that_cannot_be_taken_are_named_up_to_ten(pets: Path, tmp_path: Path) -> None:
    for number in range(12):
        (pets / f"dogs/z{number:02d}.png").write_bytes(b"")
    message = refusal(pets, tmp_path / "images.h5")
    assert "12 of 28 pictures cannot be taken" in message
    assert "dogs/z09.png: it has 0 bytes; and 2 more" in message
    assert "z10" not in message


def test_several_sizes_come_with_a_remedy(pets: Path, tmp_path: Path) -> None:
    save(pets / "cats/large.png", picture(size=(20, 20)))
    assert "resize: 64" in refusal(pets, tmp_path / "images.h5")


def test_what_is_smaller_than_it_is_resized_to_is_named(pets: Path, tmp_path: Path) -> None:
    assert "it has 8 x 8 pixels, less than 16" in refusal(pets, tmp_path / "images.h5", resize=16)


def test_colour_among_grey_is_named_where_few_are_looked_at(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("", count=40), mode="L")
    save(path / "01.png")
    message = refusal(path, tmp_path / "images.h5")
    assert "01.png: it is in colour, others are grey; write shape: [3, 8, 8]" in message
    assert stored(path, tmp_path / "y.h5", shape=[3, 8, 8])["train"].images.shape[1:] == (3, 8, 8)


def test_the_same_picture_in_both_splits_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("train", "test"))
    save(path / "test/copy.bmp", Image.open(path / "train/03.png"))
    message = refusal(path, tmp_path / "images.h5")
    assert "test/copy.bmp: it is the same as train/03.png, to train" in message


def test_a_damaged_member_of_a_zip_is_named(pets: Path, tmp_path: Path) -> None:
    path = zipped(pets, tmp_path / "x.zip")
    content = bytearray(path.read_bytes())
    place = content.index(b"cats/03.png") + 60
    content[place] ^= 255
    path.write_bytes(content)
    assert "cats/03.png: it cannot be read: Bad CRC-32" in refusal(path, tmp_path / "images.h5")


def labels(content: str) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes a table of labels, for the key of the config."""

    def put(path: Path) -> dict[str, Any]:
        (path.parent / "labels.csv").write_text(content)
        return {"labels": str(path.parent / "labels.csv")}

    return put


def listing(content: str) -> Callable[[Path], dict[str, Any]]:
    def put(path: Path) -> dict[str, Any]:
        (path / "dataset.json").write_text(content)
        return {}

    return put


def extra(*names: str) -> Callable[[Path], dict[str, Any]]:
    def put(path: Path) -> dict[str, Any]:
        folder(path, *names)
        return {}

    return put


def of_names(label: Callable[[int], object]) -> str:
    return json.dumps({"labels": [[name, label(n)] for n, name in enumerate(numbered("cats", "dogs"))]})


BAD_ARRANGEMENTS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "beside classes": (extra("beside.png"), "pictures without one: beside.png"),
    "three splits": (extra("train/a/0.png", "test/a/0.png", "val/a/0.png"), "cats, dogs, test, val"),
    "other format": (spoil("cats/x.tiff", b""), "cats/x.tiff is of a format that is not read"),
    "one of a class": (extra("fish/0.png"), "of 'fish' there are 1 pictures"),
    "no header": (labels("cats/00.png,a\n"), "CSV with the columns file and label"),
    "no such table": (lambda path: {"labels": "none.csv"}, "there is no none.csv"),
    "table lacks": (labels("file,label\ncats/00.png,a\n"), "gives no class to cats/01.png"),
    "table has more": (
        labels("file,label\n" + "".join(f"{n},a\n" for n in [*numbered("cats", "dogs"), "fish.png"])),
        "names fish.png, which are not there",
    ),
    "twice in a table": (labels("file,label\ncats/00.png,a\ncats/00.png,b\n"), "a file comes twice"),
    "no label": (labels("file,label\ncats/00.png,\n"), "has no label"),
    "no JSON": (listing("{"), "dataset.json is not"),
    "no labels in JSON": (listing("{}"), "dataset.json is not"),
    "vectors in JSON": (listing(of_names(lambda n: [0.5])), "dataset.json is not"),
    "negative": (listing(of_names(lambda n: -1)), "no numbers from 0 on"),
    "gap": (listing(of_names(lambda n: 2 * (n % 2))), "no picture is of the class 1"),
    "JSON lacks": (listing('{"labels": [["cats/00.png", 0]]}'), "dataset.json gives no class to cats/01.png"),
}


@pytest.mark.parametrize("kind", BAD_ARRANGEMENTS)
def test_an_arrangement_that_cannot_be_is_named(kind: str, pets: Path, tmp_path: Path) -> None:
    put, why = BAD_ARRANGEMENTS[kind]
    change = put(pets)
    assert why in refusal(pets, tmp_path / "images.h5", **(change if isinstance(change, dict) else {}))


def test_a_class_to_test_alone_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", *numbered("train/a", "train/b", "test/c"))
    assert "the class c is in the test split alone" in refusal(path, tmp_path / "images.h5")


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": np.zeros((4, 8, 8, 3), np.uint8)}, "it has x, but no arr_0 or images"),
        ({"arr_0": np.zeros((4, 8, 8, 3), np.float32)}, "its images are float32"),
        ({"arr_0": np.zeros((4, 8), np.uint8)}, "its images are uint8 (4, 8)"),
        ({"arr_0": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(3, int)}, "its labels are int64 (3,)"),
        ({"arr_0": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(4)}, "its labels are float64 (4,)"),
        ({"arr_0": np.array([[[None]]])}, "Python objects"),
        ({"arr_0": np.asfortranarray(np.zeros((4, 8, 8), np.uint8))}, "Fortran's order"),
        ({"arr_0": np.zeros((4, 8, 8), np.uint8), "labels": np.array([0, 0, 2, 2])}, "of the class 1"),
        ({"arr_0": np.zeros((4, 8, 8, 5), np.uint8)}, "its images are uint8 (4, 8, 8, 5)"),
    ],
)
def test_arrays_that_are_no_images(arrays: dict[str, Any], why: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    assert why in refusal(tmp_path / "x.npz", tmp_path / "images.h5")


@pytest.mark.parametrize("name", ["x.npz", "x.zip", "x.tar", "x.bin"])
def test_a_file_that_is_no_archive_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing" * 100)
    assert f"{tmp_path / name} is no" in refusal(tmp_path / name, tmp_path / "images.h5")


def test_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    images = RANDOM.integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "x.npz", arr_0=images)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "x.npz").write_bytes(content)
    assert "x.npz is no .npz of images" in refusal(tmp_path / "x.npz", tmp_path / "images.h5")
    inner = folder(tmp_path / "edm", *numbered(""))
    (inner / "dataset.json").write_text('{"labels": null}')
    path = zipped(inner, tmp_path / "x.zip")
    content = path.read_bytes().replace(b'"labels"', b'"lapels"')
    path.write_bytes(content)
    assert "x.zip is no archive with a whole dataset.json" in refusal(path, tmp_path / "images.h5")


def test_links_in_a_tar_are_pictures(tmp_path: Path) -> None:
    """GNU tar writes a file that has two names as a link."""
    inner = folder(tmp_path / "x", *numbered("cats", "dogs", count=10))
    os.link(inner / "cats/00.png", inner / "cats/hard.png")
    (inner / "dogs/soft.png").symlink_to("00.png")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(inner, "x")
    splits = stored(tmp_path / "x.tar", tmp_path / "images.h5")
    assert sum(len(split.labels) for split in splits.values()) == 22


@pytest.mark.parametrize("cut", [0.3, 0.9])
@pytest.mark.parametrize("name", ["x.npz", "x.zip", "x.tgz"])
def test_an_archive_that_is_cut_off_is_named(name: str, cut: float, pets: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "x.npz":
        np.savez(path, arr_0=RANDOM.integers(0, 256, (40, 8, 8, 3), np.uint8))
    else:
        (zipped if name == "x.zip" else tarred)(pets, path)
    os.truncate(path, int(cut * path.stat().st_size))
    assert str(path) in refusal(path, tmp_path / "images.h5")


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert "holds no pictures" in refusal(tmp_path / "x", tmp_path / "images.h5")
    assert f"data.source.path: there is no {tmp_path / 'y'}" in refusal(
        tmp_path / "y", tmp_path / "images.h5"
    )


def test_another_checksum(pets: Path, tmp_path: Path) -> None:
    path = zipped(pets, tmp_path / "x.zip")
    assert "has SHA-256" in refusal(path, tmp_path / "images.h5", sha256="0" * 64)


def test_a_picture_more_is_another_content_and_a_hidden_file_is_none(pets: Path, tmp_path: Path) -> None:
    content = found(pets).content
    again = folder(tmp_path / "again")
    for file in pets.rglob("*.png"):
        (again / file.relative_to(pets)).parent.mkdir(parents=True, exist_ok=True)
        (again / file.relative_to(pets)).write_bytes(file.read_bytes())
    (again / ".DS_Store").touch()
    assert found(again).content == content
    more = folder(tmp_path / "more", *numbered("cats", "dogs"), "cats/more.png")
    assert found(more).content != content


def test_another_picture_of_as_many_bytes_in_a_zip_is_another_content(tmp_path: Path) -> None:
    contents = set()
    for name in ("a", "b"):
        for file in numbered("cats", "dogs"):
            save(tmp_path / name / Path(file).with_suffix(".bmp"))
        contents.add(found(zipped(tmp_path / name, tmp_path / f"{name}.zip")).content)
    assert len(contents) == 2


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        ([*numbered("a"), "b/1.png"], "of 'b' there are 1 pictures; add some, leave that class out"),
        (
            numbered(*"abcdef", count=2),
            "and 3 of 12 are to test, of each of 6 classes one or more; write test_fraction: 0.5",
        ),
    ],
)
def test_a_split_that_cannot_be_drawn_comes_with_a_remedy(
    names: list[str], remedy: str, tmp_path: Path
) -> None:
    assert remedy in refusal(folder(tmp_path / "x", *names), tmp_path / "images.h5")


@pytest.mark.parametrize("pack", [None, zipped])
def test_other_labels_in_a_table_are_another_content(
    pack: Callable[[Path, Path], Path] | None, pets: Path, tmp_path: Path
) -> None:
    path = pack(pets, tmp_path / "x.zip") if pack else pets
    contents, names = [], numbered("cats", "dogs")
    for first in ("cat", "dog"):
        table = tmp_path / f"{first}.csv"
        lines = [f"{name},{first if name == 'cats/00.png' else name[:3]}" for name in names]
        table.write_text("\n".join(["file,label", *lines]))
        contents.append(found(path, labels=str(table)).content)
    assert len({*contents, ""}) == 3
