"""Rows of the studies that sample GETs in ways of their own."""

from get.experiment.config import Studies
from get.experiment.contents import Content
from get.experiment.experiment import Experiment


def sampled_rows(experiment: Experiment, studies: Studies, study: str) -> list[Content]:
    """Return a row for each GET that a study samples in ways of its own, with all its seeds."""
    return [
        {
            "label": experiment.full_label(student),
            "student": student,
            "scores": [
                f"{experiment.results}/scores/studies/{study}/{student}/seed{seed}.json"
                for seed in experiment.students[student].seeds
            ],
        }
        for student in studies.sampled
    ]
