"""One-step diffusion distillation with Generative Equilibrium Transformers, stage by stage.

Each stage reads files and writes files; `README.md` shows the chain, `docs/` the formats.
"""

from importlib.metadata import version

__version__ = version("get-distillation")
