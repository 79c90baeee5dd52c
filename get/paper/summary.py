"""The overview: the question, and the findings in words, computed from results; and what students cost."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from get.paper import documents
from get.paper.cells import MEGA, Line, amount, fixed, marks, number, plus_minus
from get.paper.claims import Claim, Kind, Topic, Verdict, claims_table
from get.paper.documents import Block, Bullets, Heading, Note, Paragraph, Table, records
from get.paper.results import Costs, CostsFile, Mode

QUESTION = (
    "Can one evaluation of a network stand for the many that a diffusion teacher needs, when all it learns"
    " from is the teacher's pairs of noise and image? And does a Generative Equilibrium Transformer (GET),"
    " which applies the same weights again and again, learn it better than a ViT?"
)
PAPER = (
    "The paper: Geng, Pokle, Kolter, One-Step Diffusion Distillation via Deep Equilibrium Models, NeurIPS"
    " 2023, arXiv 2401.08639."
)
TURNS = {
    Verdict.REPRODUCED: "lower",
    Verdict.NOT_REPRODUCED: "higher",
    Verdict.NOT_RUN: "not compared",
}
JUDGED = (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.UNDECIDED)
MICRO = 1e-6
TEACHER = "EDM teacher"  # with all evaluations; other rows of it name a sampler
CLASSES = {True: "With classes given", False: "Without classes"}


def findings(table1: pd.DataFrame, claims: Sequence[Claim]) -> list[str]:
    """Return the answer, a sentence or two for each part of the question.

    Args:
        table1: all columns of Table 1; claims: those of the reproduction.
    """
    orderings = [claim for claim in claims if claim.kind is Kind.ORDERING]
    numbers = [claim.judgement.verdict for claim in claims if claim.kind is Kind.NUMBER]
    return [
        *quality(table1),
        *get_and_vit(claims),
        count_orderings(orderings),
        *([count_numbers(numbers)] if numbers else []),
    ]


def quality(table1: pd.DataFrame) -> Iterator[str]:
    """Yield how near the best student comes to its teacher, with classes and without."""
    measured = table1[table1["source"] == "measured"]
    for conditional, given in CLASSES.items():
        rows = measured[measured["conditional"] == conditional]
        students, teachers = rows[rows["student"].notna()], rows[rows["student"].isna()]
        if students.empty or students["fid_train"].isna().all():
            continue
        best = records(students)[int(students["fid_train"].fillna(math.inf).argmin())]
        of = f"the best of {len(students)} students by FID" if len(students) > 1 else "the student"
        sentence = f"{given}, {of}, {best['method']}, has {_fid(best)} with one evaluation of "
        sentence += f"{number('parameters')(best)} parameters"
        whole = teachers["method"] == TEACHER
        whose = "its teacher" if whole.sum() == 1 else "a teacher of this kind"
        for teacher in records(teachers[whole]):
            sentence += f"; {whose} has {_fid(teacher)} with {teacher['nfe']:.0f} evaluations"
        yield sentence + "." + _instead(records(teachers[~whole]), best)


def _instead(few: Sequence[Line], student: Line) -> str:
    """Return with how few evaluations a teacher is better than a student; '' where that was not tried."""
    if not few:
        return ""
    better = [line for line in few if line["fid_train"] < student["fid_train"]]
    if not better:
        return " With the few evaluations that were tried, no sampler of a teacher has a lower FID."
    least = min(better, key=lambda line: line["nfe"])
    evaluations = f"{least['nfe']:.0f} evaluation" + "s" * (least["nfe"] > 1)
    return f" With {evaluations} already a teacher has a lower FID ({least['method']}): {_fid(least)}."


def _fid(line: Line) -> str:
    return f"an FID of {plus_minus('fid_train')(line)} against the train split{marks(line)}"


def get_and_vit(claims: Sequence[Claim]) -> Iterator[str]:
    """Yield how GETs do beside ViTs of their size, by what is equal, and beside a much larger one."""
    pairs = [claim for claim in claims if claim.topic is Topic.VERSUS]
    for at in dict.fromkeys(claim.at for claim in pairs):
        verdicts = Counter(claim.judgement for claim in pairs if claim.at == at)
        parts = [
            TURNS.get(judged.verdict, judged.verdict) + " (single run)" * judged.single_run + f" in {count}"
            for judged, count in verdicts.items()
        ]
        yield (
            f"A GET beside the ViT of its size, at {at}: its FID is {', '.join(parts)} of"
            f" {verdicts.total()} {'pair' if verdicts.total() == 1 else 'pairs'}."
        )
    for claim in claims:
        if claim.topic is Topic.LARGER_VIT:
            yield f"{claim.claim}: {claim.judgement}{_advantage(claim)}."


def _advantage(claim: Claim) -> str:
    if math.isnan(claim.measured):
        return ""
    low, value, high = (amount(value) for value in (claim.low, claim.measured, claim.high))
    return f" (advantage {value}, 95% interval {low} to {high})"


def count_orderings(claims: Sequence[Claim]) -> str:
    """Return how many of the measured orderings are reproduced, of those that could be judged."""
    counts = {verdict: [each for each in claims if each.judgement.verdict is verdict] for verdict in JUDGED}
    judged, reproduced = sum(map(len, counts.values())), len(counts[Verdict.REPRODUCED])
    if not judged:
        return "Whether the order of things is the paper's could not be judged: there are no results."
    parts = []
    for verdict, found in counts.items():
        single = sum(claim.judgement.single_run for claim in found)
        parts.append(f"{len(found)} {verdict}" + (f" ({single} of them by a single run)" if single else ""))
    word = "Yes" if reproduced == judged else "In part" if reproduced else "Nothing of it is shown"
    rest = f"; {len(claims) - judged} could not be compared" if judged < len(claims) else ""
    of = f"of {judged} measured {_orderings(judged)}, {', '.join(parts)}{rest}"
    return f"Is the order of things the paper's? {word}: {of}.{_together(claims)}"


def _together(claims: Sequence[Claim]) -> str:
    """Return how many verdicts are left when they are corrected for their number."""
    tested = [claim for claim in claims if math.isfinite(claim.p)]
    if len(tested) < 2:
        return ""
    left = Counter(claim.judgement_holm.verdict for claim in tested)
    parts = ", ".join(f"{left[verdict]} {verdict}" for verdict in JUDGED)
    return (
        f" With at most a 5% chance of any false decision among the {len(tested)} over seeds (Holm): {parts}."
    )


def _orderings(count: int) -> str:
    return "ordering" if count == 1 else "orderings"


def count_numbers(verdicts: Sequence[Verdict]) -> str:
    """Return what became of the numbers that the paper prints."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())
    return f"Of the {len(verdicts)} numbers that the paper prints of GET and ViT: {counts}."


