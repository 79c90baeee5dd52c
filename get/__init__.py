"""One-step diffusion distillation with Generative Equilibrium Transformers, stage by stage.

Each stage reads files and writes files; `README.md` shows the chain, `docs/` the formats. Programs
and notebooks start with `load`, `load_teacher` and `open_pairs` (docs/python.md); torch is imported then.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from get.api import Generator, Options, Teacher, Trajectory, UserError, load, load_teacher, open_pairs

__version__ = "0.1.0"
__all__ = [
    "Generator", "Options", "Teacher", "Trajectory", "UserError", "__version__", "load", "load_teacher",
    "open_pairs",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Return what `get.api` has of this name."""
    if name not in __all__:
        raise AttributeError(f"module 'get' has no attribute {name!r}")
    return getattr(import_module("get.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
