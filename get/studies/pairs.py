"""How many pairs of noise and image a GET learns from."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.paper.cells import Line, fixed, number
from get.studies import Study
from get.studies.common.comparison import CHANGE, FIDS, WAY, Way, compare, fid_changes, with_change

if TYPE_CHECKING:
    from get.paper.results import Row


class Pairs(Study):
    """Compare numbers of pairs, each with the number before; rows: in the order of `settings['pairs']`."""

    title = "How many pairs"
    caption = (
        "A GET that learns from the first so many of the same pairs, in equally many steps. Each number is"
        " compared with the one before."
    )
    columns = WAY | {"L1 error (held out)": number("l1_held_out", 3)} | FIDS | CHANGE

    def lines(self, rows: "Sequence[Row]", settings: Mapping[str, Any]) -> list[Line]:
        """Return a line for each number of pairs."""
        ways = [
            Way(row.label, row, None, {"pairs": count})
            for row, count in zip(rows, settings["pairs"], strict=True)
        ]
        steps = pairwise([None, *ways])
        return [compare(settings["student"], way, before) for before, way in steps if way]

    def text(self, lines: Sequence[Line]) -> str:
        """Return FID and error at both ends, and the change from one number to the next."""
        first, last = lines[0], lines[-1]
        ends = (f"{fixed(line['fid_train'], 1)} with {line['way']}" for line in (first, last))
        errors = (f"{line['l1_held_out']:.3f}" for line in (first, last))
        steps = [
            {**line, "step": f"{line['to'].removesuffix(' pairs')} to {line['way']}"}
            for line in with_change(lines)
        ]
        return (
            f"At equal training, FID is {' and '.join(ends)}; the L1 error on noise kept from training is"
            f" {' and '.join(errors)}. From one number to the next, {fid_changes(steps, 'step')}."
        )

    def draw(self, lines: Sequence[Line], paths: Iterable[str | Path]) -> None:
        """Draw the error on held-out pairs and FID over the number of pairs."""
        from get.studies.common.plots import plot_beside_fid

        one_curve = [{**line, "way": ""} for line in lines]
        x, beside = ("pairs", "pairs to learn from"), ("l1_held_out", "L1 error on held-out pairs")
        plot_beside_fid(one_curve, paths, x, beside)


STUDY = Pairs()
