"""Folders of pictures as people have them, and FIDs that say little: each case is a kind of report."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fabricate_results import cells_of, row, run, write_scores
from PIL import Image
from test_studies import varied

from get.cli import main
from get.cli.describe import describe
from get.data.pictures.contents import UNREAD
from get.data.store import SPLITS, read_split, write_store
from get.export import folder
from get.paper.tables import TABLES, write_table
from get.sampling.files import new_samples
from get.scoring.extractors.classifier import Classifier
from get.scoring.images import open_images, write_folder
from get.scoring.metrics import moments, write_moments
from get.scoring.reference import write_reference
from get.scoring.sample_size import few_images, few_images_of
from get.scoring.scores import score_samples
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.reading import read_json
from get.storage.weights import write_weights
from get.studies import load
from get.studies.common.files import write_study

CPU = torch.device("cpu")
CLASSIFIER = {"channels": 1, "size": 8, "classes": 10, "width": 4, "features": 8}
CLASSIFIED = ["--device", "cpu", "--extractor", "classifier", "--weights"]  # and the file
GREYS = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in range(0, 200, 10)]


def pictures(folder: Path, *values: int, ending: str = ".png") -> Path:
    """Write grey pictures, each of one value."""
    folder.mkdir(parents=True, exist_ok=True)
    for value in values:
        GREYS[value // 10].save(folder / f"{value}{ending}")
    return folder


def values(folder: Path) -> list[int]:
    """Return the values of the pictures that are scored, in their order."""
    with open_images(folder) as images:
        return images[:][:, 0, 0, 0].tolist()


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        values(folder)
    return str(caught.value)


# ---------- which files


def test_a_class_folder_that_is_a_link_is_scored(tmp_path: Path) -> None:
    pictures(tmp_path / "elsewhere", 20, 30)
    (pictures(tmp_path / "x", 0, 10) / "b").symlink_to("../elsewhere")
    (tmp_path / "x/40.png").symlink_to(pictures(tmp_path / "single", 40) / "40.png")
    assert sorted(values(tmp_path / "x")) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("target", [".", "..", "../..", "a", "../x/a", "a/0.png", "a/b/10.png"])
def test_what_a_link_reaches_again_is_scored_once(
    target: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the link leads to a folder around this one, or comes first by its name."""
    pictures(tmp_path / "beside", 50)
    pictures(tmp_path / "x/a", 0)
    pictures(tmp_path / "x/a/b", 10, 20)
    (tmp_path / "x/a again.png").symlink_to(target)
    with caplog.at_level("INFO"):
        assert values(tmp_path / "x") == [0, 10, 20]
    assert "not scored: reached again by links: 1 (a again.png)" in caplog.text


