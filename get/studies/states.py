"""Which state is decoded: the one after the smallest residual, which is the published rule, or the last."""

from get.experiment import contents
from get.experiment.config.studies import Studies
from get.experiment.contents import Content
from get.experiment.experiment import Experiment
from get.paper.cells import Line
from get.storage.variants import Rule, Variant
from get.studies import Lines, Rows, Settings, Study
from get.studies.common.comparison import FIDS, WAY, Way, compare_to_first, fid_changes, with_change
from get.studies.common.plots import plot_changes

RULES = {Rule.LOWEST_RESIDUAL: "lowest residual", Rule.LAST: "last state"}


def _content(experiment: Experiment, studies: Studies) -> Content:
    """Show every GET of the experiment."""
    gets = [name for name, student in experiment.students.items() if student.model.family == "get"]
    return {"rows": [contents.row(experiment, name, label=experiment.full_label(name)) for name in gets]}


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare the last state with the one after the smallest residual; a GET per row."""
    lines = []
    for row in rows:
        ways = (Way(name, row, Variant(rule, row.runs[0].iterations)) for rule, name in RULES.items())
        lines += compare_to_first(row.label, ways)
    return lines


def _text(lines: Lines) -> str:
    changes = fid_changes(with_change(lines))
    return f"With the last state in place of the one after the smallest residual, {changes}."


STUDY = Study(
    title="Last state or lowest residual",
    caption="Which state is decoded: the one after the smallest residual of the trained iterations, which is"
    " the published rule, or the last.",
    content=_content,
    columns=WAY | FIDS,
    lines=_lines,
    text=_text,
    draw=plot_changes,
)
