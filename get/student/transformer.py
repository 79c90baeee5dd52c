"""Transformer parts of GET and ViT (paper, Section 3; sizes after DiT, Peebles and Xie 2023).

Shapes: images (B, C, H, W); tokens (B, N, D) with N = (H / patch) * (W / patch).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from get.networks.kernels import attend, plus
from get.storage.errors import UserError
from get.student.models import Student

NORM_EPS = 1e-6
INJECTION_EXPANSION = 4  # MLP ratio of the injection transformer and of ViT (paper, Section 4)


def sincos_positions(width: int, grid: int) -> Tensor:
    """Return fixed 2-D sine-cosine positions (1, grid * grid, width).

    The first half of the channels encodes the column and the second the row; each half is the sines and
    then the cosines of the coordinate at width / 4 frequencies from 1 down to 1 / 10000.
    """
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, width / 2)
    columns = line[None].expand(grid, grid, -1)
    rows = line[:, None].expand(grid, grid, -1)
    return torch.cat([columns, rows], dim=2).reshape(1, grid * grid, width).float()


class Attention(nn.Module):
    """Multi-head self-attention whose fused q, k, v accept an added term: q, k, v = x W + b + u."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, u: Tensor | None) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D); `u` is (B, N, 3D) or (B, 1, 3D), or None."""
        B, N, D = x.shape
        # Additive injection (paper, Section 3)
        qkv = self.qkv(x) if u is None else plus(self.qkv(x), u)
        # Heads: (B, heads, N, D / heads) each; so split, their gradients are put together in one copy
        q, k, v = (part.view(B, N, self.heads, -1).transpose(1, 2) for part in qkv.split(D, dim=2))
        # Attention
        out = attend(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(B, N, D))


class MLP(nn.Module):
    """Linear, exact GELU, linear; the hidden layer is `expansion` times as wide."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, expansion * width)
        self.fc2 = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-LN transformer block with the additive interface of GET to its attention."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width, expansion)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D); `u` (B, N or 1, 3D) is added to q, k and v."""
        x = plus(self.attention(self.norm1(x), u), x)
        return plus(self.mlp(self.norm2(x)), x)


class AdaLNBlock(nn.Module):
    """Pre-LN block modulated by the class (AdaLN-Zero of DiT): shift, scale and gate of both branches."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS, elementwise_affine=False)
        self.mlp = MLP(width, expansion)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D); `c` (B, 1, D) is the class embedding."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(c)).chunk(6, dim=2)
        x = plus(gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1, None), x)
        return plus(gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2), x)


class Decoder(nn.Module):
    """LayerNorm and one linear layer from tokens to pixels; for AdaLN, the class modulates the norm."""

    def __init__(self, width: int, patch: int, channels: int, adaln: bool = False) -> None:
        super().__init__()
        self.patch, self.channels = patch, channels
        self.norm = nn.LayerNorm(width, eps=NORM_EPS, elementwise_affine=not adaln)
        self.linear = nn.Linear(width, patch * patch * channels)
        self.modulation = nn.Linear(width, 2 * width) if adaln else None

    def forward(self, tokens: Tensor, c: Tensor | None = None) -> Tensor:
        """Map tokens (..., B, N, D) to images (..., B, C, H, W); `c` (B, 1, D) only for AdaLN."""
        x = self.norm(tokens)
        if self.modulation is not None and c is not None:
            shift, scale = self.modulation(F.silu(c)).chunk(2, dim=2)
            x = x * (1 + scale) + shift
        return unpatchify(self.linear(x), self.patch, self.channels)


def unpatchify(pixels: Tensor, patch: int, channels: int) -> Tensor:
    """Arrange tokens (..., N, patch * patch * C), channels fastest, into images (..., C, H, W)."""
    *lead, N, _ = pixels.shape
    grid = round(N**0.5)
    x = pixels.reshape(-1, grid, grid, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(*lead, channels, grid * patch, grid * patch)


class Transformer(Student):
    """The base of GET and ViT: patches, positions, class embedding, decoder.

    Args:
        patch, width, heads: patch side, D, and attention heads.
        conditioning: 'none', 'injection' (class term added to q, k, v) or 'adaln-zero' (ViT only).
        **images: other arguments of `Student`.
    """

    def __init__(self, *, patch: int, width: int, heads: int, conditioning: str, **images: Any) -> None:
        super().__init__(conditioning=conditioning, **images)
        channels, size, _ = self.shape
        _check_sizes(size, patch, width, heads)
        self.tokens, self.width = (size // patch) ** 2, width
        adaln = conditioning == "adaln-zero"
        self.patch_embedding = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions: Tensor
        self.register_buffer("positions", sincos_positions(width, size // patch))
        if self.conditional:
            self.class_embedding = nn.Embedding(self.classes, width if adaln else 3 * width)
        self.decoder = Decoder(width, patch, channels, adaln=adaln)

    def _embed(self, noise: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, N, D) and the class term (B, 1, 3D or D), None if unconditional."""
        h = self.patch_embedding(noise).flatten(2).transpose(1, 2) + self.positions
        return h, self.class_embedding(label)[:, None] if self.conditional else None

    def _initialise(self) -> None:
        """Xavier-uniform linears with zero bias, class table N(0, 0.02), zero decoder and modulations."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.conditional:
            nn.init.normal_(self.class_embedding.weight, std=0.02)
        # A fresh student draws nothing, and AdaLN-Zero starts from the identity
        nn.init.zeros_(self.decoder.linear.weight)
        for module in self.modules():
            if isinstance(module, AdaLNBlock | Decoder) and module.modulation is not None:
                nn.init.zeros_(module.modulation.weight)


def _check_sizes(size: int, patch: int, width: int, heads: int) -> None:
    if size % patch:
        raise UserError(f"model.patch {patch} does not divide the image size {size}")
    if width % heads:
        raise UserError(f"model.heads {heads} does not divide model.width {width}")
    if width % 4:
        raise UserError(f"model.width {width} is no multiple of 4, which the 2-D positions need")
