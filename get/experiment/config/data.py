"""Keys `data` and `features`: real images, and the features in which they are compared."""

from typing import Annotated, Literal

from pydantic import Field

from get.data import sets
from get.experiment.config.errors import check, config_errors
from get.experiment.config.files import Source
from get.experiment.config.keys import UNROUNDED, Count, Keys, NonNegative, optional
from get.experiment.config.training import Optimisation


class Data(Keys):
    """The real images."""

    name: str
    """A module of get/data/sets (digits, photos, cifar10)."""
    shape: Annotated[list[Count], Field(min_length=3, max_length=3)]
    """Channels, height and width of an image; height and width are equal."""
    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    test_fraction: Annotated[float, Field(ge=0.01, le=0.99), UNROUNDED] = 0.2
    """Share of the images in the test split, stratified; for data sets that come without one."""
    source: Source | None = optional()
    """The file that a data set is made from, if it is (cifar-10-python.tar.gz)."""

    @property
    def size(self) -> int:
        """Height and width of an image."""
        return self.shape[-1]


class ClassifierSize(Keys):
    """Size of the classifier."""

    width: Count
    """Channels of the first convolution; the other two have twice as many."""
    features: Count
    """Number of penultimate features."""


class Classifier(Keys):
    """The classifier whose features are compared, and its training."""

    model: ClassifierSize
    """Size of the classifier."""
    noise: NonNegative = 0.1
    """Standard deviation of the noise added to the images when the classifier is trained."""
    steps: Count
    """Optimisation steps of the classifier."""
    training: Optimisation
    """How it is trained."""


class Features(Keys):
    """The network whose activations FID, IS, KID, precision and recall compare."""

    extractor: Literal["classifier", "inception"]
    """classifier (trained on the train split) or inception (torch-fidelity's)."""
    source: Source | None = optional()
    """The weights of torch-fidelity's Inception; only where it is the extractor."""
    classifier: Classifier | None = optional()
    """The classifier and its training; only where it is the extractor."""


def check_data(data: Data) -> None:
    """Check the description of the data set against what its module says."""
    with config_errors():
        known = sets.describe(data.name)
    check(data.shape == known.shape, f"data.shape: {data.name} has images of shape {known.shape}")
    check(data.classes == known.classes, f"data.classes: {data.name} has {known.classes} classes")
    channels, height, width = known.shape
    check(
        channels in (1, 3) and height == width and height % 4 == 0,
        f"data.name: {data.name} has images of shape {known.shape}; they must be grey or in colour, and"
        " square with sides of a multiple of 4",
    )
    wants = "archive" in known.takes
    how = "made from a file, which it names" if wants else "not made from a file"
    check(wants == (data.source is not None), f"data.source: {data.name} is {how}")


def check_features(features: Features, data: Data) -> None:
    """Check that the extractor has what it needs, and can read the images."""
    inception = features.extractor == "inception"
    check(not inception or data.shape[0] == 3, "features.extractor: inception wants images in colour")
    needed = "source" if inception else "classifier"
    check(
        getattr(features, needed),
        f"features.{needed} is missing: the extractor {features.extractor} needs it",
    )
