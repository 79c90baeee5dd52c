"""How the fixed point is solved for in sampling: by the plain iteration or Anderson acceleration."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.paper.cells import Line, number, plus_minus, text
from get.storage.variants import Rule, Variant
from get.studies import SampledStudy
from get.studies.common.comparison import CHANGE, STUDENT, TURNS, Way, compare_to_first, mean, with_change

if TYPE_CHECKING:
    from get.paper.results import Row

SOLVERS = {"plain": "plain", "anderson": "Anderson, ridge 1e-4", "anderson-ridge": "Anderson, ridge 1e-2"}

BESIDE_PLAIN = {  # a line has both ways
    "Solver": text("way"),
    "Evaluations": number("evaluations"),
    "Residual": number("residual", 1),
    "Residual, plain": number("plain_residual", 1),
    "FID (train)": plus_minus("fid_train"),
    "FID (train), plain": plus_minus("plain"),
}


class Solvers(SampledStudy):
    """Compare solvers at equal evaluations; a GET per row. `residual`: that of the last evaluation."""

    title = "Plain iteration or Anderson acceleration"
    caption = (
        "Samples of a trained GET by the plain iteration and by Anderson acceleration (the last five"
        " evaluations combined, the least squares problem with a ridge of 1e-4, or of 1e-2, of the mean"
        " square residual), at equal evaluations of the equilibrium transformer; of each, the evaluation with"
        " the smallest residual is decoded, which is the published rule."
    )
    columns = STUDENT | BESIDE_PLAIN | CHANGE

    def sample(
        self,
        *,
        weights: str | Path,
        samples: int,
        batch: int,
        precision: str,
        seed: int,
        device: str,
        output: str | Path,
        evaluations: Sequence[int],
    ) -> None:
        """Sample a GET by every one of `equilibrium.SOLVERS`, at equal evaluations (numbers of them).

        Of each, the evaluation with the smallest residual is decoded, which is the published rule; the
        variants are 'SOLVER-EVALUATIONS'. The info has `residuals`: by solver, the mean over samples of
        ||f(z_k) - z_k|| for k = 0, 1, ...
        """
        import torch

        from get.data.store import to_bytes
        from get.sampling.files import new_samples
        from get.sampling.one_step import Sampling
        from get.student import equilibrium
        from get.studies.common.samples import open_get, sample_batches

        student, about, labels = open_get(weights, samples, device)
        options = Sampling(batch, max(evaluations), precision=precision)
        names = [str(Variant(solver, count)) for solver in equilibrium.SOLVERS for count in evaluations]
        residuals = {}
        with new_samples(output, names, labels, student.shape) as file:
            for name, solver in equilibrium.SOLVERS.items():
                student.solver = solver
                total = torch.zeros(max(evaluations), dtype=torch.float64)
                for part, drawn in sample_batches(student, labels, seed, options, trajectories=True):
                    # one solve serves all numbers of evaluations
                    for count in evaluations:
                        states = drawn.images[:count], drawn.residuals[:count]
                        chosen = equilibrium.choose(*states, Rule.LOWEST_RESIDUAL)
                        file.variants[str(Variant(name, count))][part] = to_bytes(chosen).numpy()
                    total += drawn.residuals.double().sum(dim=1)
                residuals[name] = (total / samples).tolist()
            file.info.update(about, residuals=residuals)

    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return a line for each GET, number of evaluations (`settings['evaluations']`) and solver."""
        lines: list[Line] = []
        for row in rows:
            for count in settings["evaluations"]:
                plain, *others = compare_to_first(row.label, (_way(row, solver, count) for solver in SOLVERS))
                beside = {"plain": plain["fid_train"], "plain_sd": plain["fid_train_sd"]}
                beside["plain_residual"] = plain["residual"]
                lines += [plain, *(line | beside for line in others)]
        return lines

    def text(self, lines: Sequence[Line]) -> str:
        """Return, for each solver, how often FID is lower or higher, and its residuals."""
        compared = with_change(lines)
        return " ".join(
            _about(way, [line for line in compared if line["way"] == way])
            for way in sorted({line["way"] for line in compared})
        )

    def readable(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Return the lines that compare with the plain iteration: they have both."""
        return with_change(lines)

    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw residuals and FID over evaluations, a curve for each GET and solver."""
        from get.studies.common.plots import plot_beside_fid

        x = ("evaluations", "evaluations of the equilibrium transformer")
        plot_beside_fid(lines, paths, x, ("residual", r"residual $\|f(z) - z\|$"))


def _way(row: "Row", solver: str, count: int) -> Way:
    """Return a solver at a number of evaluations."""
    residual = mean(run.residuals[solver][count - 1] for run in row.runs if isinstance(run.residuals, dict))
    columns = {"evaluations": count, "residual": residual}
    return Way(SOLVERS[solver], row, Variant(solver, count), columns)


def _about(way: str, lines: Sequence[Line]) -> str:
    """Return what the lines of one solver show."""
    turns = [line["turn"] for line in lines]
    counts = ", ".join(f"{turn} in {turns.count(turn)}" for turn in TURNS.values() if turn in turns)
    most = max(line["evaluations"] for line in lines)
    ratios = ", ".join(
        f"{line['residual'] / line['plain_residual']:.2f} ({line['student']})"
        for line in lines
        if line["evaluations"] == most
    )
    return (
        f"{way}: of {len(lines)} comparisons at equal evaluations with the plain iteration, FID is {counts};"
        f" after {most} the residual is that of the plain iteration times {ratios}."
    )


STUDY = Solvers()
