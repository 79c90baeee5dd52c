"""Scores of all milestones of a run: one process, whose start would take longer than each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from get.sampling.students import sample_student
from get.scoring.scores import score_samples
from get.storage.atomic import write_json
from get.storage.places import place
from get.storage.reading import read_json
from get.storage.temporary import temporary_folder


def score_run(
    *,
    milestones: Sequence[str | Path],
    sampling: Mapping[str, Any],
    scoring: Mapping[str, Any],
    output: str | Path,
) -> None:
    """Sample and score checkpoints of a run; write JSON: under `steps`, the score file of each by its step.

    The samples are not kept.

    Args:
        milestones: the checkpoints.
        sampling: keyword arguments of `sample_student`, but `weights` and `output`.
        scoring: keyword arguments of `score_samples`, but `samples` and `output`.
        output: the JSON file.
    """
    steps = {}
    with temporary_folder() as folder:
        samples, scores = folder / "samples.h5", folder / "scores.json"
        for weights in milestones:
            sample_student(weights=weights, **sampling, output=samples)
            score_samples(samples=samples, **scoring, output=scores)
            found = read_json(scores)
            steps[found["step"]] = found
    write_json(output, {"place": place(output), "steps": steps})
