"""Samplers of a teacher, a module each (docs/extend.md).

A module has two functions, `sample(denoise, noise, *, ...)` and `evaluations(*, ...)`. The keyword arguments
of `sample` are keys of `sampler` in the config; `evaluations` is given the same, and returns the NFE. A
function `check(key, *, ...)`, if there is one, refuses values that cannot be. Neither this module nor a
sampler's imports torch at its head: the workflow asks for the NFE before anything runs.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from get.runtime import plugins
from get.runtime.plugins import Argument

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "teacher.samplers"
DEFAULT = "heun"
# keys that every sampler has beside its own
COMMON = {
    "name": Argument("str", optional=True),
    "precision": Argument("str", optional=False),
    "batch": Argument("int", optional=False),
}


class Sampler:
    """A sampler with its settings: an entry `sampler` of the config, as keyword arguments.

    Args:
        precision: of the network; see `device.autocast`.
        batch: samples per call; part of what a pair is, for the last bits of a convolution depend on it.
        name: the module.
        **settings: keyword arguments of its `sample`.

    Raises:
        UserError: there is no such sampler, or a setting is unknown, missing or of another type.
    """

    def __init__(self, *, precision: str, batch: int, name: str = DEFAULT, **settings: Any) -> None:
        check({**settings, "precision": precision, "batch": batch, "name": name})
        self.precision, self.batch, self.name, self.settings = precision, batch, name, settings

    @property
    def evaluations(self) -> int:
        """Number of evaluations of the denoiser (NFE) for one batch."""
        return evaluations({**self.settings, "name": self.name})

    def __call__(self, denoise: "Callable[[Tensor, Tensor], Tensor]", noise: "Tensor") -> "Tensor":
        """Integrate from noise to images; see `heun.sample`."""
        module = plugins.load(PACKAGE, self.name, "sampler.name")
        images: Tensor = module.sample(denoise, noise, **self.settings)
        return images

    def attributes(self) -> dict[str, Any]:
        """Return the settings as a shard of pairs holds them; without the name of the default sampler."""
        keys = [key for key in plugins.arguments(PACKAGE, self.name, "sample") if key in self.settings]
        found = {key: self.settings[key] for key in keys}
        found |= {"precision": self.precision, "batch": self.batch}
        return found if self.name == DEFAULT else found | {"name": self.name}


def check(entry: Mapping[str, Any], key: str = "sampler") -> None:
    """Raise `UserError`, naming the key below `key`, unless `entry` holds the settings of a sampler."""
    name = entry.get("name", DEFAULT)
    plugins.require_known(PACKAGE, name, f"{key}.name")
    plugins.arguments(PACKAGE, name, "evaluations")  # is there
    plugins.check_arguments(entry, plugins.arguments(PACKAGE, name, "sample") | COMMON, key)
    module = plugins.load(PACKAGE, name, f"{key}.name")
    if hasattr(module, "check"):
        module.check(key, **{name: value for name, value in entry.items() if name not in COMMON})


def defaults(name: str) -> dict[str, Any]:
    """Return the settings that a sampler has where the config says nothing; none of one that is not known."""
    if name not in plugins.names(PACKAGE):
        return {}
    arguments = plugins.arguments(PACKAGE, name, "sample").items()
    return {key: argument.default for key, argument in arguments if argument.default is not None}


def evaluations(entry: Mapping[str, Any]) -> int:
    """Return the number of evaluations of the denoiser (NFE) for the settings of a sampler."""
    module = plugins.load(PACKAGE, entry.get("name", DEFAULT), "sampler.name")
    count: int = module.evaluations(**{key: value for key, value in entry.items() if key not in COMMON})
    return count
