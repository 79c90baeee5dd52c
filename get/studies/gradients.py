"""How a GET is differentiated: through its iterations, or implicitly at the last state."""

from functools import partial

from get.paper.cells import Line
from get.studies import Lines, Rows, Settings, Study
from get.studies.common.comparison import FIDS, RATE, WAY, Way, compare, fid_changes, rows_by_rate
from get.studies.common.plots import plot_levels
from get.studies.common.students import LAST_STATE, TrainingWay, rows_of, students_in

WAYS = {
    "": TrainingWay("unrolled, all states", {}),
    "last-state": TrainingWay("unrolled, last state", LAST_STATE),
    "implicit": TrainingWay(
        "implicit, last state", {"implicit": True, "checkpointing": False, "compile": False}
    ),
}


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare gradients; rows, for each of the `rates`: unrolled of all states, of the last, implicit."""
    lines = []
    for rate, group in rows_by_rate(rows, settings["rates"]):
        every, last, implicit = (Way(row.label, row, None, {"lr": rate}) for row in group)
        for way, other in ((every, None), (last, every), (implicit, last)):
            lines.append(compare(settings["student"], way, other))
    return lines


def _text(lines: Lines) -> str:
    parts = []
    for rate in sorted({line["lr"] for line in lines}):
        _, last, implicit = (line for line in lines if line["lr"] == rate)
        parts.append(
            f"At a learning rate of {rate:g}, with unrolled gradients of the last state in place of all,"
            f" {fid_changes([last])}; with the implicit gradient of the last state in place of the unrolled"
            f" one, {fid_changes([implicit])}."
        )
    return " ".join(parts)


STUDY = Study(
    title="Unrolled or implicit gradients",
    caption="A GET trained by gradients through its iterations, of all states or of the last alone, and by"
    " the implicit gradient of the last, with as many products in the backward pass as evaluations in the"
    " forward pass. All else is equal.",
    content=partial(rows_of, ways=WAYS),
    columns=WAY | RATE | FIDS,
    lines=_lines,
    text=_text,
    draw=plot_levels,
    students=partial(students_in, ways=WAYS),
)
