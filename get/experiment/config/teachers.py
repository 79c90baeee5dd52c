"""Keys `teachers` and `pairs`: diffusion teachers, and what is sampled from them."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from get.experiment.config.errors import check, config_errors
from get.experiment.config.files import Source
from get.experiment.config.keys import (
    UNROUNDED,
    Count,
    Keys,
    Natural,
    OpenKeys,
    Positive,
    Precision,
    optional,
)
from get.experiment.config.training import Optimisation
from get.teacher import samplers

if TYPE_CHECKING:
    from get.experiment.config import Config


class Network(Keys):
    """DDPM++ U-Net under EDM preconditioning (Karras et al. 2022)."""

    sigma_data: Positive
    """Standard deviation of the data."""
    model_channels: Annotated[int, Field(ge=4, multiple_of=4)]
    """Channels at the highest resolution."""
    channel_mult: Annotated[list[Count], Field(min_length=1)]
    """Factor of the channels at each resolution; each halves the one before."""
    blocks: Count
    """Residual blocks per resolution."""
    attention_resolutions: list[Count]
    """Resolutions with self-attention."""
    dropout: Annotated[float, Field(ge=0, lt=1), UNROUNDED]
    """Dropout rate in training."""
    augment_dim: Natural = 0
    """Inputs of the augmentation embedding of published teachers; 0 for none."""


class NoiseLevels(Keys):
    """Training noise: ln sigma ~ N(mean, std^2)."""

    mean: Annotated[float, UNROUNDED] = -1.2
    """Mean of ln sigma."""
    std: Positive = 1.2
    """Standard deviation of ln sigma."""


class Teacher(Keys):
    """A diffusion teacher: trained here, or imported from EDM's file."""

    conditional: bool
    """Whether the teacher sees the class."""
    source: Source | None = optional()
    """A published teacher of EDM (.pkl), imported instead of trained."""
    network: Network | None = optional()
    """The network of a teacher that is trained here."""
    noise_levels: NoiseLevels = NoiseLevels()
    """Training noise: ln sigma ~ N(mean, std^2)."""
    steps: Count | None = optional()
    """Optimisation steps."""
    training: Optimisation | None = optional()
    """How it is trained."""


class Sampler(OpenKeys):
    """How a teacher is sampled. Other keys are arguments of the sampler; left out, they have its defaults."""

    name: str | None = optional()
    """A module of get/teacher/samplers; left out, heun: EDM's deterministic sampler, with num_steps (18),
    sigma_min, sigma_max and rho (EDM's noise levels) and 2 * num_steps - 1 evaluations of the teacher."""
    precision: Precision = "float32"
    """Of the network: float32, tf32 (on CUDA) or bfloat16; the state is kept in float64."""
    batch: Count
    """Pairs per call of the teacher; part of what a pair is, down to the last bits."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the sampler; the default sampler need not be named."""
        if not isinstance(given, dict):
            return given
        name = given.get("name") or samplers.DEFAULT
        settings = {key: value for key, value in given.items() if key != "name" or name != samplers.DEFAULT}
        return samplers.defaults(name) | settings


class Pairs(Keys):
    """A set of pairs (noise, class, the teacher's image)."""

    teacher: str
    """Name of the teacher."""
    count: Count
    """Pairs to train on."""
    held_out: Count
    """Pairs kept from training, to measure the students' error on."""
    shards: Annotated[int, Field(ge=1, le=99999)] = 1
    """Files (and jobs) that the training pairs are divided into; changes no pair."""
    sampler: Sampler
    """How the teacher is sampled."""


def check_teacher(teacher: Teacher, key: str, size: int) -> None:
    """Check that a teacher is either imported or trained, and that its network fits the images."""
    own = ("network", "steps", "training")
    for name in own:
        given = getattr(teacher, name) is not None
        if teacher.source:
            check(not given, f"{key}.{name}: a teacher with a source is imported, not trained; leave one out")
        else:
            check(given, f"{key}.{name} is missing: a teacher needs {', '.join(own)}, or a source")
    if teacher.network:
        check_network(teacher.network, f"{key}.network", size)


def check_network(network: Network, key: str, size: int) -> None:
    """Check the resolutions of a U-Net."""
    levels = len(network.channel_mult)
    check(
        size % 2 ** (levels - 1) == 0,
        f"{key}.channel_mult: an image of size {size} cannot be halved {levels - 1} times",
    )
    resolutions = [size >> level for level in range(levels)]
    for resolution in network.attention_resolutions:
        check(
            resolution in resolutions, f"{key}.attention_resolutions: {resolution} is none of {resolutions}"
        )


def check_pairs(pairs: Pairs, key: str, config: "Config") -> None:
    """Check that there are enough pairs, and batches for all shards."""
    check(pairs.teacher in config.teachers, f"{key}.teacher: no teacher {pairs.teacher!r}")
    check(
        config.evaluation.samples <= pairs.count,
        f"evaluation.samples is larger than {key}.count, and the teacher is scored on its pairs",
    )
    batches = -(-pairs.count // pairs.sampler.batch)
    check(
        pairs.shards <= batches,
        f"{key}.shards: there are only {batches} batches of {pairs.sampler.batch} pairs to share",
    )
    check_sampler(pairs.sampler.settings(), f"{key}.sampler")


def check_sampler(sampler: dict[str, Any], key: str) -> None:
    """Check the arguments of a teacher's sampler."""
    with config_errors():
        samplers.check(sampler, key)
