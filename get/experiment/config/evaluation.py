"""Key `evaluation`: how models are sampled and scored."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from get.experiment.config.errors import check
from get.experiment.config.keys import DISTINCT, Count, Keys, OpenKeys, Precision, optional
from get.experiment.config.teachers import check_sampler
from get.teacher import samplers

if TYPE_CHECKING:
    from get.experiment.config import Config


class Scoring(Keys):
    """Settings of the scores."""

    splits: Count = 10
    """Parts of the Inception Score."""
    bootstrap: Annotated[int, Field(ge=2)] = 100
    """Resamples for the interval of FID."""
    kid_subsets: Count = 100
    """Subsets of KID."""
    kid_subset_size: Annotated[int, Field(ge=2)] = 1000
    """Images per subset of KID, at most the images there are."""
    nearest: Count = 1000
    """Samples whose nearest training image is looked for."""


class FewEvaluations(OpenKeys):
    """A sampler of teachers; the other keys are its arguments, left out they have its defaults."""

    name: str = samplers.DEFAULT
    """A module of get/teacher/samplers: heun, euler, dpm."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the sampler."""
        if not isinstance(given, dict):
            return given
        return samplers.defaults(given.get("name", samplers.DEFAULT)) | given


class Evaluation(Keys):
    """How models are sampled and scored."""

    samples: Annotated[int, Field(ge=2)]
    """Samples per model; FID falls with the number, so compare only equal ones."""
    batch: Count
    """Samples per call."""
    iterations: Annotated[list[Count], DISTINCT] = []
    """Numbers of fixed-point iterations to sample a GET with, besides those trained with."""
    precision: Precision = "float32"
    """Of the networks: float32, tf32 (on CUDA) or bfloat16."""
    teachers: list[FewEvaluations] | None = optional()
    """Samplers by which teachers are sampled and scored too, as rows of Table 1: what one would have with few
    evaluations and without a student."""
    scoring: Scoring = Scoring()
    """Settings of the scores."""


def check_evaluation(config: "Config") -> None:
    """Check that there are samples for all parts, and the samplers of teachers."""
    evaluation = config.evaluation
    check(
        evaluation.scoring.splits <= evaluation.samples,
        "evaluation.scoring.splits is larger than evaluation.samples",
    )
    known: list[tuple[str, int]] = []
    for position, sampler in enumerate(evaluation.teachers or []):
        key = f"evaluation.teachers[{position}]"
        settings = sampler.settings()
        check_sampler({**settings, "precision": evaluation.precision, "batch": evaluation.batch}, key)
        known.append((sampler.name, samplers.evaluations(settings)))
        check(
            known.count(known[-1]) == 1,
            f"{key}: {sampler.name} with {known[-1][1]} evaluations comes twice; leave one out",
        )
