"""The initial state from which a trained GET is sampled."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.paper.cells import Line, number
from get.storage.variants import Variant
from get.studies import SampledStudy
from get.studies.common.comparison import (
    CHANGE,
    FIDS,
    WAY,
    Way,
    compare_to_first,
    fid_changes,
    mean,
    with_change,
)

if TYPE_CHECKING:
    from get.paper.results import Row

KINDS = {"independent": "one for each sample", "shared": "one for all samples", "zeros": "zero"}


class Initial(SampledStudy):
    """Compare initial states z_0; a GET per row. `apart`: how far images are from those of the first way."""

    title = "The initial state in sampling"
    caption = (
        "The initial state from which a trained GET is sampled: one draw for each sample, as in training, one"
        " draw for all, or zero. The last columns compare with one for each sample; images differ by a root"
        " mean square over pixels."
    )
    columns = WAY | {"Images differ by (of 255)": number("apart", 2)} | FIDS | CHANGE

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
        first, apart = next(iter(KINDS)), {}
        with new_samples(output, list(KINDS), labels, student.shape) as file:
            for kind in KINDS:
                options = Sampling(batch, initial=kind, precision=precision)
                for part, drawn in sample_batches(student, labels, seed, options, trajectories=False):
                    file.variants[kind][part] = to_bytes(drawn.images).numpy()
                apart[kind] = difference(file.variants[kind], file.variants[first])
            file.info.update(about, apart=apart)

    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return a line for each GET and kind of initial state."""
        lines: list[Line] = []
        for row in rows:
            apart = {kind: mean(run.apart[kind] for run in row.runs) for kind in KINDS}
            ways = [Way(name, row, Variant(kind), {"apart": apart[kind]}) for kind, name in KINDS.items()]
            lines += compare_to_first(row.label, ways)
        return lines

    def text(self, lines: Sequence[Line]) -> str:
        """Return what one state for all, and zero, change."""
        shared, zeros = (
            [line for line in with_change(lines) if line["way"] == KINDS[kind]]
            for kind in ("shared", "zeros")
        )
        apart = ", ".join(f"{line['apart']:.2g} ({line['student']})" for line in shared)
        return (
            f"With one initial state for all samples in place of one each, {fid_changes(shared)}."
            f" With zero, {fid_changes(zeros)}. For the same noise, another initial state moves an image by"
            f" {apart} grey levels of 255 (root mean square)."
        )

    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw the changes of FID."""
        from get.studies.common.plots import plot_changes

        plot_changes(lines, paths)


STUDY = Initial()
