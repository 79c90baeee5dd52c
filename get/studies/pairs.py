"""How many pairs of noise and image a GET learns from."""

from itertools import pairwise

from get.experiment.config import Config
from get.experiment.config.students import Student
from get.experiment.config.studies import Studies
from get.experiment.config.teachers import Pairs
from get.experiment.contents import Content, row
from get.experiment.experiment import Experiment
from get.paper.cells import Line, fixed, number
from get.studies import Lines, Paths, Rows, Settings, Study
from get.studies.common.comparison import FIDS, WAY, Way, compare, fid_changes, with_change
from get.studies.common.plots import plot_beside_fid
from get.studies.common.students import changed


def _student(studies: Studies, count: int) -> str:
    """Return the name of the GET that learns from so many pairs."""
    return f"{studies.trained}-{count}-pairs"


def _set(config: Config, studies: Studies, count: int) -> str:
    """Return the name of pairs of which there are `count`: those of the GET, or those that are added."""
    name = config.students[studies.trained].pairs
    return name if count <= config.pairs[name].count else f"{name}-{studies.pairs[-1]}"


def _students(config: Config, studies: Studies) -> dict[str, Student]:
    return {
        _student(studies, count): changed(config, studies, {"pairs": count}, _set(config, studies, count))
        for count in studies.pairs
    }


def _pairs(config: Config, studies: Studies) -> dict[str, Pairs]:
    """Return a set as large as the largest number, where there are fewer pairs."""
    base, most = config.pairs[config.students[studies.trained].pairs], studies.pairs[-1]
    if most <= base.count:
        return {}
    shards = min(-(-base.shards * most // base.count), -(-most // base.sampler.batch))
    return {_set(config, studies, most): base.model_copy(update={"count": most, "shards": shards})}


def _content(experiment: Experiment, studies: Studies) -> Content:
    rows = [row(experiment, _student(studies, count), label=f"{count:,} pairs") for count in studies.pairs]
    return {"pairs": studies.pairs, "rows": rows}


def _lines(rows: Rows, settings: Settings) -> list[Line]:
    """Compare numbers of pairs, each with the number before; rows: in the order of `settings['pairs']`."""
    counts = zip(rows, settings["pairs"], strict=True)
    ways = [Way(row.label, row, None, {"pairs": count}) for row, count in counts]
    first = compare(settings["student"], ways[0])
    return [first, *(compare(settings["student"], way, before) for before, way in pairwise(ways))]


def _text(lines: Lines) -> str:
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


def _draw(lines: Lines, paths: Paths) -> None:
    one_curve = [{**line, "way": ""} for line in lines]
    x, beside = ("pairs", "pairs to learn from"), ("l1_held_out", "L1 error on held-out pairs")
    plot_beside_fid(one_curve, paths, x, beside)


STUDY = Study(
    title="How many pairs",
    caption="A GET that learns from the first so many of the same pairs, in equally many steps. Each number"
    " is compared with the one before.",
    content=_content,
    columns=WAY | {"L1 error (held out)": number("l1_held_out", 3)} | FIDS,
    lines=_lines,
    text=_text,
    draw=_draw,
    students=_students,
    pairs=_pairs,
)
