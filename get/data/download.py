"""Files from the web: whole or absent, checked, and continued where a transfer broke off.

The bytes that have come lie in `.NAME.partial` beside the output; `.NAME.partial.json` says what they are a
part of (the address and the server's ETag or date). Both outlive a killed job, so that the next one goes on.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from get import __version__
from get.runtime.log import Progress, log
from get.storage.atomic import atomic, write_json, write_text
from get.storage.errors import UserError
from get.storage.hashing import sha256 as sha256_of
from get.storage.reading import read_json

MB = 10**6
LOCAL = "or set path in the config, in place of url, to a local copy"


class _Interrupted(Exception):
    """The transfer broke off; another attempt may succeed."""


def download(
    url: str,
    output: str | Path,
    sha256: str | None,
    *,
    timeout: float = 60.0,
    pauses: Sequence[float] = (2, 10, 30, 60),
) -> None:
    """Write the file at `url` (http or https) to `output`; its SHA-256 must be `sha256`.

    Where `sha256` is None, that of the first download is recorded in `<output>.sha256`, which outlives the
    output, and every later download must have the same. A connection silent for `timeout` seconds is broken;
    `pauses` are the seconds before the second attempt, the third, and so on.

    Raises:
        UserError: no such file on the server, no connection, too little disk space, or another checksum.
    """
    output = Path(output)
    partial, record = output.with_name(f".{output.name}.partial"), output.with_name(f"{output.name}.sha256")
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: a url starts with http:// or https://; correct it, {LOCAL}")
    wanted = sha256.lower() if sha256 is not None else _recorded(record)
    output.parent.mkdir(parents=True, exist_ok=True)
    # transfer, in several attempts
    for pause in (*pauses, None):
        try:
            _transfer(url, partial, timeout)
            break
        except _Interrupted as error:
            if pause is None:
                again = "the same command later goes on from what has come"
                attempts = len(pauses) + 1
                raise UserError(f"{url}: {error}, after {attempts} attempts; {again}, {LOCAL}") from None
            log.info("%s: %s; next attempt in %g s", url, error, pause)
            time.sleep(pause)
    # checksum
    found = sha256_of(partial)
    if wanted not in (None, found):
        _discard(partial)
        where, accept = (record, "delete") if sha256 is None else ("sha256 in the config", "correct")
        raise UserError(
            f"{url} has SHA-256 {found}, but {where} says {wanted}: another file than at first, or damaged "
            f"on the way; try again, {LOCAL}; to accept the file as it is now, {accept} {where}"
        )
    # the whole file, under its name
    if wanted is None:
        write_text(record, f"{found}  {output.name}\n", recorded=False)
    with atomic(output) as temporary:
        os.replace(partial, temporary)
    _discard(partial)


def _recorded(record: Path) -> str | None:
    """Return the checksum in the file `record`, in the format of sha256sum; None without such a file."""
    if not record.exists():
        return None
    if found := re.match(r"[0-9a-f]{64}\b", record.read_text(encoding="utf-8", errors="replace")):
        return found[0]
    raise UserError(f"{record} holds no SHA-256; delete it, and the next download is recorded there")


def _transfer(url: str, partial: Path, timeout: float) -> None:
    """Bring what is missing of `url` into the file `partial`."""
    note = _note(partial)
    # what is there already
    kept = read_json(note) if partial.exists() and note.exists() else {}
    start, headers = 0, {"User-Agent": f"get-distillation/{__version__}"}
    if kept.get("url") == url and (start := partial.stat().st_size):
        headers |= {"Range": f"bytes={start}-", "If-Range": kept["validator"]}
    # the rest, if the server still has the same content
    with _open(Request(url, headers=headers), partial, timeout) as response:
        validator, total = _validator(response), response.length
        if response.status == 206:
            first, _, size = response.headers.get("Content-Range", "").partition("/")
            fits = first.startswith(f"bytes {start}-") and validator in ("", kept.get("validator"))
            if not (start and fits and size.isdigit()):
                _discard(partial)
                raise _Interrupted("the server sent another part than was asked for")
            total = int(size)
        else:  # the whole file: a first attempt, another content by now, or a server without ranges
            start = 0
            _discard(partial)
            if validator:
                write_json(note, {"url": url, "validator": validator}, recorded=False)
        _append(response, partial, start, total)
    if total not in (None, size := partial.stat().st_size):
        raise _Interrupted(f"{size} of {total} bytes came")


def _append(response: Any, partial: Path, start: int, total: int | None) -> None:
    """Write the body behind the first `start` bytes of `total` (None: the server does not say)."""
    if total is not None and shutil.disk_usage(partial.parent).free < total - start:
        raise UserError(f"{partial.parent} has no room for {(total - start) / MB:.0f} MB; free some space")
    log.info("%s: %s MB", response.url, "an unknown number of" if total is None else round(total / MB, 1))
    progress = Progress("download (MB)", (total or 0) // MB, start // MB)
    with open(partial, "ab") as file, closing(progress):
        for chunk in _chunks(response):
            file.write(chunk)
            if new := min(file.tell(), total or 0) // MB - progress.done:
                progress.advance(new)


def _open(request: Request, partial: Path, timeout: float) -> Any:
    """Return the open response (http.client.HTTPResponse)."""
    try:
        return urlopen(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == 416:  # what we have is longer than the file by now: start afresh
            _discard(partial)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise _Interrupted(answer) from None
        raise UserError(f"{request.full_url}: {answer}; correct url in the config, {LOCAL}") from None
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"no connection ({getattr(error, 'reason', error)})") from None


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield the body as it comes, so that a connection that breaks loses nothing that came before."""
    try:
        while chunk := response.read1(2**16):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from None


def _validator(response: Any) -> str:
    """Return what names the content on the server, for If-Range; '' if nothing does."""
    tag: str = response.headers.get("ETag", "")
    date: str = response.headers.get("Last-Modified", "")
    return tag if tag and not tag.startswith("W/") else date  # a weak tag does not stand for the bytes


def _note(partial: Path) -> Path:
    return partial.with_suffix(".partial.json")


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _note(partial).unlink(missing_ok=True)
