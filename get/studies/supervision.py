"""Which states of a GET are supervised in training: all, or the last alone."""

from functools import partial

from get.paper.cells import Line, text
from get.storage.variants import Variant
from get.studies import Lines, Rows, Settings, Study
from get.studies.common.comparison import (
    FIDS,
    RATE,
    WAY,
    Way,
    compare_to_first,
    fid_changes,
    rows_by_rate,
    with_change,
)
from get.studies.common.plots import plot_levels
from get.studies.common.students import LAST_STATE, TrainingWay, rows_of, students_in
from get.studies.states import RULES

WAYS = {"": TrainingWay("all states", {}), "last-state": TrainingWay("the last state", LAST_STATE)}


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare supervision, decoded by either rule; rows, for each of the `rates`: all states, the last."""
    lines = []
    for rate, group in rows_by_rate(rows, settings["rates"]):
        for rule, decoded in RULES.items():
            columns = {"lr": rate, "decoded": decoded}
            ways = (Way(row.label, row, Variant(rule, row.runs[0].iterations), columns) for row in group)
            lines += compare_to_first(settings["student"], ways)
    return lines


def _text(lines: Lines) -> str:
    compared = with_change(lines)
    parts = [
        f"at a learning rate of {rate:g} and with the {rule} decoded, "
        + fid_changes([line for line in compared if (line["lr"], line["decoded"]) == (rate, rule)])
        for rate, rule in sorted({(line["lr"], line["decoded"]) for line in compared})
    ]
    return f"With the last state supervised alone in place of all: {'; '.join(parts)}."


STUDY = Study(
    title="All states supervised, or the last alone",
    caption="A GET trained with all states supervised (weights as in the paper's code), or the last alone,"
    " decoded by either rule. All else is equal.",
    content=partial(rows_of, ways=WAYS),
    columns=WAY | RATE | {"Decoded": text("decoded")} | FIDS,
    lines=_lines,
    text=_text,
    draw=plot_levels,
    students=partial(students_in, ways=WAYS),
)
