"""Keys `data` and `features`: real images, and the features in which they are compared."""

import math
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, model_validator

from get.data import sets
from get.experiment.config.errors import check, config_errors
from get.experiment.config.files import Source
from get.experiment.config.keys import UNROUNDED, Count, Keys, NonNegative, Text, optional
from get.experiment.config.training import Optimisation
from get.runtime import plugins

EXTRACTORS = "scoring.extractors"
FEWEST = 4  # images, of which each has a third nearest other one (`scoring.metrics`)


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
    def counts(self) -> tuple[int, int]:
        """How many images there are, to train and to test."""
        images = self.known.images
        if isinstance(images, tuple):
            return images
        test = math.ceil(images * self.test_fraction)
        return images - test, test

    @property
    def size(self) -> int:
        """Height and width of an image."""
        return self.shape[-1]


class ExtractorSize(Keys):
    """Size of an extractor."""

    width: Count
    """Channels of the first convolution; others have twice as many."""
    features: Count
    """Number of features."""


class Trained(Keys):
    """An extractor that is trained on the images themselves."""

    model: ExtractorSize
    """Its size."""
    noise: NonNegative = 0.1
    """Standard deviation of the noise added to the images when it is trained."""
    steps: Count
    """Optimisation steps."""
    training: Optimisation
    """How it is trained."""


class Features(Keys):
    """The network whose activations FID, IS, KID, precision and recall compare."""

    extractor: str
    """A module of get/scoring/extractors: inception, dinov2, clip, or, trained on the train split,
    classifier or autoencoder (for images without classes)."""
    source: Source | None = optional()
    """The weights of an extractor that is not trained here."""
    classifier: Trained | None = optional()
    """The classifier and its training; only where it is the extractor."""
    autoencoder: Trained | None = optional()
    """The autoencoder and its training; only where it is the extractor."""

    @property
    def trained(self) -> Trained | None:
        """How the extractor is trained; None of one that is not trained here."""
        return {"classifier": self.classifier, "autoencoder": self.autoencoder}.get(self.extractor)

    @property
    def width(self) -> int:
        """Number of features; of a module that does not say it, as Inception's."""
        found: int = self.trained.model.features if self.trained else self.about.get("WIDTH", 2048)
        return found

    @property
    def distance(self) -> str:
        """What the Fréchet distance is called: FID in Inception's features, FD in those of other networks."""
        found: str = self.about.get("DISTANCE", "FD")
        return found

    @property
    def about(self) -> dict[str, Any]:
        """What the module of the extractor says of itself."""
        return plugins.constants(EXTRACTORS, self.extractor)


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
    for count, purpose in zip(data.counts, ("train", "test"), strict=True):
        check(count >= FEWEST, f"data: {count} images are to {purpose}; scores want {FEWEST} or more")
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
    name = features.extractor
    with config_errors():
        plugins.require_known(EXTRACTORS, name, "features.extractor")
    check(
        data.classes or not features.about["WANTS_CLASSES"],
        f"features.extractor: a {name} wants classes, and the images have none; write autoencoder or"
        " inception",
    )
    needed = name if "NETWORK" in features.about else "source"
    check(getattr(features, needed, None), f"features.{needed} is missing: the extractor {name} needs it")