def test_links_to_each_other_come_to_an_end(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (pictures(tmp_path / "x" / name, 0 if name == "a" else 10) / "other").symlink_to(f"../{other}")
    assert values(tmp_path / "x") == [0, 10]


@pytest.mark.parametrize("link", ["b", "b.png", "b.txt", "itself"])
def test_a_broken_link_is_named(link: str, tmp_path: Path) -> None:
    (pictures(tmp_path / "x", 0) / link).symlink_to("itself")
    assert str(tmp_path / "x" / link) in refusal(tmp_path / "x")
    assert "broken link" in refusal(tmp_path / "x")


def test_a_pipe_is_named(tmp_path: Path) -> None:
    os.mkfifo(pictures(tmp_path / "x", 0) / "b.png")
    assert "b.png is no file" in refusal(tmp_path / "x")


def test_hidden_folders_and_files_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for hidden in (".thumbnails", ".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        pictures(tmp_path / ".x/a" / hidden, 100)
    pictures(tmp_path / ".x/a", 0)
    (tmp_path / ".x/a/._0.png").write_bytes(b"\0\5\x16\7")
    with caplog.at_level("INFO"):
        assert values(tmp_path / ".x") == [0]
    assert "not scored: hidden: 5 (._0.png, .ipynb_checkpoints, .thumbnails, @eaDir, ...)" in caplog.text


def test_what_is_no_picture_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures(tmp_path, 0, 10)
    for name in ("a.txt", "b.TXT", "c.json", "LICENSE"):
        (tmp_path / name).touch()
    with caplog.at_level("INFO"):
        assert values(tmp_path) == [0, 10]
    assert "2 pictures are scored; not scored: other files: 4 (.json, .txt, no ending)" in caplog.text


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    pictures(tmp_path / ".hidden", 0)
    assert "it holds other files: 1 (.txt); hidden: 1 (.hidden)" in refusal(tmp_path)


def test_pictures_alone_leave_nothing_to_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert values(pictures(tmp_path, 0, 10)) == [0, 10]
    assert not caplog.text


@pytest.mark.parametrize("ending", [*UNREAD, ".TIF"])
def test_half_a_folder_is_not_scored_for_the_whole(ending: str, tmp_path: Path) -> None:
    (pictures(tmp_path, 0, 10) / f"a{ending}").touch()
    message = refusal(tmp_path)
    assert f"a{ending} is of a format that is not read (such files: 1, {ending.lower()})" in message


# ---------- their pixels


def png(path: Path, bits: int, colour: int, raw: bytes, *chunks: bytes) -> None:
    """Write a PNG of 2x2 pixels from the raw bytes of its two rows, as the specification has it."""

    def chunk(content: bytes) -> bytes:
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    head = b"IHDR" + struct.pack(">IIBBBBB", 2, 2, bits, colour, 0, 0, 0)
    rows = b"IDAT" + zlib.compress(b"\0" + raw[: len(raw) // 2] + b"\0" + raw[len(raw) // 2 :])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, [head, *chunks, rows, b"IEND"])))


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_not_cut_to_8(colour: int, channels: int, tmp_path: Path) -> None:
    png(tmp_path / "a.png", 16, colour, bytes(range(8 * channels)))
    assert f"{tmp_path / 'a.png'} would not be read as it is: it has 16 bits a channel" in refusal(tmp_path)


@pytest.mark.parametrize(("bits", "raw"), [(2, b"\x10\xb0"), (4, b"\x05\xaf")])
def test_greys_of_few_bits_span_the_same_range(bits: int, raw: bytes, tmp_path: Path) -> None:
    png(tmp_path / "a.png", bits, 0, raw)
    with open_images(tmp_path) as images:
        assert images[:].ravel().tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize(
    ("colour", "raw", "chunks"),
    [
        (0, bytes(4), [b"tRNS\0\0"]),
        (2, bytes(12), [b"tRNS" + bytes(6)]),
        (3, bytes(4), [b"PLTE\1\2\3", b"tRNS\x7f"]),
    ],
    ids=["grey", "colour", "palette"],
)
def test_transparency_is_not_dropped(colour: int, raw: bytes, chunks: list[bytes], tmp_path: Path) -> None:
    png(tmp_path / "a.png", 8, colour, raw, *chunks)
    assert "it has transparent colours" in refusal(tmp_path)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    png(tmp_path / "a.png", 8, 3, b"\0\1\1\0", b"PLTE\1\2\3\xfd\xfe\xff")
    with open_images(tmp_path) as images:
        assert images[:][0, :, 0].tolist() == [[1, 253], [2, 254], [3, 255]]


@pytest.mark.parametrize("mode", ["1", "LA", "RGBA", "CMYK"])
def test_other_modes_are_named(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    assert f"its mode is {mode}" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "mpo"])
def test_of_several_frames_none_is_picked(kind: str, tmp_path: Path) -> None:
    first, *others = GREYS
    name = f"a.{kind}" if kind in ("png", "webp") else "a.png"
    first.save(tmp_path / name, kind, save_all=True, append_images=others[:2])
    assert "it has 3 frames" in refusal(tmp_path)


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    GREYS[7].save(tmp_path / "a.png", "bmp")
    assert values(tmp_path) == [70]


def save_ppm(path: Path) -> None:
    path.write_bytes(b"P6 1 1 65535\n" + bytes(6))


@pytest.mark.parametrize(
    ("kind", "save"),
    [
        ("TIFF", lambda path: GREYS[0].save(path, "tiff")),
        ("GIF", lambda path: GREYS[0].save(path, "gif")),
        ("PPM", save_ppm),
    ],
    ids=["tiff", "gif", "ppm"],
)
def test_a_format_that_is_not_read_does_not_pass_under_another_ending(
    kind: str, save: Callable[[Path], None], tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    assert f"its content is {kind}" in refusal(tmp_path)


# ---------- FIDs that say little


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a classifier of 8 features, as it is before training."""
    path = tmp_path_factory.mktemp("features") / "classifier.safetensors"
    torch.manual_seed(0)
    write_weights(path, "classifier", Classifier(**CLASSIFIER).state_dict(), {"model": CLASSIFIER})
    return path


@pytest.mark.parametrize(
    ("images", "features", "least"), [(5, 3, 50), (50, 3, 50), (64, 64, 64), (2048, 2048, 2048), (2, 99, 99)]
)
def test_few_images_are_few_for_fid(images: int, features: int, least: int) -> None:
    (line,) = few_images(images, features)
    assert line == f"{images} images are few for FID in {features} features: take many more than {least}"
    assert not few_images(least + 1, features)


@pytest.mark.parametrize("dead", [0, 20])
@pytest.mark.parametrize("count", [2, 40, 99 - 20, 99, 100, 101, 1000])
def test_a_covariance_tells_of_how_few_images_it_is(count: int, dead: int) -> None:
    """Also where some features never vary, which is no sign of few images."""
    features = np.random.default_rng(0).gamma(1.0, size=(count, 100)) @ np.diag(np.logspace(-4, 4, 100))
    features[:, :dead] = 0
    found = few_images_of("x.npz", moments(features.astype(np.float32), CPU).sigma)
    few = [f"{count} images (by the rank of sigma in x.npz) are few for FID in 100 features"]
    assert [line.split(":")[0] for line in found] == (few if count <= 100 - dead else [])


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


FEW = "5 images are few for FID in 8 features: take many more than 50"


@pytest.mark.parametrize(
    ("count", "real", "warnings"),
    [(60, 60, []), (5, 60, [FEW]), (60, 5, [FEW.replace("images", "reference images")])],
)
def test_a_score_of_few_images_says_so(
    count: int,
    real: int,
    warnings: list[str],
    weights: Path,
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = read_split(digits, "train").images[:]
    write_folder(tmp_path / "x", [train[:count]], range(count))
    write_folder(tmp_path / "real", [train[:real]], range(real))
    score = ["score", tmp_path / "x", "--reference", tmp_path / "real", "--splits", 2, *CLASSIFIED, weights]
    lines = printed(capsys, *score).splitlines()
    assert [line for line in lines if line.startswith("warning")] == [f"warning   {w}" for w in warnings]
    found = json.loads(printed(capsys, *score, "--json"))
    assert found.get("warnings", []) == warnings
    assert ("warnings" in found) == bool(warnings)


@pytest.mark.parametrize("count", [5, 60])
def test_statistics_of_few_images_say_so(
    count: int, weights: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "x", [read_split(digits, "train").images[:count]], range(count))
    out = printed(capsys, "statistics", tmp_path / "x", *CLASSIFIED, weights, "--out", tmp_path / "x.npz")
    assert (f"warning: {FEW}" in out) == (count == 5)


def test_a_distance_to_statistics_of_few_images_says_so(
    weights: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of mu and sigma hold no count, those of other repositories neither."""
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for name, count in (("few", 5), ("many", 60)):
        write_moments(tmp_path / f"{name}.npz", moments(rows[:count], CPU))
    line = FEW.replace("images", f"images (by the rank of sigma in {tmp_path / 'few.npz'})")
    for name in ("few", "many"):
        assert main(["fid", str(tmp_path / "many.npz"), str(tmp_path / f"{name}.npz")]) == 0
        out, err = capsys.readouterr()
        assert float(out) >= -1e-9  # the number alone
        assert (line in err) == (name == "few")
    write_folder(tmp_path / "x", [read_split(digits, "train").images[:60]], range(60))
    score = [
        "score",
        tmp_path / "x",
        "--reference",
        tmp_path / "few.npz",
        "--splits",
        2,
        *CLASSIFIED,
        weights,
    ]
    assert f"warning   {line}" in printed(capsys, *score)


@pytest.mark.parametrize(
    ("samples", "train", "test", "warnings"),
    [
        (60, 60, 60, None),
        (20, 60, 60, ["20 samples"]),
        (60, 60, 30, ["30 test images"]),
        (20, 40, 30, ["20 samples", "40 train images", "30 test images"]),
    ],
)
def test_a_score_file_of_few_samples_says_so(
    samples: int, train: int, test: int, warnings: list[str] | None, weights: Path, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (train + test, 1, 8, 8), np.uint8)
    labels, split = np.arange(len(images)) % 10, np.arange(len(images)) >= train
    store = tmp_path / "images.h5"
    write_store(store, images, labels, split.astype(np.uint8), name="noise", classes=10, source="")
    with new_samples(tmp_path / "s.h5", ["a"], torch.zeros(samples, dtype=torch.int64), (1, 8, 8)) as file:
        file.variants["a"][:] = images[:samples]
    references: dict[str, dict[str, Path]] = {"statistics": {}, "features": {}}
    options: dict[str, Any] = {"extractor": "classifier", "weights": weights, "batch": 50, "device": "cpu"}
    for name in SPLITS:
        paths = {kind: tmp_path / f"{name}-{kind}" for kind in references}
        write_reference(store=store, split=name, **options, **paths)
        for kind, path in paths.items():
            references[kind][name] = path
    scoring = {"splits": 2, "bootstrap": 3, "kid_subsets": 2, "kid_subset_size": 10, "nearest": 5}
    score_samples(
        samples=tmp_path / "s.h5",
        store=store,
        **references,
        **options,
        scoring=scoring,
        seed=0,
        output=tmp_path / "s.json",
    )
    found = read_json(tmp_path / "s.json")
    line = "{} are few for FID in 8 features: take many more than 50"
    assert found.get("warnings") == (warnings and [line.format(images) for images in warnings])


def test_a_table_marks_rows_of_few_images_and_says_why(tmp_path: Path) -> None:
    few = run(9.0, warnings=["20 samples are few", "30 test images are few"])
    rows = [row("GET", run(10.0)), row("ViT", few, run(9.0)), row("other", run(8.0, warnings=["5 are few"]))]
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex", "html")}
    write_table(TABLES["2"].lines(rows), "2", "A caption.", paths)
    text = paths["md"].read_text()
    assert [line[0] for line in cells_of(text)[2:]] == ["GET", "ViT (few images)", "other (few images)"]
    said = "A caption. Few images: 20 samples are few; 30 test images are few; 5 are few."
    for kind in ("md", "tex", "html"):
        assert said in paths[kind].read_text()
    write_table(TABLES["2"].lines(rows[:1]), "2", "A caption.", paths)
    assert "Few images" not in paths["md"].read_text()
    assert "warnings" not in paths["csv"].read_text()


def test_a_study_marks_them_too(tmp_path: Path) -> None:
    solvers = ("plain", "anderson", "anderson-ridge")
    fids = {f"{solver}-{count}": 9.0 for solver in solvers for count in (3, 6)}
    residuals = {solver: [1.0] * 6 for solver in solvers}
    paths = {kind: tmp_path / f"study.{kind}" for kind in ("csv", "md", "html", "pdf", "png")}
    solved = varied("GET", fids, residuals=residuals, warnings=["5 are few"])
    write_study(load("solvers"), [solved], {"evaluations": [3, 6]}, caption="A caption.", paths=paths)
    assert "A caption. Few images: 5 are few." in paths["md"].read_text()


def test_what_is_told_of_a_score_file_has_it(tmp_path: Path) -> None:
    """That is `get info`, and the model card."""
    (tmp_path / "weights").touch()
    content: dict[str, Any] = {"headline": "a", "scores": {"a": {"samples": 5, "fid": 1.0}}}
    content |= {"features": "classifier", "weights": sha256(tmp_path / "weights"), "warnings": [FEW]}
    path = write_scores(tmp_path / "s.json", content)
    assert describe(path)["warnings"] == [FEW]
    assert f" {FEW}.\n" in folder._scores(path, sha256(tmp_path / "weights")).table()
