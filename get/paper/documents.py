"""Documents: blocks of text and tables, rendered as Markdown, HTML, LaTeX and CSV.

A page of HTML is complete in itself: no script, no file or font from elsewhere.
"""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import jinja2
import pandas as pd

from get.paper.cells import Cell
from get.paper.naming import named
from get.storage.atomic import write_text


class Sign(NamedTuple):
    """What stands before a word in HTML; the colour only repeats what the sign says."""

    character: str
    colour: str


@dataclass(frozen=True)
class Heading:
    """The heading of a part."""

    kind: ClassVar = "heading"
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `lead` is a heading in its line."""

    kind: ClassVar = "paragraph"
    text: str
    lead: str = ""


@dataclass(frozen=True)
class Note:
    """A paragraph in small letters: the caption of a table."""

    kind: ClassVar = "note"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar = "bullets"
    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of texts, whose first column names the lines.

    Args:
        cells: the texts by column.
        words: the columns that are words; the others are numbers.
        signs: of cells with certain texts.
    """

    kind: ClassVar = "table"
    cells: pd.DataFrame
    words: Collection[str]
    signs: Mapping[str, Sign] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A picture from a PNG file beside the document; a page of HTML holds it."""

    kind: ClassVar = "picture"
    path: str | Path
    text: str  # what it shows

    @property
    def data(self) -> str:
        """The file as an address that holds it."""
        return f"data:image/png;base64,{base64.b64encode(Path(self.path).read_bytes()).decode()}"


Block = Heading | Paragraph | Note | Bullets | Table | Picture


def as_text(lines: pd.DataFrame, columns: Mapping[str, Cell]) -> pd.DataFrame:
    """Return the `columns` of some lines as a reader sees them."""
    values = records(lines)
    return pd.DataFrame({name: [cell(line) for line in values] for name, cell in columns.items()})


def records(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines as dictionaries."""
    return [{str(name): value for name, value in line.items()} for line in lines.to_dict("records")]


def write_texts(texts: Mapping[str, str], paths: Mapping[str, str | Path]) -> None:
    """Write the texts, by format, to the files of those formats."""
    for kind, path in paths.items():
        write_text(path, texts[kind])


def csv(data: pd.DataFrame) -> str:
    """Return all columns, numbers with six digits."""
    return named(data.to_csv(index=False, float_format="%.6g"))


B = TypeVar("B", bound=Block)


def _named(block: B) -> B:
    """Return the block with the name of distances in force; a note is a caption, and has it already."""
    match block:
        case Heading(text) | Paragraph(text) | Picture(text=text):
            return replace(block, text=named(text))
        case Bullets(texts):
            return replace(block, texts=[*map(named, texts)])
        case Table(cells, words):
            cells = cells.map(named).rename(columns=named)
            return replace(block, cells=cells, words=[*map(named, words)])
    return block


# ---------- Markdown


def markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown (without headings and tables it is reStructuredText, too)."""
    return "\n\n".join(_markdown(_named(block)) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Paragraph(text, lead):
            return " ".join(filter(None, [f"**{lead}**" if lead else "", _marks_escaped(text)]))
        case Note(text):
            return _marks_escaped(text)
        case Bullets(texts):
            return "\n".join(f"- {_marks_escaped(text)}" for text in texts)
        case Picture(path, text):
            return f"![{_marks_escaped(text)}]({Path(path).name})"
        case Table(cells, words):
            escaped = cells.map(lambda text: text.replace("|", r"\|"))
            align = ["left" if name in words else "right" for name in cells] if len(cells) else None
            return escaped.to_markdown(index=False, disable_numparse=True, colalign=align)


def _marks_escaped(text: str) -> str:
    return re.sub(r"([\\*_`|])", r"\\\1", text)


# ---------- HTML


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return the blocks as a page."""
    return _template().render(title=named(title), blocks=map(_named, blocks))


def write_figure_page(title: str, picture: str | Path, caption: str, path: str | Path) -> None:
    """Write a page of HTML with a picture and its caption."""
    write_text(path, html(title, [Picture(picture, title), Note(caption)]))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


# ---------- LaTeX

_ESCAPES: dict[str, str | int | None] = {character: f"\\{character}" for character in "&%$#_{}"}
_ESCAPES |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPES |= {"±": r"$\pm$", "<": r"$<$", ">": r"$>$"}
_LATEX = r"""\begin{table}
\centering
\caption{%s}
\label{%s}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
%s}
\end{table}
"""


def latex(table: Table, caption: str, label: str) -> str:
    """Return a table environment (packages booktabs and graphicx), no wider than the text."""
    table = _named(table)
    align = "".join("l" if name in table.words else "r" for name in table.cells)
    cells = table.cells.map(_escaped).rename(columns=_escaped)
    # after the end of a line LaTeX takes [ and * for arguments of it
    cells = cells.map(lambda text: f"{{}}{text}" if text.startswith(("[", "*")) else text)
    tabular = cells.style.hide(axis="index").to_latex(column_format=align, hrules=True)
    return _LATEX % (_escaped(caption), label, tabular.rstrip())


def _escaped(text: str) -> str:
    """Return the text for LaTeX, in one paragraph: a caption may have no other."""
    return " ".join(text.splitlines()).translate(str.maketrans(_ESCAPES))
