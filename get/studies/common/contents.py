"""What several studies show of an experiment: their rows, for the settings file of each."""

from collections.abc import Mapping

from get.experiment.config import Studies
from get.experiment.contents import Content, row
from get.experiment.derived import trained_in
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


def trained_rows(experiment: Experiment, studies: Studies, ways: Mapping[str, str]) -> Content:
    """Return `rates`, the learning rates, and for each a row for each of the `ways` to train the GET.

    Args:
        experiment: with its studies.
        studies: of its config.
        ways: of `experiment.derived.WAYS`, and what each is called.
    """
    rows = [
        row(experiment, trained_in(experiment.config, way, lower), label=label)
        for lower in (True, False)
        for way, label in ways.items()
    ]
    return {"rates": [studies.lower_lr, experiment.students[studies.trained].training.lr], "rows": rows}
