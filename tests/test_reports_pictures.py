"""Folders of pictures as people have them, and FIDs that say little: each case is a kind of report."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from get.scoring.images import open_images
from get.scoring.pictures import UNREAD
from get.storage.errors import UserError

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
