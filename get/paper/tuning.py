"""Trials of one key of training: what each value reached, and the config of those that are chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from get.paper import documents, figures, style
from get.paper.cells import Cell, Line, marks, missing, number, plus_minus, with_warnings
from get.paper.documents import Block, Note, Paragraph, Picture, Table, as_text, records, write_texts
from get.paper.figures import FID, Paths, finish_fid_axes, name_of
from get.paper.results import Row, read_rows
from get.paper.statistics import advantage, row_statistics
from get.storage.errors import UserError
from get.storage.reading import read_json, reading

RING = 60  # square points: around the value that is chosen
STUDENTS = "students"  # the part of the config with those that take what trials chose
AXIS = {"lr": "learning rate"}
WRITTEN = ("part", "tried_for", "key", "value", "chosen", "open")  # columns that the config is written from


@dataclass(frozen=True)
class Trial:
    """What a student reached with a value, and the value that the config gives it (`own`).

    `taken` says whether it is the one that was chosen, where somebody has chosen already.
    """

    row: Row
    student: str
    value: float
    own: float
    taken: bool | None = None


@dataclass(frozen=True)
class Tried:
    """All trials of a key of training; `part` of the config has those that are tried."""

    part: str
    key: str
    trials: Sequence[Trial]

    def by_student(self) -> dict[str, list[Trial]]:
        """Return the trials at the last milestone, which decide, by student and in the order of values."""
        found: dict[str, list[Trial]] = {}
        for trial in self.trials:
            found.setdefault(trial.student, []).append(trial)
        return {
            student: [each for each in trials if each.row.steps == max(trial.row.steps for trial in trials)]
            for student, trials in found.items()
        }


def read_trials(settings: Mapping[str, Any]) -> Tried:
    """Return what the settings file of `tuning` lists; raises `UserError` as `results.read_rows`."""
    rows = read_rows(settings["rows"])
    trials = [
        Trial(row, entry["tried_for"], entry["value"], entry["own"], _taken(entry, settings["key"]))
        for row, entry in zip(rows, settings["rows"], strict=True)
    ]
    return Tried(settings["part"], settings["key"], trials)


def _taken(entry: Mapping[str, Any], key: str) -> bool | None:
    """Return whether the settings that an entry names, if any, have its value."""
    if "settings" not in entry:
        return None
    return bool(read_json(entry["settings"])["training"][key] == entry["value"])


def best(trials: Sequence[Trial]) -> Trial:
    """Return the trial that was chosen, or else the one with the lowest mean FID (train)."""
    taken = [trial for trial in trials if trial.taken]
    return taken[0] if taken else min(trials, key=fid)


def fid(trial: Trial) -> float:
    """Return the mean FID (train) over the seeds of a trial."""
    return float(row_statistics(trial.row)["fid_train"])


def open_end(trials: Sequence[Trial]) -> str:
    """Return where a better value may lie beyond those tried: 'below', 'above', or '' if not."""
    values, chosen = [trial.value for trial in trials], best(trials).value
    if len(values) < 2:
        return ""
    return {min(values): "below", max(values): "above"}.get(chosen, "")


# -------------------------------------------------------------------------------------------------- table


def lines_of(tried: Tried) -> list[Line]:
    """Return a line for each trial at each milestone."""
    decided = {name: (best(trials), open_end(trials)) for name, trials in tried.by_student().items()}
    lines: list[Line] = []
    for trial in tried.trials:
        chosen, end = decided[trial.student]
        mine = trial is chosen
        about = {"part": tried.part, "tried_for": trial.student, "key": tried.key, "value": trial.value}
        about |= {"own": trial.own, "chosen": mine, "open": end if mine else ""}
        lines.append(row_statistics(trial.row) | about)
    return lines


def in_words(tried: Tried) -> Iterator[str]:
    """Yield what is chosen for each student, what the config says, and where the optimum is open."""
    chosen, ends = [], []
    for trials in tried.by_student().values():
        mine, end = best(trials), open_end(trials)
        line = row_statistics(mine.row)
        label = mine.row.label + marks(line)
        found = [f"FID {plus_minus('fid_train')(line)}", *_next(trials)]
        if tried.part == STUDENTS:
            found.append("as in the config" if mine.value == mine.own else f"the config has {mine.own:g}")
        chosen.append(f"{label} {mine.value:g} ({'; '.join(found)})")
        ends += [f"{label} ({end} {mine.value:g})"] if end else []
    yield f"Of the values of {tried.key} that were tried, those were chosen: {'; '.join(chosen)}."
    if ends:
        yield f"The optimum is open, a better value may lie beyond those tried, for {', '.join(ends)}."


def _next(trials: Sequence[Trial]) -> list[str]:
    """Return the best of the other values, if there are any, and by how much its FID is higher."""
    mine = best(trials)
    others = [trial for trial in trials if trial is not mine]
    if not others:
        return []
    second = min(others, key=fid)
    gain = advantage(mine.row, second.row, "fid_train")
    sure = "" if gain.verdict == "better" and len(gain.by_seed) > 1 else ", undecided"
    return [f"next {second.value:g}, {gain.value:+.2f}{sure}"]


def _mark(line: Line) -> str:
    end = f", open {line['open']}" if line["open"] else ""
    return f"chosen{end}" if line["chosen"] else ""


COLUMNS: dict[str, Cell] = {
    "Student": lambda line: line["method"] + marks(line),
    "Value": lambda line: f"{line['value']:g}",
    "Steps": number("steps"),
    "FID (train)": plus_minus("fid_train"),
    "L1 (held out)": number("l1_held_out", 4),
    "Seeds": number("seeds"),
    "": _mark,
}


def write_trials(tried: Tried, caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write the trials: all columns ('csv'), the figure ('pdf', 'png'), and pages ('md', 'html')."""
    lines = lines_of(tried)
    draw(tried, [paths["pdf"], paths["png"]])
    blocks: list[Block] = [
        *(Paragraph(sentence) for sentence in in_words(tried)),
        Picture(paths["png"], f"FID over {_axis(tried)}"),
        Table(as_text(pd.DataFrame(lines), COLUMNS), ("Student", "")),
        Note(with_warnings(caption, lines)),
    ]
    texts = {
        "csv": documents.csv(pd.DataFrame(lines)),
        "md": documents.markdown(blocks),
        "html": documents.html(f"Tuning: {_axis(tried)}", blocks),
    }
    write_texts(texts, {kind: paths[kind] for kind in texts})


