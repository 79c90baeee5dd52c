"""Downloads from a local server: whole or absent, continued, checked; and what a broken server gets."""

import hashlib
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from get.data.download import download
from get.storage.errors import UserError
from get.storage.hashing import record_of

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Site:
    """A server of one file. `script` holds what goes wrong in the next requests; then all goes well."""

    def __init__(self) -> None:
        self.content, self.tag, self.date = CONTENT, '"one"', ""
        self.script: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.stopped = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(dict(self.headers.items()))
                site.answer(self, site.script.pop(0) if site.script else "")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/file.bin"

    def answer(self, request: BaseHTTPRequestHandler, trouble: str) -> None:
        if trouble.isdigit():
            request.send_response(int(trouble))
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if trouble.startswith("to "):
            request.send_response(302)
            request.send_header("Location", trouble.removeprefix("to "))
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if trouble == "refuse":
            return request.connection.close()
        self.send(request, trouble, *self.part(request, trouble))

    def part(self, request: BaseHTTPRequestHandler, trouble: str) -> tuple[int, bytes]:
        """Return the number of the first byte to send, and the bytes."""
        asked, condition = request.headers.get("Range"), request.headers.get("If-Range")
        if not asked or trouble == "no ranges":
            return 0, self.content
        if condition not in (self.tag, self.date) and trouble != "ignores If-Range":
            return 0, self.content
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        return start, self.content[start:]

    def send(self, request: BaseHTTPRequestHandler, trouble: str, start: int, body: bytes) -> None:
        if start >= len(self.content):
            return self.answer(request, "416")
        request.send_response(206 if start else 200)
        if start:
            first = start + 1 if trouble == "other range" else start
            request.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        for name, value in (("ETag", self.tag), ("Last-Modified", self.date)):
            if value:
                request.send_header(name, value)
        if trouble.startswith("chunked"):
            request.send_header("Transfer-Encoding", "chunked")
        elif trouble == "no length":
            request.send_header("Connection", "close")
        else:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.close_connection = True
        if trouble.startswith("chunked"):
            return self.send_chunks(request, body, complete=trouble == "chunked")
        request.wfile.write(body[: len(body) // 2])
        if trouble == "stall":
            self.stopped.wait(30)
        elif trouble != "cut":
            request.wfile.write(body[len(body) // 2 :])

    def send_chunks(self, request: BaseHTTPRequestHandler, body: bytes, complete: bool) -> None:
        for part in (body[:1000], body[1000:]):
            request.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if complete:
            request.wfile.write(b"0\r\n\r\n")

    def close(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file.bin"


def fetch(
    site: Site, output: Path, sha256: str | None = SHA256, attempts: int = 3, timeout: float = 5
) -> None:
    download(site.url, output, sha256, timeout=timeout, pauses=[0.01] * (attempts - 1))


def left(output: Path) -> set[str]:
    return {path.name for path in output.parent.iterdir() if path != record_of(output)}


def ranges(site: Site) -> list[str | None]:
    return [asked.get("Range") for asked in site.asked]


HALF = f"bytes={len(CONTENT) // 2}-"


def test_whole(site: Site, output: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "get"):
        fetch(site, output, SHA256.upper())
    assert output.read_bytes() == CONTENT
    assert left(output) == {"file.bin"}
    assert len(site.asked) == 1
    assert "download (MB) 3/3" in caplog.text


@pytest.mark.parametrize("trouble", ["cut", "stall"])
@pytest.mark.parametrize(("tag", "date"), [('"one"', ""), ('W/"one"', "Sun, 22 Nov 2026 10:00:00 GMT")])
def test_interrupted_goes_on(site: Site, output: Path, trouble: str, tag: str, date: str) -> None:
    site.tag, site.date, site.script = tag, date, [trouble]
    fetch(site, output, timeout=0.2)
    assert output.read_bytes() == CONTENT
    assert left(output) == {"file.bin"}
    assert ranges(site) == [None, HALF]
    assert site.asked[1]["If-Range"] == (date or tag)


def test_goes_on_in_a_later_call(site: Site, output: Path) -> None:
    site.script = ["cut"]
    with pytest.raises(
        UserError, match=rf"{site.url}: \d+ of {len(CONTENT)} bytes came, after 1 attempts"
    ) as caught:
        fetch(site, output, attempts=1)
    assert "goes on from what has come" in str(caught.value)
    assert "set path in the config" in str(caught.value)
    assert left(output) == {".file.bin.partial", ".file.bin.partial.json"}
    fetch(site, output, attempts=1)
    assert output.read_bytes() == CONTENT
    assert ranges(site) == [None, HALF]


def test_part_of_another_address_is_not_continued(site: Site, output: Path) -> None:
    site.script = ["cut"]
    with pytest.raises(UserError):
        fetch(site, output, attempts=1)
    site.url += "?other"
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    assert ranges(site) == [None, None]


def test_part_without_a_note_is_not_continued(site: Site, output: Path) -> None:
    output.parent.mkdir()
    (output.parent / ".file.bin.partial").write_bytes(b"x" * 1000)
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    assert ranges(site) == [None]


def test_without_etag_and_date_nothing_is_continued(site: Site, output: Path) -> None:
    site.tag, site.script = "", ["cut"]
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    assert ranges(site) == [None, None]


@pytest.mark.parametrize(("trouble", "asked"), [("", [None, HALF]), ("ignores If-Range", [None, HALF, None])])
def test_content_changed_between_attempts(
    site: Site, output: Path, trouble: str, asked: list[str | None]
) -> None:
    site.script = ["cut", trouble]
    new = b"new" * 1_000_000
    change(site, new)
    fetch(site, output, hashlib.sha256(new).hexdigest())
    assert output.read_bytes() == new
    assert ranges(site) == asked


def change(site: Site, content: bytes) -> None:
    """Let the site have other content from the second request on."""
    answer = site.answer

    def then(request: BaseHTTPRequestHandler, trouble: str) -> None:
        answer(request, trouble)
        site.content, site.tag = content, '"two"'

    site.answer = then  # type: ignore[method-assign]


def test_part_that_is_longer_than_the_file(site: Site, output: Path) -> None:
    site.script = ["cut"]
    with pytest.raises(UserError):
        fetch(site, output, attempts=1)
    (output.parent / ".file.bin.partial").write_bytes(CONTENT + b"x")
    fetch(site, output)
    assert output.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        (["no length"], [None]),
        (["chunked"], [None]),
        (["cut", "no ranges"], [None, HALF]),
        (["cut", "other range"], [None, HALF, None]),
        *(([trouble] * 2, [None] * 3) for trouble in ("503", "500", "429", "refuse")),
        (["chunked and cut"] * 2, [None, f"bytes={len(CONTENT)}-", None]),
    ],
)
def test_passing_trouble(site: Site, output: Path, script: list[str], asked: list[str | None]) -> None:
    site.script = script
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    assert left(output) == {"file.bin"}
    assert ranges(site) == asked


def test_lasting_trouble(site: Site, output: Path) -> None:
    site.script = ["503"] * 4
    with pytest.raises(
        UserError, match=r"file.bin: the server answers 503 .*, after 3 attempts.*set path in the config"
    ):
        fetch(site, output)
    assert len(site.asked) == 3
    assert not output.exists()


def test_pauses_grow(site: Site, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    site.script = ["503"] * 9
    with pytest.raises(UserError):
        download(site.url, output, SHA256)
    assert len(pauses) >= 3
    assert pauses == sorted(set(pauses))


def test_no_such_file(site: Site, output: Path) -> None:
    site.script = ["404"]
    with pytest.raises(
        UserError, match=r"file.bin: the server answers 404 .*correct url.*set path in the config"
    ):
        fetch(site, output)
    assert len(site.asked) == 1
    assert left(output) == set()


def test_no_server(output: Path) -> None:
    with pytest.raises(UserError, match=r"no connection \(.*refused\), after 2 attempts"):
        download("http://127.0.0.1:9/x", output, SHA256, pauses=[0.01])


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://localhost/x", "/etc/passwd", "data:,x", "localhost/x"]
)
def test_only_the_web(output: Path, url: str) -> None:
    with pytest.raises(UserError, match=r"starts with http:// or https://.*set path in the config"):
        download(url, output, SHA256)
    assert not output.parent.exists()


def test_redirections(site: Site, output: Path) -> None:
    site.script = ["to /other.bin"]
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    site.script = ["to file:///etc/passwd"]
    with pytest.raises(UserError, match="302"):
        fetch(site, output)


def test_another_checksum(site: Site, output: Path) -> None:
    with pytest.raises(
        UserError,
        match=rf"{site.url} has SHA-256 {SHA256}, but sha256 in the config says 0+:.*correct sha256",
    ):
        fetch(site, output, "0" * 64)
    assert left(output) == set()


def test_the_first_checksum_is_recorded(site: Site, output: Path) -> None:
    fetch(site, output, None)
    record = output.parent / "file.bin.sha256"
    done = subprocess.run(["sha256sum", "--check", record.name], cwd=output.parent, capture_output=True)
    assert done.returncode == 0, done.stderr
    output.unlink()
    fetch(site, output, None)
    assert output.read_bytes() == CONTENT

    output.unlink()
    site.content, site.tag = b"another", '"two"'
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(
        UserError, match=rf"has SHA-256 {other}, but {record}.* says {SHA256}.*delete {record}"
    ):
        fetch(site, output, None)
    assert left(output) == {record.name}
    record.unlink()
    fetch(site, output, None)
    assert output.read_bytes() == b"another"
    assert record.read_text() == f"{other}  file.bin\n"


def test_a_given_checksum_goes_before_the_recorded(site: Site, output: Path) -> None:
    output.parent.mkdir()
    (output.parent / "file.bin.sha256").write_text(f"{'0' * 64}  file.bin\n")
    fetch(site, output)
    assert output.read_bytes() == CONTENT


@pytest.mark.parametrize("text", ["", "what", SHA256 + "0"])
def test_damaged_record(site: Site, output: Path, text: str) -> None:
    output.parent.mkdir()
    (output.parent / "file.bin.sha256").write_text(text)
    with pytest.raises(UserError, match=r"file.bin.sha256 holds no SHA-256; delete it"):
        fetch(site, output, None)
    assert not site.asked


def test_no_room(site: Site, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Callable[[Path], Any] = lambda path: type("Usage", (), {"free": 1_000_000})  # noqa: E731
    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(UserError, match=r"data has no room for 3 MB; free some space"):
        fetch(site, output)
    assert not output.exists()


def test_a_disk_that_fails_is_no_trouble_of_the_network(
    site: Site, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.parent.mkdir()
    (output.parent / ".file.bin.partial").mkdir()
    with pytest.raises(OSError, match="partial"):
        fetch(site, output)
    assert len(site.asked) == 1


def test_killed_in_the_middle(site: Site, output: Path) -> None:
    site.script = ["stall"]
    code = f"from get.data.download import download; download({site.url!r}, {str(output)!r}, {SHA256!r})"
    job = subprocess.Popen([sys.executable, "-c", code])
    partial = output.parent / ".file.bin.partial"
    try:
        limit = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > 0):
            assert time.monotonic() < limit
            assert job.poll() is None
            time.sleep(0.01)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert not output.exists()
    came = partial.stat().st_size
    fetch(site, output)
    assert output.read_bytes() == CONTENT
    assert ranges(site) == [None, f"bytes={came}-"]
    assert left(output) == {"file.bin"}
