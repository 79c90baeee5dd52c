"""Key `evaluation`: how models are sampled and scored."""

from typing import Annotated

from pydantic import Field

from get.experiment.config.keys import DISTINCT, Count, Keys, Precision


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
    scoring: Scoring = Scoring()
    """Settings of the scores."""
