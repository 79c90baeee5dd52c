"""The question, and the answer in words, computed from tables and verdicts; and what students cost."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from get.paper import pages
from get.paper.claims import shown
from get.paper.results import Costs
from get.paper.tables import MEGA, fixed, number, plus_minus

QUESTION = (
    "Can one evaluation of a network stand for the many that a diffusion teacher needs, when all it learns"
    " from is the teacher's pairs of noise and image? And does a Generative Equilibrium Transformer (GET),"
    " which applies the same weights again and again, learn it better than a ViT?"
)
PAPER = (
    "The paper: Geng, Pokle, Kolter, One-Step Diffusion Distillation via Deep Equilibrium Models, NeurIPS"
    " 2023, arXiv 2401.08639."
)
JUDGED = ("reproduced", "not reproduced", "undecided")
SINGLE = " (single run)"
MICRO = 1e-6
GIVEN = {True: "With classes given", False: "Without classes"}


def answer(table1: pd.DataFrame, claims: pd.DataFrame) -> list[str]:
    """Return the answer, a sentence or two for each part of the question.

    Args:
        table1: all columns of Table 1; claims: those of the reproduction.
    """
    orderings = claims[claims["kind"] == "ordering"]
    verdicts = {kind: found["verdict"].tolist() for kind, found in claims.groupby("kind")}
    parts = [in_order(verdicts.get("ordering", []))]
    parts += [in_numbers(verdicts["number"])] if "number" in verdicts else []
    return [*quality(table1), *get_and_vit(orderings), *parts]


def quality(table1: pd.DataFrame) -> Iterable[str]:
    """Yield how near the best student comes to its teacher, with classes and without."""
    rows = table1[table1["source"] == "measured"]
    for given, words in GIVEN.items():
        kind = rows[rows["conditional"] == given]
        students, teachers = kind[kind["student"].notna()], kind[kind["student"].isna()]
        if students.empty or students["fid_train"].isna().all():
            continue
        best = students.iloc[int(students["fid_train"].fillna(math.inf).argmin())]
        of = f"the best of {len(students)} students by FID" if len(students) > 1 else "the student"
        text = f"{words}, {of}, {best['method']}, has {_fid(best)} with one evaluation of "
        text += f"{number('parameters')(best)} parameters"
        whose = "its teacher" if len(teachers) == 1 else "a teacher of this kind"
        for _, teacher in teachers.iterrows():
            text += f"; {whose} has {_fid(teacher)} with {teacher['nfe']:.0f} evaluations"
        yield text + "."


def _fid(row: pd.Series) -> str:
    return f"a FID of {plus_minus('fid_train')(row)} against the train split"


def get_and_vit(orderings: pd.DataFrame) -> Iterable[str]:
    """Yield the verdicts on the claims that set a GET against a larger ViT."""
    for _, line in orderings.iterrows():
        if re.search(" in every column$| matches ", line["claim"]):
            yield f"{line['claim']}: {line['verdict']}{_measured(line)}."


def _measured(line: pd.Series) -> str:
    if pd.isna(line["measured"]):
        return ""
    low, value, high = (fixed(line[name], 2) for name in ("low", "measured", "high"))
    return f" (advantage {value}, 95% interval {low} to {high})"


def in_order(verdicts: Sequence[str]) -> str:
    """Return how many of the claims of order are reproduced, of those that could be judged."""
    counts = {kind: [text for text in verdicts if text.removesuffix(SINGLE) == kind] for kind in JUDGED}
    judged, yes = sum(map(len, counts.values())), len(counts["reproduced"])
    if not judged:
        return "Whether the order of things is the paper's could not be judged: there are no results."
    parts = []
    for kind, found in counts.items():
        single = sum(text.endswith(SINGLE) for text in found)
        parts.append(f"{len(found)} {kind}" + (f" ({single} of them by a single run)" if single else ""))
    word = "Yes" if yes == judged else "In part" if yes else "Nothing of it is shown"
    rest = f"; {len(verdicts) - judged} had no results" if judged < len(verdicts) else ""
    told, claims = ", ".join(parts), "claim" if judged == 1 else "claims"
    order = f"of {judged} {claims} that could be judged, {told}{rest}"
    return f"Is the order of things the paper's? {word}: {order}."


def in_numbers(verdicts: Sequence[str]) -> str:
    """Return what became of the numbers that the paper prints."""
    told = ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())
    return f"Of the {len(verdicts)} numbers that the paper prints of GET and ViT: {told}."


def markdown(answers: Sequence[str], scope: str) -> str:
    """Return question, answer and scope as text that is both Markdown and reStructuredText."""
    parts = [
        f"**The question.** {escaped(QUESTION)}",
        "**The answer of this experiment**",
        "\n".join(f"- {escaped(text)}" for text in answers),
    ]
    return "\n\n".join([*parts, f"**What it is.** {escaped(scope)}"]) + "\n"


def escaped(text: str) -> str:
    """Return text without the marks of Markdown and reStructuredText."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


