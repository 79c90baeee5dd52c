"""One-step diffusion distillation with Generative Equilibrium Transformers, stage by stage.

Each stage reads files and writes files; `README.md` shows the chain, `docs/` the formats.
"""

__version__ = "0.1.0"
