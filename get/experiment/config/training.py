"""Keys `training`: how a model is optimised, and what a student is trained to do."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from get.experiment.config.errors import check
from get.experiment.config.files import Source
from get.experiment.config.keys import (
    UNROUNDED,
    Count,
    Keys,
    Natural,
    NonNegative,
    OpenKeys,
    Positive,
    Precision,
    optional,
)
from get.runtime import plugins
from get.student import losses, objectives


class Optimisation(Keys):
    """How a model is trained."""

    batch: Count
    """Examples per step, over all processes."""
    lr: Positive
    """Learning rate of AdamW, constant after the warm-up (write 1.0e-4, not 1e-4)."""
    warmup: Natural = 0
    """Steps of linear increase of the learning rate."""
    weight_decay: NonNegative = 0.0
    """Weight decay of AdamW."""
    clip: Positive | None = None
    """Largest norm of the gradient; null for no clipping."""
    ema: Annotated[float, Field(ge=0, lt=1), UNROUNDED]
    """Decay of the moving average of the weights."""
    ema_warmup: bool = False
    """At step t the decay is at most (1 + t) / (10 + t)."""
    precision: Precision = "float32"
    """float32, tf32 (float32 whose products and convolutions use TF32 on CUDA), or bfloat16 by autocast."""
    compile: bool = False
    """Compile the model with torch.compile."""


class Loss(OpenKeys):
    """How far an image is from the one that is wanted. Other keys are arguments of the loss."""

    name: str
    """A module of get/student/losses (l1, l2, pseudo_huber, lpips)."""
    source: Source | None = optional()
    """The weights of a network that the loss looks through (lpips: torchvision's vgg16-397923af.pth)."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the loss, which may be given by its name alone."""
        found = {"name": given} if isinstance(given, str) else given
        return losses.defaults(found.get("name")) | found if isinstance(found, dict) else found


def _or_its_name(schema: dict[str, Any]) -> None:
    """Let the JSON schema of a mapping take its name alone."""
    schema["anyOf"].append({"type": "string"})


class Distillation(Optimisation):
    """How a student is trained. Other keys are arguments of the objective, with its defaults."""

    model_config = ConfigDict(extra="allow")

    objective: str | None = optional()
    """A module of get/student/objectives (reflow, consistency, progressive); left out, pairs: regression on
    the teacher's images."""
    loss: Loss | None = optional(json_schema_extra=_or_its_name)
    """A module of get/student/losses by its name (l1, l2, pseudo_huber, lpips), or a mapping of its
    name and its arguments; left out, the objective's own: l1 of pairs."""
    init: Literal["teacher"] | None = optional()
    """teacher: start from the teacher's weights (of a unet like the teacher's); left out, random ones."""
    loss_decay: Annotated[float, Field(ge=0, le=1), UNROUNDED] | None = optional()
    """Pairs: state i of S has the weight loss_decay^(S - i) in the loss (0.8); at 0 the last alone counts."""
    checkpointing: bool | None = optional()
    """Pairs, O(1)-memory mode: compute each iteration again in the backward pass (false)."""
    implicit: bool | None = optional()
    """Pairs: supervise the last state alone, with the gradient of a fixed point by the implicit function
    theorem (GET only); left out, gradients go through the iterations."""
    pairs: Count | None = optional()
    """Learn from the first so many pairs; left out, from all."""
    prefetch: Natural = 0
    """Batches of pairs that a thread prepares ahead; changes no number, and re-runs nothing."""
    accumulate: Count | None = optional()
    """Parts that each batch is computed in, one after the other, to save memory; changes no number but by
    rounding, and the masks of dropout, and re-runs nothing. Left out, a batch is computed at once."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the objective; what is the default need not be named."""
        if not isinstance(given, dict):
            return given
        objective = objectives.DEFAULT if given.get("objective") is None else given["objective"]
        if objective not in plugins.names(objectives.PACKAGE):  # `checks` says which there are
            return given
        cls._require_known(given, objective)
        own = {"loss", *objectives.keys(objective)}
        found = {key: value for key, value in given.items() if value is not None or key not in own}
        loss = objectives.about(objective)["DEFAULT_LOSS"]
        found = {"loss": loss, **objectives.defaults(objective), **found}
        if objective == objectives.DEFAULT:
            found.pop("objective", None)
            if found["loss"] in (loss, {"name": loss}):
                del found["loss"]
        return found

    @classmethod
    def _require_known(cls, given: Mapping[str, Any], objective: str) -> None:
        """Raise an error of pydantic (see `loading.message`) unless all keys are known or the objective's."""
        of_default, own = objectives.keys(objectives.DEFAULT), objectives.keys(objective)
        known = [*(key for key in cls.model_fields if key not in of_default), *own]
        for key in given:
            if key not in known:
                about = {"key": key, "known": known, "objectives": objectives.having(key)}
                raise PydanticCustomError("unknown_key", "", about)

    @property
    def objective_name(self) -> str:
        """The name of the objective."""
        return objectives.DEFAULT if self.objective is None else self.objective

    @property
    def loss_source(self) -> Source | None:
        """The weights of the loss's network, if it has one."""
        return self.loss.source if self.loss else None

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide what comes out, but for rounding; files by what they are."""
        found = self.settings()
        if source := self.loss_source:
            hashed = {"sha256": source.sha256} if source.sha256 else {}
            found["loss"]["source"] = {"file": source.file, **hashed}
        return {key: value for key, value in found.items() if key not in ("prefetch", "accumulate")}


def check_implicit(training: Distillation, key: str, family: str) -> None:
    """Check what implicit gradients go with."""
    if not training.implicit:
        return
    check(family == "get", f"{key}.implicit: only a GET has a fixed point")
    for other in ("checkpointing", "compile"):
        check(
            not getattr(training, other),
            f"{key}.{other} goes with unrolled gradients; leave it or {key}.implicit out",
        )
