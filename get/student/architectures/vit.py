"""The ViT that GET is compared with."""

from typing import Any, Literal

from torch import Tensor, nn

from get.student.transformer import INJECTION_EXPANSION, AdaLNBlock, Block, Transformer


class ViT(Transformer):
    """The baseline: GET without the equilibrium part, `depth` pre-LN blocks.

    Args:
        depth: number of blocks L.
        patch, width, heads, conditioning, **images: see `Transformer`.
    """

    def __init__(
        self,
        *,
        patch: int,
        width: int,
        heads: int,
        depth: int,
        conditioning: Literal["none", "injection", "adaln-zero"],
        **images: Any,
    ) -> None:
        super().__init__(patch=patch, width=width, heads=heads, conditioning=conditioning, **images)
        block = AdaLNBlock if conditioning == "adaln-zero" else Block
        self.blocks = nn.ModuleList(block(width, heads, INJECTION_EXPANSION) for _ in range(depth))
        self._initialise()

    def forward(self, noise: Tensor, label: Tensor | None) -> Tensor:
        """Map noise (B, C, H, W) and label (B,) int64 to images (B, C, H, W)."""
        h, c = self._embed(noise, label)
        for block in self.blocks:
            h = block(h, c)
        return self.decoder(h, c)


STUDENT = ViT
