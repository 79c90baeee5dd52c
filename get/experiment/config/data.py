"""Keys `data` and `features`: real images, and the features in which they are compared."""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from get.data import sets
from get.experiment.config.errors import check, config_errors
from get.experiment.config.files import Source
from get.experiment.config.keys import UNROUNDED, Count, Keys, NonNegative, Text, optional
from get.experiment.config.training import Optimisation


class Data(Keys):
    """The real images. Shape and number of classes are those of the data set, where they are left out."""

    name: str
    """A module of get/data/sets (digits, photos, cifar10; folder for images of one's own)."""
    shape: Annotated[list[Count], Field(default_factory=list, min_length=3, max_length=3)]
    """Channels, height and width of an image; height and width are equal."""
    classes: Annotated[int, Field(default_factory=int, ge=0)]
    """Number of classes; 0 for none."""
    test_fraction: Annotated[float, Field(ge=0.01, le=0.99), UNROUNDED] = 0.2
    """Share of the images in the test split, stratified; for data sets that come without one."""
    source: Source | None = optional()
    """What a data set is made from (cifar-10-python.tar.gz); for images of one's own the `path` of a folder,
    zip, tar or .npz."""
    labels: Text | None = optional()
    """Of images of one's own: none, or a CSV with the columns file and label; left out, dataset.json or the
    folders say the classes."""
    resize: Annotated[int, Field(ge=4)] | None = optional()
    """Of images of one's own: height and width to which the square in the middle of each is reduced; left
    out, all have one size."""

    @model_validator(mode="before")
    @classmethod
    def _with_what_is_found(cls, given: Any) -> Any:
        """Fill in shape and number of classes."""
        if not isinstance(given, dict) or "name" not in given or {"shape", "classes"} <= given.keys():
            return given
        if not isinstance(given.get("resize"), int | None) or not isinstance(given.get("labels"), str | None):
            return given
        source = given.get("source")
        path = source.get("path") if isinstance(source, dict) else None
        with config_errors():
            known = sets.describe(given["name"], {**given, "archive": path})
        return {"shape": known.shape, "classes": known.classes} | given

    @cached_property
    def known(self) -> sets.DataSet:
        """What the module says of the images; raises `UserError` as `sets.describe`."""
        path = self.source.path if self.source else None
        return sets.describe(self.name, {**self.settings(), "archive": path})

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
        known = data.known
    check(
        data.shape == known.shape or "shape" in known.takes,
        f"data.shape: {data.name} has images of shape {known.shape}",
    )
    check(data.classes == known.classes, f"data.classes: {data.name} has {known.classes} classes")
    channels, height, width = data.shape
    check(
        channels in (1, 3) and height == width and height % 4 == 0,
        f"data.name: {data.name} has images of shape {data.shape}; they must be grey or in colour, and"
        " square with sides of a multiple of 4"
        + "; write resize: 64, or another size"
        * ("resize" in known.takes),
    )
    wants = "archive" in known.takes
    how = "made from a file, which it names" if wants else "not made from a file"
    check(wants == (data.source is not None), f"data.source: {data.name} is {how}")
    for key in ("labels", "resize"):
        check(
            getattr(data, key) is None or key in known.takes,
            f"data.{key}: {data.name} has none; it goes with the name folder",
        )


def check_features(features: Features, data: Data) -> None:
    """Check that the extractor has what it needs, and can read the images."""
    inception = features.extractor == "inception"
    check(not inception or data.shape[0] == 3, "features.extractor: inception wants images in colour")
    check(
        inception or data.classes,
        "features.extractor: a classifier wants classes, and the images have none; write inception",
    )
    needed = "source" if inception else "classifier"
    check(
        getattr(features, needed),
        f"features.{needed} is missing: the extractor {features.extractor} needs it",
    )
