"""Key `paper`: what the tables and figures show."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

import get
from get.experiment.config.errors import check
from get.experiment.config.keys import Count, Keys, Label, Text

if TYPE_CHECKING:
    from get.experiment.config import Config

PUBLISHED_CSV = Path(get.__file__).with_name("paper") / "published.csv"


class Row(Keys):
    """A row of a table: a student at one step."""

    student: str
    """Name of the student."""
    step: Count | None = None
    """The milestone; left out, the student's headline."""
    label: Label | None = None
    """What to call the row; left out, the student's label."""
    published: str | None = None
    """Name of the row in the paper's table (the column 'method' of get/paper/published.csv)."""


TwoRows = Annotated[list[Row], Field(min_length=2, max_length=2)]

Shown = Annotated[
    str,
    StringConstraints(
        pattern=r"^(table[1-6]|figure[234][ab]|residuals|training-curves|same-noise|costs|reproduction)$"
    ),
]


class Figure4(Keys):
    """The students of Figure 4; each may be left out."""

    unconditional: str | None = None
    """Name of the student of Figure 4a: uncurated samples."""
    conditional: str | None = None
    """Name of the student of Figure 4b: a row per class."""


class Versus(Keys):
    """A GET and the ViT that it is set against: at equal steps, training compute and sampling time."""

    get: str
    """Name of the GET."""
    vit: str
    """Name of the ViT, of about as many parameters."""


class Paper(Keys):
    """What the paper's tables and figures show."""

    captions: dict[Shown, Text] = {}
    """Sentences that are added to captions, by the name of the table or figure."""
    table1: list[Row] = []
    """Students of Table 1; left out, all of them. Teachers, real images and noise come in addition."""
    table2: list[Row] = []
    """Sizes: the first row and all trained as long at its batch are the ladder, from small to large."""
    table3: list[Row] = []
    """Class-conditional students."""
    table4: TwoRows | None = None
    """A ViT, and the smaller GET that is compared with it."""
    table5: list[Row] = []
    """Students whose training is described; the batch of the first one counts as 1x."""
    table6: list[Row] = []
    """How the class comes in: not at all, by AdaLN-Zero, by injection."""
    larger_vit: TwoRows | None = None
    """A GET, and the much larger ViT that it is said to match."""
    versus: list[Versus] = []
    """GETs and the ViTs that they are set against."""
    figure4: Figure4 = Figure4()
    """The students shown: uncurated samples, and a row per class; each may be left out."""

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows that were listed, by key."""
        keys = [*(f"table{number}" for number in range(1, 7)), "larger_vit"]
        return {key: getattr(self, key) or [] for key in keys}


def check_paper(config: "Config") -> None:
    """Check that rows and figures show students that there are."""
    for part, name in config.paper.figure4.settings().items():
        if name is not None:
            check_figure4(part, name, config)
    for name, rows in config.paper.rows().items():
        check_rows(rows, name, config)
    for position, pair in enumerate(config.paper.versus):
        for family, name in pair.settings().items():
            key = f"paper.versus[{position}].{family}"
            check(name in config.students, f"{key}: no student {name!r}")
            check(config.students[name].model.family == family, f"{key}: {name} is no {family}")
    for name, wanted in (("table4", ["vit", "get"]), ("larger_vit", ["get", "vit"])):
        for position, (row, family) in enumerate(zip(config.paper.rows()[name], wanted, strict=False)):
            found = config.students[row.student].model.family
            check(found == family, f"paper.{name}[{position}].student: {row.student} is no {family}")


def check_figure4(part: str, name: str, config: "Config") -> None:
    """Check that a part of Figure 4 shows a student of its kind."""
    key = f"paper.figure4.{part}"
    check(name in config.students, f"{key}: no student {name!r}")
    student = config.students[name]
    check(not student.disabled, f"{key}: {name} is disabled")
    conditional = student.model.conditional
    check(
        conditional == (part == "conditional"), f"{key}: {name} is {'' if conditional else 'un'}conditional"
    )


def check_rows(rows: Sequence[Row], name: str, config: "Config") -> None:
    """Check the rows of one table, of which no two stand for the same published one."""
    table = name.replace("table", "table ")
    known = published_rows(table)
    standing = [row.published for row in rows if row.published]
    for position, row in enumerate(rows):
        key = f"paper.{name}[{position}]"
        check(row.student in config.students, f"{key}.student: no student {row.student!r}")
        steps = config.students[row.student].milestones
        check(
            row.step is None or row.step in steps,
            f"{key}.step: {row.step} is none of the milestones {steps} of {row.student}",
        )
        if row.published is None:
            continue
        check(name.startswith("table"), f"{key}: no published row belongs there")
        check(
            known.count(row.published) == 1,
            f"{key}.published: {row.published!r} names {known.count(row.published)} rows of the paper's"
            f" {table}; there are {', '.join(sorted(set(known)))}",
        )
        count = standing.count(row.published)
        check(count == 1, f"paper.{name}: {count} rows stand for the published {row.published!r}")


def published_rows(table: str) -> list[str]:
    """Return what the rows of one of the paper's tables ('table 2') are called."""
    with open(PUBLISHED_CSV, encoding="utf-8") as file:
        return [line["method"] for line in csv.DictReader(file) if line["table"] == f"paper {table}"]
