"""How a GET is differentiated: through its iterations, or implicitly at the last state."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.paper.cells import Line
from get.studies import Study
from get.studies.common.comparison import CHANGE, FIDS, RATE, WAY, Way, compare, fid_changes, rows_by_rate

if TYPE_CHECKING:
    from get.paper.results import Row


class Gradients(Study):
    """Compare gradients; rows, for each of the `rates`: unrolled of all states, of the last, implicit."""

    title = "Unrolled or implicit gradients"
    caption = (
        "A GET trained by gradients through its iterations, of all states or of the last alone, and by the"
        " implicit gradient of the last, with as many products in the backward pass as evaluations in the"
        " forward pass. All else is equal."
    )
    columns = WAY | RATE | FIDS | CHANGE

    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return three lines a learning rate; the last state is compared with all, implicit with that."""
        lines: list[Line] = []
        for rate, group in rows_by_rate(rows, settings["rates"]):
            every, last, implicit = (Way(row.label, row, None, {"lr": rate}) for row in group)
            for way, other in ((every, None), (last, every), (implicit, last)):
                lines.append(compare(settings["student"], way, other))
        return lines

    def text(self, lines: Sequence[Line]) -> str:
        """Return what the last state alone, and its implicit gradient, change at each learning rate."""
        parts = []
        for rate in sorted({line["lr"] for line in lines}):
            _, last, implicit = (line for line in lines if line["lr"] == rate)
            parts.append(
                f"At a learning rate of {rate:g}, with unrolled gradients of the last state in place of all,"
                f" {fid_changes([last])}; with the implicit gradient of the last state in place of the"
                f" unrolled one, {fid_changes([implicit])}."
            )
        return " ".join(parts)

    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw FID itself."""
        from get.studies.common.plots import plot_levels

        plot_levels(lines, paths)


STUDY = Gradients()
