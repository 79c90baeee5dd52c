"""One-step methods at equal budgets: the ledger of each, what it reached, and claims about the reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from get.paper import documents
from get.paper.cells import MEGA, Cell, Line, marks, number, operations, plus_minus, with_warnings
from get.paper.claims import Claim, Judgement, Kind, Topic, Verdict, claims_frame, claims_table
from get.paper.documents import Block, Note, Paragraph, Picture, Table, as_text, write_texts
from get.paper.orderings import ordering
from get.paper.results import Costs, Mode, Row, read_costs, read_rows, read_scores
from get.paper.statistics import advantage, row_statistics
from get.storage.reading import read_json

GIGA, KILO = 1e9, 1e3
NO_MORE = 1.02  # a budget within this factor of another is no larger: steps are whole numbers
KINDS = {  # what sort of method: what it is called, in the order of the table
    "get": "regression on pairs (GET)",
    "vit": "regression on pairs (ViT)",
    "pairs": "regression on pairs (U-Net)",
    "reflow": "reflow",
    "distillation": "consistency distillation",
    "training": "consistency training",
    "progressive": "progressive distillation",
}


@dataclass(frozen=True)
class Entry:
    """A method at one budget: its scores, its costs, and what the config says of it (`experiment.rivals`)."""

    row: Row
    about: Mapping[str, Any]
    teacher_macs: float
    nfe: int
    rate: float

    @property
    def method(self) -> str:
        """The name of the method."""
        return str(self.about["method"])

    @property
    def costs(self) -> Costs:
        """What the method costs."""
        assert self.row.costs
        return self.row.costs

    @property
    def images(self) -> int:
        """Images seen in training."""
        return self.row.batch * (self.row.runs[0].step or 0)

    @property
    def pairs(self) -> int:
        """Pairs that were seen: no pair is seen again before all were."""
        return int(min(self.about["pairs"], self.images))

    @property
    def evaluations(self) -> float:
        """Evaluations of a teacher: for the pairs that were seen, which methods share, and in training."""
        return self.pairs * self.nfe + self.images * self.costs.teacher_evaluations

    @property
    def pairs_flops(self) -> float:
        """Operations of the teacher for the pairs."""
        return self.pairs * self.nfe * 2 * self.teacher_macs

    @property
    def total_flops(self) -> float:
        """All operations: for the pairs, and of training."""
        return self.pairs_flops + self.images * self.costs.training_flops


Axis = str  # 'total_flops' or 'evaluations'
AXES = {"total_flops": "total compute", "evaluations": "teacher evaluations"}


def read_entries(settings: str | Path, costs: str | Path) -> list[Entry]:
    """Return the entries of a settings file; raises `UserError` as `results.read_rows`."""
    content, file = read_json(settings), read_costs(costs)
    rows = read_rows(content["rows"], costs)
    macs = file.teachers[content["teacher"]].macs
    rates = [read_json(entry["settings"])["training"]["lr"] for entry in content["rows"]]
    return [
        Entry(row, about, macs, content["nfe"], rate)
        for row, about, rate in zip(rows, content["rows"], rates, strict=True)
    ]


def lines_of(entries: Sequence[Entry]) -> list[Line]:
    """Return a line for each entry: its scores, and its ledger."""
    return [_line(entry) for entry in entries]


def _line(entry: Entry) -> Line:
    training = entry.costs.training.get(Mode.PLAIN)
    speed = training.iterations_per_second.median if training else float("nan")
    tried = entry.about["rates"]
    return row_statistics(entry.row) | {
        "name": entry.method,
        "kind": entry.about["kind"],
        "from_teacher": entry.about["from_teacher"],
        "budget": entry.about["budget"],
        "images": entry.images,
        "teacher_evaluations": entry.evaluations,
        "pairs_flops": entry.pairs_flops,
        "total_flops": entry.total_flops,
        "networks": entry.costs.networks,
        "training_memory": training.peak_memory_bytes if training else float("nan"),
        "training_seconds": (entry.row.runs[0].step or 0) / speed,
        "lr": entry.rate,
        "lr_at_the_edge": len(tried) > 1 and entry.rate in (min(tried), max(tried)),
    }


# ------------------------------------------------------------------------------------------------- claims


def claims_of(entries: Sequence[Entry], reference: str, task: str) -> list[Claim]:
    """Return for every other method two claims: the reference has the lower FID at equal budgets.

    At equal total compute, and at equal teacher evaluations: the reference at its largest budget, and the
    other method at the largest of its own that is no more expensive. They are one where both are of the same
    budgets, and not run where the other method takes more at all of its own.

    Args:
        entries: of one task; reference: name of a method; task: what the claims call it.
    """
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.row.runs:
            runs.setdefault(entry.method, []).append(entry)
    ours = runs.pop(reference, [])
    return [claim for others in runs.values() if ours for claim in _claims_about(ours, others, task)]


def _claims_about(ours: Sequence[Entry], others: Sequence[Entry], task: str) -> Iterator[Claim]:
    """Yield the claims about one other method."""
    label, other = ours[-1].row.label, others[-1].row.label
    compared = {axis: at_equal(ours, others, axis) for axis in AXES}
    for first, pair in compared.items():
        axes = [axis for axis, each in compared.items() if each == pair]
        if first != axes[0]:  # said already
            continue
        words = " and ".join(AXES[axis] for axis in axes)
        claim = f"{task}: {label} has a lower FID than {other} at no more {words}"
        if pair is None:
            name = f"{Topic.RIVAL}/{task}/{others[-1].method}/{first}"
            yield Claim(name, Topic.RIVAL, f"{claim} ({other}: always more)", Judgement(Verdict.NOT_RUN))
        else:
            shares = " and ".join(_share(pair[1], pair[0], axis) for axis in axes)
            words = f"no more {words}"
            yield ordering(Topic.RIVAL, f"{claim} ({other}: {shares})", pair[0].row, pair[1].row, at=words)


def _share(entry: Entry, of: Entry, axis: Axis) -> str:
    return f"{100 * getattr(entry, axis) / getattr(of, axis):.0f}%"


def at_equal(ours: Sequence[Entry], others: Sequence[Entry], axis: Axis) -> tuple[Entry, Entry] | None:
    """Return the largest budget of ours with one of the others that is no more expensive, and that one."""
    for mine in sorted(ours, key=lambda entry: entry.total_flops, reverse=True):
        fitting = [entry for entry in others if getattr(entry, axis) <= NO_MORE * getattr(mine, axis)]
        if fitting:
            return mine, max(fitting, key=lambda entry: entry.total_flops)
    return None


# -------------------------------------------------------------------------------------------------- words


def in_words(entries: Sequence[Entry], reference: str) -> list[str]:
    """Return what the table shows: the reference among the others, and what network and start contribute."""
    mine = [entry for entry in entries if entry.method == reference and entry.row.runs][-1]
    alike = [entry for entry in entries if entry.about["budget"] == mine.about["budget"] and entry.row.runs]
    others = [entry for entry in alike if entry is not mine]
    return [_about_reference(mine, others), *_about_network(alike), *_about_start(others)]


def _about_reference(mine: Entry, others: Sequence[Entry]) -> str:
    """Return how the reference compares with each of the others."""
    found: dict[str, list[str]] = {}
    for other in others:
        named = f"{other.row.label} ({_fid(other)})"
        found.setdefault(_compared(mine, other), []).append(named)
    parts = [f"{words} that of {', '.join(named)}" for words, named in sorted(found.items())]
    return (
        f"At the operations of {mine.row.runs[0].step:,} steps of {mine.row.label}, those for pairs left out,"
        f" its FID ({_fid(mine)}; {len(mine.row.runs)} seeds) is {'; '.join(parts)}."
    )


def _about_network(alike: Sequence[Entry]) -> list[str]:
    """Return what networks reach that learn the same pairs from scratch."""
    regressed = sorted((entry for entry in alike if _is_control(entry)), key=_mean)
    if len(regressed) < 2:
        return []
    found = ", ".join(f"{_fid(entry)} for {entry.row.label}" for entry in regressed)
    return [
        "Network, not method: of those that learn the same pairs from scratch by regression, each with"
        f" training settings of its own, FID is {found}."
    ]


def _about_start(others: Sequence[Entry]) -> list[str]:
    """Return what each method that starts from the teacher reaches, and the same from scratch."""
    return [
        f"Start: the FID of {entry.row.label} ({_fid(entry)}) is {_compared(entry, twin)} that of"
        f" {twin.row.label} ({_fid(twin)})."
        for entry in others
        for twin in others
        if _is_twin(entry, twin)
    ]


def _compared(one: Entry, other: Entry) -> str:
    """Return how the FID of one is, compared with that of another: 'lower than'."""
    verdict = advantage(one.row, other.row, "fid_train").verdict
    return {"better": "lower than", "worse": "higher than"}.get(verdict, "not decidedly other than")


def _is_control(entry: Entry) -> bool:
    return entry.about["kind"] in ("get", "vit", "pairs") and not entry.about["from_teacher"]


def _is_twin(entry: Entry, other: Entry) -> bool:
    """Whether `other` is `entry` from scratch: of the same kind and size."""
    same = entry.about["kind"] == other.about["kind"] and entry.costs.parameters == other.costs.parameters
    return same and entry.about["from_teacher"] and not other.about["from_teacher"]


def _mean(entry: Entry) -> float:
    return float(row_statistics(entry.row)["fid_train"])


def _fid(entry: Entry) -> str:
    return plus_minus("fid_train")(row_statistics(entry.row))


# -------------------------------------------------------------------------------------------------- files


COLUMNS: dict[str, Cell] = {
    "Method": lambda line: line["method"] + marks(line),
    "Kind": lambda line: KINDS[line["kind"]],
    "Starts from": lambda line: "the teacher" if line["from_teacher"] else "scratch",
    "Budget": lambda line: f"{line['budget']:g}",
    "Parameters": number("parameters"),
    "Networks": number("networks"),
    "Steps": number("steps"),
    "Images (k)": number("images", 1, KILO),
    "Teacher evaluations (k)": number("teacher_evaluations", 0, KILO),
    "FLOP for pairs": operations("pairs_flops"),
    "FLOP of training": operations("training_flops"),
    "FLOP in all": operations("total_flops"),
    "Training time (s)": number("training_seconds", 0),
    "Memory (MB)": number("training_memory", 1, MEGA),
    "Learning rate": lambda line: f"{line['lr']:g}" + (" (edge)" if line["lr_at_the_edge"] else ""),
    "FID (train)": plus_minus("fid_train"),
    "FID (test)": plus_minus("fid_test"),
    "Seeds": number("seeds"),
}
WORDS = ("Method", "Kind", "Starts from")


def write_table(
    entries: Sequence[Entry], reference: str, caption: str, paths: Mapping[str, str | Path]
) -> None:
    """Write the methods of one task: all columns as 'csv', words, pictures and table as 'md' and 'html'.

    The pictures are there: 'png' over budgets, 'samples_png'.
    """
    lines = lines_of(entries)
    table = Table(as_text(pd.DataFrame(lines), COLUMNS), WORDS)
    blocks: list[Block] = [
        *(Paragraph(sentence) for sentence in in_words(entries, reference)),
        Picture(paths["png"], "FID over budgets"),
        table,
        Picture(paths["samples_png"], "Samples on the same noise"),
        Note(with_warnings(caption, lines)),
    ]
    texts = {
        "csv": documents.csv(pd.DataFrame(lines)),
        "md": documents.markdown(blocks),
        "html": documents.html("One-step methods at equal budgets", blocks),
    }
    write_texts(texts, {kind: paths[kind] for kind in texts})


def write_claims(claims: Sequence[Claim], caption: str, paths: Mapping[str, str | Path]) -> None:
    """Write the claims of all tasks as paths['csv'] (the columns of reproduction.csv), 'md' and 'html'."""
    blocks: list[Block] = [claims_table(claims, Kind.ORDERING), Note(caption)]
    texts = {
        "csv": documents.csv(claims_frame(claims)),
        "md": documents.markdown(blocks),
        "html": documents.html("The reference and its rivals", blocks),
    }
    write_texts(texts, paths)


def best_trial(scores: Sequence[str | Path]) -> int:
    """Return the number of the trial with the lowest FID (train), by their score files."""
    fids = [read_scores(path).of(None)["fid_train"] for path in scores]
    return min(range(len(fids)), key=fids.__getitem__)
