"""How the fixed point is solved for in sampling: by the plain iteration or Anderson acceleration."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from get.experiment.config.studies import Studies
from get.experiment.contents import Content
from get.experiment.experiment import Experiment
from get.paper.cells import Line, number, plus_minus, text
from get.paper.results import Row
from get.storage.variants import Rule, Variant
from get.studies import Lines, Paths, Rows, Settings, Study
from get.studies.common.comparison import CHANGE, STUDENT, TURNS, Way, compare_to_first, with_change
from get.studies.common.plots import plot_beside_fid
from get.studies.common.students import sampled_rows

SOLVERS = {"plain": "plain", "anderson": "Anderson, ridge 1e-4", "anderson-ridge": "Anderson, ridge 1e-2"}


def _content(experiment: Experiment, studies: Studies) -> Content:
    return {"rows": sampled_rows(experiment, studies, "solvers"), **_sampling(studies)}


def _sampling(studies: Studies) -> Settings:
    return {"evaluations": sorted(studies.evaluations)}


def _sample(
    *,
    weights: str | Path,
    samples: int,
    batch: int,
    precision: str,
    evaluations: Sequence[int],
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a GET by every one of `equilibrium.SOLVERS`, at equal evaluations (numbers of them).

    Of each, the evaluation with the smallest residual is decoded, which is the published rule; the variants
    are 'SOLVER-EVALUATIONS'. The info has `residuals`: by solver, the mean over samples of ||f(z_k) - z_k||
    for k = 0, 1, ...
    """
    import torch

    from get.data.store import to_bytes
    from get.sampling.files import new_samples
    from get.sampling.one_step import Sampling
    from get.student import equilibrium
    from get.studies.common.samples import open_get, sample_batches

    student, about, labels = open_get(weights, samples, device)
    options = Sampling(batch, max(evaluations), precision=precision)
    variants = [Variant(solver, count) for solver in equilibrium.SOLVERS for count in evaluations]
    with new_samples(output, list(map(str, variants)), labels, student.shape) as file:
        residuals = {}
        for name, solver in equilibrium.SOLVERS.items():
            student.solver = solver
            total = torch.zeros(max(evaluations), dtype=torch.float64)
            for drawn in sample_batches(student, labels, seed, options, trajectories=True):
                # one solve serves all numbers of evaluations
                for count in evaluations:
                    images, steps = drawn.images[:count], drawn.residuals[:count]
                    chosen = equilibrium.choose(images, steps, Rule.LOWEST_RESIDUAL)
                    file.variants[str(Variant(name, count))][drawn.rows] = to_bytes(chosen).numpy()
                total += drawn.residuals.double().sum(dim=1)
            residuals[name] = (total / samples).tolist()
        file.info.update(about, residuals=residuals)


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare solvers at equal `evaluations`; a GET per row. `residual`: that of the last evaluation."""
    lines: list[Line] = []
    for row in rows:
        for count in settings["evaluations"]:
            plain, *others = compare_to_first(row.label, (_way(row, solver, count) for solver in SOLVERS))
            beside = {"plain": plain["fid_train"], "plain_sd": plain["fid_train_sd"]}
            beside["plain_residual"] = plain["residual"]
            lines += [plain, *({**line, **beside} for line in others)]
    return lines


def _way(row: Row, solver: str, count: int) -> Way:
    residual = fmean(run.residuals[solver][count - 1] for run in row.runs if isinstance(run.residuals, dict))
    columns = {"evaluations": count, "residual": residual}
    return Way(SOLVERS[solver], row, Variant(solver, count), columns)


def _text(lines: Lines) -> str:
    ways = sorted({line["way"] for line in with_change(lines)})
    return " ".join(_sentence(way, [line for line in lines if line["way"] == way]) for way in ways)


def _sentence(way: str, lines: Lines) -> str:
    """Return how often the FID of one solver is lower or higher, and how its residuals compare."""
    turns, most = [line["turn"] for line in lines], max(line["evaluations"] for line in lines)
    counts = ", ".join(f"{turn} in {turns.count(turn)}" for turn in TURNS.values() if turn in turns)
    ratios = ", ".join(
        f"{line['residual'] / line['plain_residual']:.2f} ({line['student']})"
        for line in lines
        if line["evaluations"] == most
    )
    return (
        f"{way}: of {len(lines)} comparisons at equal evaluations with the plain iteration, FID is {counts};"
        f" after {most} the residual is that of the plain iteration times {ratios}."
    )


def _draw(lines: Lines, paths: Paths) -> None:
    x = ("evaluations", "evaluations of the equilibrium transformer")
    plot_beside_fid(lines, paths, x, ("residual", r"residual $\|f(z) - z\|$"))


STUDY = Study(
    title="Plain iteration or Anderson acceleration",
    caption="Samples of a trained GET by the plain iteration and by Anderson acceleration (the last five"
    " evaluations combined, the least squares problem with a ridge of 1e-4, or of 1e-2, of the mean"
    " square residual), at equal evaluations of the equilibrium transformer; of each, the evaluation"
    " with the smallest residual is decoded, which is the published rule.",
    content=_content,
    columns={
        **STUDENT,
        "Solver": text("way"),
        "Evaluations": number("evaluations"),
        "Residual": number("residual", 1),
        "Residual, plain": number("plain_residual", 1),
        "FID (train)": plus_minus("fid_train"),
        "FID (train), plain": plus_minus("plain"),
        **CHANGE,
    },
    lines=_lines,
    text=_text,
    draw=_draw,
    changes_only=True,
    sample=_sample,
    sampling=_sampling,
)