# ---------- as documents


def overview_text(found: Sequence[str], scope: str) -> str:
    """Return question, findings and scope as text that is both Markdown and reStructuredText."""
    answer = Paragraph("", lead="The answer of this experiment")
    return documents.markdown(
        [Paragraph(QUESTION, "The question."), answer, Bullets(found), Paragraph(scope, "What it is.")]
    )


def overview_page(found: Sequence[str], scope: str, claims: Sequence[Claim]) -> str:
    """Return the page that states question and findings, with every verdict."""
    blocks: list[Block] = [
        Heading("The question"),
        Paragraph(QUESTION),
        Note(PAPER),
        Heading("The answer of this experiment"),
        Bullets(found),
        Heading("What it is"),
        Paragraph(scope),
        Heading("The measured orderings, one by one"),
        claims_table(claims, Kind.ORDERING),
        Note(
            "A positive difference is as claimed; low and high bound its 95% interval; then what is left of"
            " the verdict with at most a 5% chance of any false one among all (Holm), and what the test split"
            " would say. The page of all claims says how they are judged, and has those of the design."
        ),
    ]
    title = "One-step diffusion distillation via deep equilibrium models: question and answer"
    return documents.html(title, blocks)


def costs_page(costs: CostsFile, labels: Mapping[str, str], caption: str) -> str:
    """Return the page of what students cost: to train, a row per mode, and to sample, a row per student.

    Args:
        costs: of all students; labels: what each student is called.
        caption: of the page.
    """
    students = {labels[name]: entry for name, entry in costs.students.items()}
    counts = sorted({count for entry in students.values() for count in entry.sampling})
    training = [
        _training_line(label, entry, mode) for label, entry in students.items() for mode in entry.training
    ]
    sampling = [_sampling_line(label, entry, counts) for label, entry in students.items()]
    blocks: list[Block] = [
        Paragraph(f"Measured on: {costs.device}."),
        Heading("Training"),
        Table(pd.DataFrame(training), ["Student"]),
        Heading("Sampling: microseconds for each image (medians)"),
        Table(pd.DataFrame(sampling), ["Student"]),
        Note(caption),
    ]
    return documents.html("What the students cost", blocks)


def _training_line(label: str, costs: Costs, mode: Mode) -> dict[str, str]:
    training = costs.training[mode]
    speed = training.iterations_per_second
    low, median, high = (fixed(value, 2) for value in (speed.low, speed.median, speed.high))
    return {
        "Student": label + (", O(1) memory" if mode is Mode.CHECKPOINTED else ""),
        "Parameters": fixed(costs.parameters, 0),
        "MACs for one image (M)": fixed(costs.macs / MEGA, 2),
        "Training FLOP for one image (M)": fixed(costs.training_flops / MEGA, 2),
        "Steps per second (quartiles)": f"{median} ({low} to {high})",
        "Peak memory of a step (MB)": fixed(training.peak_memory_bytes / MEGA, 1),
    }


def _sampling_line(label: str, costs: Costs, counts: Sequence[int]) -> dict[str, str]:
    line = {"Student": label}
    for count in counts:
        title = "1 iteration (ViT: all)" if count == 1 else f"{count} iterations"
        times = costs.sampling.get(count)
        line[title] = fixed(times.median / MICRO, 1) if times else "-"
    return line
