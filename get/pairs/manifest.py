"""The manifest of a set of pairs: JSON that lists its shards, with their index ranges, sizes and hashes."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from get.pairs.indices import HELD_OUT
from get.pairs.shards import open_shard
from get.runtime.log import Progress
from get.storage.atomic import write_json
from get.storage.errors import Stale, UserError
from get.storage.hashing import sha256
from get.storage.reading import outdated, read_json, reading, require
from get.storage.settings import from_settings

MANIFEST = {"identity": str, "teacher": str, "shape": list, "classes": int, "shards": list}


@dataclass(frozen=True)
class Shard:
    """One line of a manifest: file name (beside the manifest), index range, size and hash of the content.

    `modified` is the time of the file when it was hashed, in nanoseconds.
    """

    file: str
    start: int
    count: int
    bytes: int
    modified: int
    sha256: str

    @property
    def held_out(self) -> bool:
        """True for pairs that training never sees."""
        return self.start >= HELD_OUT


@dataclass(frozen=True)
class Manifest:
    """What a set of pairs consists of.

    Args:
        identity: fingerprint of all settings that decide what the pairs are.
        teacher: SHA-256 of the teacher's weights.
        shape: (C, H, W) of an image; classes: number of classes, 0 where the teacher is unconditional.
        shards, folder: the files, and where they are.
    """

    identity: str
    teacher: str
    shape: list[int]
    classes: int
    shards: list[Shard]
    folder: Path

    def training(self) -> list[Shard]:
        """Return the shards of the training pairs, by index."""
        return sorted((shard for shard in self.shards if not shard.held_out), key=lambda shard: shard.start)


def write_manifest(path: str | Path, shards: Sequence[str | Path], identity: str) -> None:
    """Write the manifest of the files `shards` after checking that they belong together.

    Raises:
        UserError: a shard is damaged, belongs to other settings or another teacher, or the index ranges leave
            a gap or overlap.
    """
    path = Path(path)
    # open and hash each shard
    lines, kinds = [], set()
    for shard in map(Path, shards):
        with open_shard(shard, identity) as found:
            count, *shape = found.datasets["image"].shape
            kinds.add((*shape, found.classes, found.teacher))
        stat = shard.stat()
        lines.append(Shard(shard.name, found.start, count, stat.st_size, stat.st_mtime_ns, sha256(shard)))
    if len(kinds) != 1:
        raise Stale(f"{path}: the shards are of different teachers or shapes", path)
    # training pairs are numbered from 0 on, held-out ones from HELD_OUT on, without a gap
    for first, held_out in ((0, False), (HELD_OUT, True)):
        for line in sorted((s for s in lines if s.held_out == held_out), key=lambda s: s.start):
            if line.start != first:
                shard = path.with_name(line.file)
                raise UserError(f"{shard} starts at pair {line.start}, not {first}", shard)
            first += line.count
    ((*shape, classes, teacher),) = kinds
    content = {"identity": identity, "teacher": teacher, "shape": shape, "classes": classes}
    write_json(path, {**content, "shards": [asdict(line) for line in lines]})


def read_manifest(path: str | Path, identity: str | None = None) -> Manifest:
    """Read a manifest; with `identity`, check that it is that of the wanted settings.

    Raises:
        UserError: missing, damaged, or of other settings.
    """
    with reading(path, "manifest of pairs"):
        content = read_json(path)
        require(content, MANIFEST)
        for size in content["shape"]:
            require({"shape": size}, {"shape": int})
        shards = [from_settings(Shard, line, "shards") for line in content.pop("shards")]
        for shard in shards:
            if not re.fullmatch(r"[\w-]{1,64}\.h5", shard.file, re.ASCII):
                raise ValueError(f"it lists {shard.file!r}, which is no shard beside it")
        manifest = Manifest(**content, shards=shards, folder=Path(path).parent)
    if identity is not None and manifest.identity != identity:
        found = f"lists pairs made with other settings ({manifest.identity[:16]}, wanted {identity})"
        raise outdated(path, found)
    return manifest


def changed(path: Path, shard: Shard, hash_all: bool = False) -> bool:
    """Return True if the file at `path` is not the one that the manifest lists as `shard`.

    Size and time are compared first. Only a file of another time (a copy, say) is hashed again; with
    `hash_all`, every file is.
    """
    stat = path.stat()
    if stat.st_size != shard.bytes:
        return True
    return (hash_all or stat.st_mtime_ns != shard.modified) and sha256(path) != shard.sha256


def verify(path: str | Path) -> int:
    """Hash every shard that the manifest at `path` lists again; returns their number.

    Raises:
        UserError: the manifest is damaged, or shards are missing or changed: all of them are named.
    """
    manifest = read_manifest(path)
    progress = Progress("shards", len(manifest.shards))
    bad = []
    for shard in manifest.shards:
        file = manifest.folder / shard.file
        if not file.exists() or changed(file, shard, hash_all=True):
            bad.append(file)
        progress.advance()
    progress.close()
    if bad:
        names = " ".join(map(str, bad))
        raise UserError(f"missing or changed since they were listed: {names}", *bad)
    return len(manifest.shards)
