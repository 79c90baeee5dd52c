"""The files of a study."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from get.paper import documents
from get.paper.cells import with_warnings
from get.paper.claims import SIGNS
from get.paper.documents import Block, Heading, Note, Paragraph, Picture, Table, as_text, write_texts
from get.studies import Rows, Settings, Study
from get.studies.common.comparison import WORDS, with_change


def write_study(
    study: Study, rows: Rows, settings: Settings, *, caption: str, paths: Mapping[str, str | Path]
) -> None:
    """Write a study.

    Args:
        study: what it compares; rows, settings: see `Study.lines`.
        caption: below the table.
        paths: the table as 'csv', text, figure and table as 'md' and 'html', the figure as 'pdf' and 'png'.
    """
    lines = study.lines(rows, settings)
    readable = with_change(lines) if study.changes_only else lines
    table = Table(as_text(pd.DataFrame(readable), study.columns), WORDS, SIGNS)
    study.draw(lines, [paths["pdf"], paths["png"]])
    blocks: list[Block] = [
        Paragraph(study.text(lines)),
        Picture(paths["png"], study.title),
        table,
        Note(with_warnings(caption, lines)),
    ]
    texts = {
        "csv": documents.csv(pd.DataFrame(lines)),
        "md": documents.markdown([Heading(study.title), *blocks]),
        "html": documents.html(study.title, blocks),
    }
    write_texts(texts, {kind: paths[kind] for kind in texts})