def overview(answers: Sequence[str], scope: str, claims: pd.DataFrame) -> str:
    """Return the page that states question and answer, with every verdict."""
    found, left = shown(claims, "ordering")
    return pages.page(
        "One-step diffusion distillation via deep equilibrium models: question and answer",
        pages.heading("The question"),
        pages.paragraph(QUESTION),
        pages.paragraph(PAPER, "note"),
        pages.heading("The answer of this experiment"),
        pages.bullets(answers),
        pages.heading("What it is"),
        pages.paragraph(scope),
        pages.heading("The claims of order, one by one"),
        pages.table(found, left),
        pages.paragraph(
            "A positive difference is as claimed; low and high bound its 95% interval; the last column says"
            " what the test split would. How claims are judged is told on the page of all claims.",
            "note",
        ),
    )


def costs_page(costs: Mapping[str, Costs], labels: Mapping[str, str], caption: str) -> str:
    """Return the page of what students cost: to train, a row per mode, and to sample, a row per student.

    Args:
        costs: by student; labels: what each student is called.
    """
    training, sampling = [], []
    counts = sorted({count for entry in costs.values() for count in entry["sampling"]}, key=int)
    for name, entry in costs.items():
        times = {_iterations(count): _time(entry["sampling"].get(count)) for count in counts}
        sampling.append({"Student": labels[name]} | times)
        for mode, spent in entry["training"].items():
            training.append(_training(labels[name], mode, entry, spent))
    parts = {
        "Training": pd.DataFrame(training),
        "Sampling: microseconds for each image (medians)": pd.DataFrame(sampling),
    }
    device = next(iter(costs.values()))["device"]
    html = [part for title, found in parts.items() for part in (pages.heading(title), _numbers(found))]
    return pages.page(
        "What the students cost",
        pages.paragraph(f"Measured on: {device}."),
        *html,
        pages.paragraph(caption, "note"),
    )


def _numbers(found: pd.DataFrame) -> str:
    return pages.table(found, [True] + [False] * (found.shape[1] - 1))


def _training(label: str, mode: str, entry: Costs, spent: Mapping[str, Any]) -> dict[str, str]:
    low, speed, high = (fixed(spent["iterations_per_second"][name], 2) for name in ("low", "median", "high"))
    return {
        "Student": label + (", O(1) memory" if mode == "checkpointed" else ""),
        "Parameters": fixed(entry["parameters"], 0),
        "MACs for one image (M)": fixed(entry["macs"] / MEGA, 2),
        "Training FLOP for one image (M)": fixed(entry["training_flops"] / MEGA, 2),
        "Steps per second (quartiles)": f"{speed} ({low} to {high})",
        "Peak memory of a step (MB)": fixed(spent["peak_memory_bytes"] / MEGA, 1),
    }


def _iterations(count: str) -> str:
    return "1 iteration (ViT: all)" if count == "1" else f"{count} iterations"


def _time(times: Mapping[str, float] | None) -> str:
    if times is None:
        return "-"
    return fixed(times["median"] / MICRO, 1)
