"""The initial state z_0 from which a trained GET is sampled."""

from pathlib import Path
from statistics import fmean

from get.experiment.config.studies import Studies
from get.experiment.contents import Content
from get.experiment.experiment import Experiment
from get.paper.cells import Line, number
from get.storage.variants import Variant
from get.studies import Lines, Rows, Settings, Study
from get.studies.common.comparison import FIDS, WAY, Way, compare_to_first, fid_changes, with_change
from get.studies.common.plots import plot_changes
from get.studies.common.students import sampled_rows

KINDS = {"independent": "one for each sample", "shared": "one for all samples", "zeros": "zero"}


def _content(experiment: Experiment, studies: Studies) -> Content:
    return {"rows": sampled_rows(experiment, studies, "initial"), "evaluations": []}


def _sample(
    *,
    weights: str | Path,
    samples: int,
    batch: int,
    precision: str,
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Sample a GET from each kind of initial state, with the same noise.

    The info has `apart`: by kind, the root mean square of the difference to the images from independent
    states, over pixels in grey levels (0 to 255).
    """
    from get.data.store import to_bytes
    from get.sampling.files import new_samples
    from get.sampling.one_step import Sampling
    from get.studies.common.samples import difference, open_get, sample_batches

    student, about, labels = open_get(weights, samples, device)
    with new_samples(output, list(KINDS), labels, student.shape) as file:
        apart = {}
        for kind in KINDS:
            options = Sampling(batch, initial=kind, precision=precision)
            for drawn in sample_batches(student, labels, seed, options, trajectories=False):
                file.variants[kind][drawn.rows] = to_bytes(drawn.images).numpy()
            apart[kind] = difference(file.variants[kind], file.variants["independent"])
        file.info.update(about, apart=apart)


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare initial states; a GET per row. `apart`: how far images are from those of independent states."""
    lines = []
    for row in rows:
        apart = {kind: fmean(run.apart[kind] for run in row.runs) for kind in KINDS}
        ways = (Way(name, row, Variant(kind), {"apart": apart[kind]}) for kind, name in KINDS.items())
        lines += compare_to_first(row.label, ways)
    return lines


def _text(lines: Lines) -> str:
    by_way = {
        kind: [line for line in with_change(lines) if line["way"] == name] for kind, name in KINDS.items()
    }
    apart = ", ".join(f"{line['apart']:.2g} ({line['student']})" for line in by_way["shared"])
    return (
        f"With one initial state for all samples in place of one each, {fid_changes(by_way['shared'])}."
        f" With zero, {fid_changes(by_way['zeros'])}. For the same noise, another initial state moves an"
        f" image by {apart} grey levels of 255 (root mean square)."
    )


STUDY = Study(
    title="The initial state in sampling",
    caption="The initial state from which a trained GET is sampled: one draw for each sample, as in training,"
    " one draw for all, or zero. The last columns compare with one for each sample; images differ by a"
    " root mean square over pixels.",
    content=_content,
    columns=WAY | {"Images differ by (of 255)": number("apart", 2)} | FIDS,
    lines=_lines,
    text=_text,
    draw=plot_changes,
    sample=_sample,
)
