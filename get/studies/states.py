"""Which state is decoded: the one after the smallest residual, which is the published rule, or the last."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.paper.cells import Line
from get.storage.variants import Rule, Variant
from get.studies import Study
from get.studies.common.comparison import (
    CHANGE,
    FIDS,
    WAY,
    Way,
    compare_to_first,
    fid_changes,
    with_change,
)

if TYPE_CHECKING:
    from get.paper.results import Row

RULES = {Rule.LOWEST_RESIDUAL: "lowest residual", Rule.LAST: "last state"}


class States(Study):
    """Compare the last state with the one after the smallest residual; a GET per row."""

    title = "Last state or lowest residual"
    caption = (
        "Which state is decoded: the one after the smallest residual of the trained iterations, which is the"
        " published rule, or the last."
    )
    columns = WAY | FIDS | CHANGE

    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return two lines for each GET, one for each rule."""
        lines: list[Line] = []
        for row in rows:
            count = row.runs[0].iterations
            ways = [Way(name, row, Variant(rule, count)) for rule, name in RULES.items()]
            lines += compare_to_first(row.label, ways)
        return lines

    def text(self, lines: Sequence[Line]) -> str:
        """Return for which GETs the last state is better or worse."""
        changes = fid_changes(with_change(lines))
        return f"With the last state in place of the one after the smallest residual, {changes}."

    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw the changes of FID."""
        from get.studies.common.plots import plot_changes

        plot_changes(lines, paths)


STUDY = States()
