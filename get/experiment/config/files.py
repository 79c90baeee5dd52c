"""Files from outside, and the keys that name them."""

import os
from typing import TYPE_CHECKING, Annotated

from pydantic import StringConstraints

from get.experiment.config.errors import check
from get.experiment.config.keys import Keys, Text, optional

if TYPE_CHECKING:
    from get.experiment.config import Config


class Source(Keys):
    """A file from outside. Where there is a path, the URL is not used."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+/(.*/)?[A-Za-z0-9._-]+$")] | None = (
        optional()
    )
    """Where the file is downloaded from (http or https)."""
    path: Text | None = None
    """A local copy, for machines without internet."""
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None
    """The file's SHA-256; left out, that of the first download is recorded and checked ever after."""

    @property
    def file(self) -> str:
        """The name of the file, without where it lies."""
        return os.path.basename((self.path or self.url or "").rstrip("/"))


def sources(config: "Config") -> dict[str, Source]:
    """Return the files from outside, by the key that names them."""
    found = {"data.source": config.data.source, "features.source": config.features.source}
    found |= {f"teachers.{name}.source": teacher.source for name, teacher in config.teachers.items()}
    enabled = {name: student for name, student in config.students.items() if not student.disabled}
    found |= {f"students.{name}.import": student.source for name, student in enabled.items()}
    trained = {name: student for name, student in enabled.items() if not student.source}
    found |= {
        f"students.{name}.training.loss.source": student.training.loss_source
        for name, student in trained.items()
    }
    found |= {
        f"rivals.methods.{name}.training.loss.source": method.training.loss_source
        for name, method in (config.rivals.methods.items() if config.rivals else ())
    }
    return {key: source for key, source in found.items() if source}


def check_sources(found: dict[str, Source]) -> None:
    """Check that local copies are there, and that downloads do not take each other's names."""
    urls: dict[str, str] = {}
    for key, source in found.items():
        check(source.path or source.url, f"{key} names no file: give it a url, or the path of a local copy")
        if source.path:
            check(os.path.exists(source.path), f"{key}.path: there is no {source.path}")
            wild = "{" in source.path or "}" in source.path
            check(not wild, f"{key}.path: Snakemake takes braces for wildcards; rename {source.path}")
        elif source.url:
            name = os.path.basename(source.url)
            check(
                urls.setdefault(name, source.url) == source.url,
                f"{key}.url: another file of the name {name} is downloaded too; give one of them as a path",
            )
