"""What lies in a folder, a zip or a tar: the pictures that are read, by name, and what is left out."""

import io
import os
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from get.storage.errors import UserError
from get.storage.reading import reading

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
# Images that are not read: if they were passed over, a part of the folder would be taken for the whole
UNREAD = (
    ".apng", ".avif", ".dib", ".exr", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jxl",
    ".pbm", ".pgm", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff",
)  # fmt: skip
HIDDEN = ("__MACOSX", "@eaDir")  # as are names that begin with a dot: copies and thumbnails
NAMED = 4  # kinds or names of what is left out; the rest is counted


@dataclass(frozen=True)
class Contents:
    """Files by their names, which are paths with / below the folder or in the archive.

    Args:
        path: the folder or archive.
        sizes: the files, by name, and their bytes; in the order of an archive.
        hidden: what is not looked at; repeated: what a link reaches once more.
    """

    path: Path
    sizes: Mapping[str, int]
    hidden: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def pictures(self) -> list[str]:
        """Return the names of the pictures, sorted.

        Raises:
            UserError: there is none, or images of a format that is not read lie among them.
        """
        if unread := sorted(name for name in self.sizes if ending(name) in UNREAD):
            raise UserError(
                f"{self.path / unread[0]} is of a format that is not read (such files: {len(unread)}, "
                f"{listed(map(ending, unread))}); convert them to PNG, or take them out"
            )
        found = sorted(name for name in self.sizes if ending(name) in PICTURES)
        if not found:
            also = f"; it holds {self.left_out()}" if self.left_out() else ""
            raise UserError(f"{self.path} holds no pictures ({', '.join(PICTURES)}){also}")
        return found

    def left_out(self) -> str:
        """Return the words for what is no picture; '' where there is nothing else."""
        others = [ending(name) for name in self.sizes if ending(name) not in PICTURES]
        kinds = {"other files": others, "hidden": self.hidden, "reached again by links": self.repeated}
        return "; ".join(f"{why}: {len(names)} ({listed(names)})" for why, names in kinds.items() if names)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield names, in the order in which they are read fastest, each with what returns its content.

        That raises `OSError`, and errors of every kind where an archive is damaged.
        """
        if self.path.is_dir():
            for name in names:
                yield name, (self.path / name).read_bytes
            return
        wanted = set(names)
        if zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive:
                for name in filter(wanted.__contains__, self.sizes):
                    yield name, partial(archive.read, name)
        else:
            with tarfile.open(self.path) as tar:
                for member in tar:
                    if member.name in wanted:
                        yield member.name, partial(_content, tar, member)


def _size(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """Return the bytes of a file of a tar, of which a link is one; of anything else 0."""
    if not (member.islnk() or member.issym()):
        return member.size
    beside = os.path.dirname(member.name) if member.issym() else ""
    try:
        return tar.getmember(os.path.normpath(os.path.join(beside, member.linkname))).size
    except KeyError:
        raise UserError(f"{member.name} is a broken link; mend it, or take it out") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with tar.extractfile(member) or io.BytesIO() as file:
        return file.read()


def contents_of(path: str | Path) -> Contents:
    """Return what lies in the folder or archive at `path`.

    Raises:
        UserError: it is neither, damaged or unreadable, or holds a broken link.
    """
    path = Path(path)
    if path.is_dir():
        with reading(path, "folder of pictures", "make it readable"):
            return _folder(path)
    with reading(path, "folder, zip or tar of pictures", "name another"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                files = {each.filename: each.file_size for each in archive.infolist() if not each.is_dir()}
        else:
            with tarfile.open(path) as tar:
                files = {member.name: _size(tar, member) for member in tar if not member.isdir()}
    hidden = {name for name in files if any(map(_is_hidden, name.split("/")))}
    sizes = {name: size for name, size in files.items() if name not in hidden}
    return Contents(path, sizes, sorted(hidden))


def _folder(path: Path) -> Contents:
    """Return what lies below a folder.

    Links are followed, but not where they lead to what is read anyway, or to a folder around `path`.
    """
    sizes: dict[str, int] = {}
    hidden: list[str] = []
    repeated: list[str] = []
    root = os.path.realpath(path)
    known = {root}  # folders and files that lie elsewhere, by their real path
    waiting = deque([("", path)])
    while waiting:
        name, place = waiting.popleft()
        links = []
        for entry in os.scandir(place):
            inner = f"{name}/{entry.name}" if name else entry.name
            if _is_hidden(entry.name):
                hidden.append(entry.name)
            elif entry.is_symlink():  # last, so that what lies in the folder itself keeps its own name
                links.append((inner, Path(entry.path)))
            elif entry.is_dir():
                if os.path.realpath(entry.path) in known:
                    repeated.append(inner)
                else:
                    waiting.appendleft((inner, Path(entry.path)))
            elif entry.is_file():
                sizes[inner] = entry.stat().st_size
            else:
                raise _broken(entry.path)
        for inner, link in sorted(links):
            if not os.path.isfile(link) and not os.path.isdir(link):
                raise _broken(link)
            real = os.path.realpath(link)
            if _is_within(real, known) or _is_within(root, {real}):
                repeated.append(inner)
                continue
            known.add(real)
            if os.path.isdir(link):
                waiting.append((inner, link))
            else:
                sizes[inner] = os.path.getsize(link)
    return Contents(path, dict(sorted(sizes.items())), sorted(hidden), sorted(repeated))


def _broken(path: str | Path) -> UserError:
    return UserError(f"{path} is no file or folder, or a broken link; mend it, or take it out")


def _is_within(path: str, places: set[str]) -> bool:
    """Return True if a real path is one of some others, or lies below one."""
    while path not in places:
        above = os.path.dirname(path)
        if above == path:
            return False
        path = above
    return True


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name in HIDDEN


def ending(name: str) -> str:
    """Return the ending of a file in small letters."""
    return os.path.splitext(name)[1].lower() or "no ending"


def listed(names: Iterable[str]) -> str:
    """Return the first few different names."""
    found = sorted(set(names))
    return ", ".join(found[:NAMED] + ["..."] * (len(found) > NAMED))