def _axis(tried: Tried) -> str:
    return AXIS.get(tried.key, tried.key)


def chosen_config(path: str | Path) -> str:
    """Return the YAML that gives each one the value chosen for it, from the CSV of `write_trials`.

    Raises:
        UserError: there is no such table, or it is of rivals.
    """
    with reading(path, "table of trials"):
        table = pd.read_csv(path, dtype={"tried_for": str})
        if absent := [name for name in WRITTEN if name not in table]:
            raise UserError(f"{path} is no table of trials: there is no column {absent[0]}")
        if set(table["part"]) != {STUDENTS}:
            raise UserError(f"{path}: methods of rivals have the values that were chosen already")
    chosen = table[table["chosen"]]
    config = {
        name: {"training": {key: value}}
        for name, key, value in zip(chosen["tried_for"], chosen["key"], chosen["value"].tolist(), strict=True)
    }
    ends = [(line["tried_for"], line["open"]) for line in records(chosen) if not missing(line["open"])]
    comments = "".join(f"# {name}: a better value may lie {end} those tried\n" for name, end in ends)
    return comments + yaml.safe_dump({STUDENTS: config}, default_flow_style=None, sort_keys=False)


# -------------------------------------------------------------------------------------------------- figure


def draw(tried: Tried, paths: Paths) -> None:
    """Draw FID over the values, a panel per family, a curve per student; the chosen value has a ring.

    Where that is an end of the values, the label says that the optimum is open.
    """
    families: dict[str, list[list[Trial]]] = {}
    for trials in tried.by_student().values():
        model = trials[0].row.runs[0].model
        families.setdefault(model.family if model else "", []).append(trials)
    figure, panels = style.panels(len(families), [name_of(family) for family in families])
    for axes, (family, members) in zip(panels, families.items(), strict=True):
        labels = []
        for rank, trials in enumerate(members):
            look = style.look(family, rank)
            data = pd.DataFrame([row_statistics(trial.row) for trial in trials])
            values = [trial.value for trial in trials]
            last = figures.line(axes, values, data["fid_train"], data["fid_train_sd"], look)
            mine = best(trials)
            label = trials[0].row.label + " (open)" * bool(open_end(trials))
            labels.append((*last, label, look["color"]))
            ring = {"facecolor": "none", "edgecolor": look["color"], "linewidth": 0.8, "zorder": 4}
            axes.scatter([mine.value], [fid(mine)], RING, **ring)
        axes.set_xlabel(_axis(tried))
        axes.set_ylabel(FID)
        style.log_axis(axes, "x")
        tried_by = {tuple(trial.value for trial in trials) for trials in members}
        if len(tried_by) == 1:
            style.ticks_at(axes, *tried_by)
        finish_fid_axes(axes, labels)
    style.save(figure, paths)
