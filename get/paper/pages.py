"""HTML of tables and text, each page complete in itself: no script, no file or font from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

# Verdicts are told apart by a sign and by words; their colours (Okabe and Ito's) only repeat it.
SIGNS = {"reproduced": "✓", "not reproduced": "✗", "undecided": "?"}
COLOURS = {"reproduced": "#0072B2", "not reproduced": "#B34E00", "undecided": "#666"}
STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff;
       margin: 1.2rem 1.5rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .8rem; }
h2 { font-size: 1.08rem; margin: 1.8rem 0 .5rem; }
p, ul { max-width: 46rem; margin: .5rem 0; }
p.note { color: #444; font-size: .87rem; }
div.wide { overflow-x: auto; margin: .7rem 0; }
table { border-collapse: collapse; font-size: .8rem; line-height: 1.4; font-variant-numeric: tabular-nums;
        border-top: 1.5px solid #333; border-bottom: 1.5px solid #333; }
th, td { padding: .26rem .5rem; text-align: right; vertical-align: top; white-space: nowrap; }
.words { text-align: left; }
th.words, td.words { max-width: 30rem; white-space: normal; }
thead th { border-bottom: 1px solid #333; vertical-align: bottom; white-space: normal; font-weight: 600; }
tbody th { font-weight: 600; min-width: 10.5rem; }
td span { white-space: nowrap; }
tbody tr:nth-child(even) { background: #f4f5f7; }
"""


def page(title: str, *parts: str) -> str:
    """Return a page of `parts`, which are HTML; the title is text."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def heading(text: str) -> str:
    """Return the heading of a part of a page."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; of the kind 'note' it is small."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Return a list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def table(shown: pd.DataFrame, left: Sequence[bool]) -> str:
    """Return a table of texts; `left` says which columns are words, the others are numbers.

    The first column names the rows. A cell that is a verdict has its sign before it.
    """
    kinds = ["words" if words else "" for words in left]
    head = "".join(
        f'<th scope="col"{_class(kind)}>{escape(name)}</th>'
        for name, kind in zip(shown.columns, kinds, strict=True)
    )
    lines = [
        f'<tr><th scope="row"{_class(kinds[0])}>{escape(first)}</th>'
        + "".join(_cell(text, kind) for text, kind in zip(others, kinds[1:], strict=True))
        + "</tr>"
        for first, *others in shown.itertuples(index=False)
    ]
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(text: str, kind: str) -> str:
    verdict = text.partition(" (")[0]
    sign, colour = SIGNS.get(verdict, ""), COLOURS.get(verdict, "")
    inner = f'<span style="color: {colour}">{sign}&nbsp;{escape(text)}</span>' if sign else escape(text)
    return f"<td{_class(kind)}>{inner}</td>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
