"""DDPM++ U-Net (Song et al. 2021).

Written from the paper's description. Parameter names are those of the published EDM files, so that their
weights load as they are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-6
RESIDUAL_SCALE = 0.5**0.5  # keeps the variance of a sum of two branches (Song et al. 2021, Appendix H)
ZERO_INIT = 1e-5  # gain of layers that start next to zero
ATTENTION_INIT = 0.2**0.5


def _xavier(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> Any:
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    return _xavier(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), gain)


def _linear(inputs: int, outputs: int, gain: float = 1.0, bias: bool = True) -> nn.Linear:
    return _xavier(nn.Linear(inputs, outputs, bias=bias), gain)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels // 4), channels, eps=NORM_EPS)


def _resample(x: Tensor, mode: str | None) -> Tensor:
    """Halve (mean of 2x2), double (nearest) or keep the resolution: the box filter [1, 1]."""
    if mode == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2.0, mode="nearest") if mode == "up" else x


class UNetBlock(nn.Module):
    """Residual block with additive embedding, optional resampling and single-head self-attention."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        dropout: float,
        resample: str | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.resample, self.dropout, self.attention = resample, dropout, attention
        self.norm0 = _norm(inputs)
        self.conv0 = _conv(inputs, outputs, 3)
        self.affine = _linear(embedding, outputs)
        self.norm1 = _norm(outputs)
        self.conv1 = _conv(outputs, outputs, 3, ZERO_INIT)
        self.skip = _conv(inputs, outputs, 1) if resample or inputs != outputs else None
        if attention:
            self.norm2 = _norm(outputs)
            self.qkv = _conv(outputs, 3 * outputs, 1, ATTENTION_INIT)
            self.proj = _conv(outputs, outputs, 1, ZERO_INIT)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map features (B, C_in, H, W) and embedding (B, E) to features (B, C_out, H', W')."""
        # Residual branch, to which the noise level and the class are added
        h = self.conv0(_resample(F.silu(self.norm0(x)), self.resample))
        h = F.silu(self.norm1(h + self.affine(embedding)[:, :, None, None]))
        h = self.conv1(F.dropout(h, self.dropout, self.training))
        # Skip branch
        x = _resample(x, self.resample)
        x = (h + (x if self.skip is None else self.skip(x))) * RESIDUAL_SCALE
        return (x + self._attend(x)) * RESIDUAL_SCALE if self.attention else x

    def _attend(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        # q, k and v of one channel lie side by side in the published files
        q, k, v = self.qkv(self.norm2(x)).view(B, 1, C, 3, H * W).permute(3, 0, 1, 4, 2).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)  # (B, 1, HW, C)
        return self.proj(out.transpose(2, 3).reshape(B, C, H, W))


class UNet(nn.Module):
    """DDPM++ U-Net F(x; c_noise, label).

    Args:
        channels, size, classes: of the images; classes = 0 for an unconditional network.
        model_channels: width of the highest resolution.
        channel_mult: width factor of each resolution, halving from `size`.
        blocks: residual blocks per resolution.
        attention_resolutions: resolutions whose blocks attend.
        dropout: rate inside the residual blocks, in training.
        augment_dim: inputs of the published augmentation embedding (its labels are never given here).
    """

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        classes: int,
        model_channels: int,
        channel_mult: list[int],
        blocks: int,
        attention_resolutions: list[int],
        dropout: float,
        augment_dim: int,
    ) -> None:
        super().__init__()
        embedding = 4 * model_channels
        self.model_channels, self.classes = model_channels, classes
        self.map_label = _linear(classes, model_channels) if classes else None
        self.map_augment = _linear(augment_dim, model_channels, bias=False) if augment_dim else None
        if self.map_augment is not None:
            self.map_augment.requires_grad_(False)  # never given labels: no gradient that DDP could wait for
        self.map_layer0 = _linear(model_channels, embedding)
        self.map_layer1 = _linear(embedding, embedding)

        def block(inputs: int, outputs: int, resample: str | None = None, attend: bool = False) -> UNetBlock:
            return UNetBlock(inputs, outputs, embedding, dropout, resample, attend)

        resolutions = [size >> level for level in range(len(channel_mult))]
        widths = [model_channels * factor for factor in channel_mult]
        # Encoder: widths of its outputs are those of the skips to the decoder
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        width, skips = model_channels, [model_channels]
        for level, (at, wide) in enumerate(zip(resolutions, widths, strict=True)):
            if level == 0:
                self.enc[f"{at}x{at}_conv"] = _conv(channels, width, 3)
            else:
                self.enc[f"{at}x{at}_down"] = block(width, width, "down")
                skips.append(width)
            for index in range(blocks):
                self.enc[f"{at}x{at}_block{index}"] = block(width, wide, attend=at in attention_resolutions)
                width = wide
                skips.append(width)
        # Decoder, from the lowest resolution: each block takes the last skip that is left
        for level, (at, wide) in reversed(list(enumerate(zip(resolutions, widths, strict=True)))):
            if level == len(widths) - 1:
                self.dec[f"{at}x{at}_in0"] = block(width, width, attend=True)
                self.dec[f"{at}x{at}_in1"] = block(width, width)
            else:
                self.dec[f"{at}x{at}_up"] = block(width, width, "up")
            for index in range(blocks + 1):
                attend = index == blocks and at in attention_resolutions
                self.dec[f"{at}x{at}_block{index}"] = block(width + skips.pop(), wide, attend=attend)
                width = wide
        self.dec[f"{size}x{size}_aux_norm"] = _norm(width)
        self.dec[f"{size}x{size}_aux_conv"] = _conv(width, channels, 3, ZERO_INIT)

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None) -> Tensor:
        """Map images (B, C, H, W), noise levels (B,) and labels (B,) int64 to outputs (B, C, H, W)."""
        embedding = self._embed(c_noise, label)
        # Encoder
        skips = []
        for layer in self.enc.values():
            x = layer(x, embedding) if isinstance(layer, UNetBlock) else layer(x)
            skips.append(x)
        # Decoder
        for layer in self.dec.values():
            if not isinstance(layer, UNetBlock):
                x = F.silu(layer(x)) if isinstance(layer, nn.GroupNorm) else layer(x)
                continue
            if layer.inputs != x.shape[1]:
                x = torch.cat([x, skips.pop()], dim=1)
            x = layer(x, embedding)
        return x

    def _embed(self, c_noise: Tensor, label: Tensor | None) -> Tensor:
        """Return the embedding (B, E) of the noise level and the class."""
        # Sines and cosines of the noise level
        half = self.model_channels // 2
        steps = torch.arange(half, device=c_noise.device, dtype=torch.float32) / (half - 1)
        angles = c_noise[:, None] * 10000.0**-steps
        embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
        # Class
        if self.map_label is not None:
            assert label is not None, "a conditional teacher needs labels"
            one_hot = F.one_hot(label, self.classes).to(embedding.dtype)
            embedding = embedding + self.map_label(one_hot * self.classes**0.5)
        return F.silu(self.map_layer1(F.silu(self.map_layer0(embedding))))
