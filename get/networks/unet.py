"""U-Nets of teachers: DDPM++ and NCSN++ (Song et al. 2021), ADM (Dhariwal and Nichol 2021).

Written from the papers' descriptions. Parameter names are those of the published EDM files, so that their
weights load as they are; ADM's last two layers, which they call otherwise, are renamed by the import.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from get.networks.kernels import attend, halve, plus, silu

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


def _norm(channels: int, style: "Style") -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels // 4), channels, eps=style.eps)


@dataclass(frozen=True)
class Style:
    """What tells one family of U-Nets from another.

    Args:
        eps: of group normalisation.
        smooth: whether images are resampled by the filter [1, 3, 3, 1], not [1, 1].
        fourier: whether the noise level enters by random frequencies, not by fixed ones.
        residual: whether the encoder adds the noisy image, reduced, at each resolution.
        adaptive: whether the embedding scales and shifts features, not only shifts them.
        head: channels of a head of attention; 0 for a single head.
        scale: of the sum of two branches.
        projects: whether the skip of a block that resamples has a convolution.
        attends: whether all blocks of the decoder attend, where the encoder's do; not only the last.
    """

    eps: float = 1e-6
    smooth: bool = False
    fourier: bool = False
    residual: bool = False
    adaptive: bool = False
    head: int = 0
    scale: float = 0.5**0.5  # keeps the variance of the sum (Song et al. 2021, Appendix H)
    projects: bool = True
    attends: bool = False


STYLES = {
    "ddpm++": Style(),
    "ncsn++": Style(smooth=True, fourier=True, residual=True),
    "adm": Style(eps=1e-5, adaptive=True, head=64, scale=1.0, projects=False, attends=True),
}
SMOOTH = (1.0, 3.0, 3.0, 1.0)
FOURIER_SCALE = 16.0  # standard deviation of the random frequencies


class Resample(nn.Module):
    """Halves or doubles the resolution, channel by channel.

    By the box filter [1, 1] that is the mean of 2x2 pixels, or the nearest one.

    Args:
        mode: 'down' or 'up'; smooth: by the filter [1, 3, 3, 1].
    """

    def __init__(self, mode: str, smooth: bool) -> None:
        super().__init__()
        self.mode, self.smooth = mode, smooth

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C, H, W) to features (B, C, H', W')."""
        if not self.smooth:
            down = self.mode == "down"
            return halve(x) if down else F.interpolate(x, scale_factor=2.0, mode="nearest")
        kernel = _smooth_kernel(x)
        if self.mode == "down":
            return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])
        return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=x.shape[1])


def _smooth_kernel(x: Tensor) -> Tensor:
    """Return the filter [1, 3, 3, 1] for each channel of x, (C, 1, 4, 4), of the sum 1."""
    line = torch.tensor(SMOOTH, device=x.device, dtype=x.dtype) / sum(SMOOTH)
    return (line[:, None] * line).expand(x.shape[1], 1, 4, 4)


class ReducedImage(nn.Conv2d):
    """A convolution of an image, then halved by the filter [1, 3, 3, 1] over what the padding adds."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to features (B, C', H / 2, W / 2)."""
        wide = F.conv2d(x, self.weight, self.bias, padding=2)
        return F.conv2d(wide, _smooth_kernel(wide), stride=2, groups=wide.shape[1])


class RandomFrequencies(nn.Module):
    """Sines and cosines of random frequencies, which stay as they are drawn.

    Args:
        width: of what comes out.
    """

    freqs: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("freqs", FOURIER_SCALE * torch.randn(width // 2))

    def forward(self, c_noise: Tensor) -> Tensor:
        """Map noise levels (B,) to (B, width)."""
        angles = c_noise[:, None] * (2 * math.pi * self.freqs)
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class UNetBlock(nn.Module):
    """Residual block with an embedding, optional resampling and self-attention.

    Args:
        inputs, outputs: channels; embedding: width of the embedding.
        style: see `Style`.
        dropout: rate in training.
        resample: 'down', 'up' or None; attention: whether it attends.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        style: Style,
        dropout: float,
        resample: str | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.style = inputs, outputs, style
        self.dropout, self.attention = dropout, attention
        self.resample = Resample(resample, style.smooth) if resample else nn.Identity()
        self.norm0 = _norm(inputs, style)
        self.conv0 = _conv(inputs, outputs, 3)
        self.affine = _linear(embedding, outputs * (2 if style.adaptive else 1))
        self.norm1 = _norm(outputs, style)
        self.conv1 = _conv(outputs, outputs, 3, ZERO_INIT)
        projects = inputs != outputs or (resample and style.projects)
        self.skip = _conv(inputs, outputs, 1) if projects else None
        if attention:
            self.heads = outputs // style.head if style.head else 1
            self.norm2 = _norm(outputs, style)
            self.qkv = _conv(outputs, 3 * outputs, 1, ATTENTION_INIT)
            self.proj = _conv(outputs, outputs, 1, ZERO_INIT)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map features (B, C_in, H, W) and embedding (B, E) to features (B, C_out, H', W')."""
        # Residual branch, to which the noise level and the class come
        h = self.conv0(self.resample(silu(self.norm0(x))))
        shift = self.affine(embedding)[:, :, None, None]
        if self.style.adaptive:
            scale, shift = shift.chunk(2, dim=1)
            h = silu(plus(self.norm1(h) * (1 + scale), shift))
        else:
            h = silu(self.norm1(plus(h, shift)))
        h = self.conv1(F.dropout(h, self.dropout, self.training))
        # Skip branch
        x = self.resample(x)
        x = plus(h, x if self.skip is None else self.skip(x)).mul_(self.style.scale)
        # x is what the backward pass of its norm reads
        return (x + self._attend(x)).mul_(self.style.scale) if self.attention else x

    def _attend(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        # q, k and v of one channel lie side by side in the published files
        qkv = self.qkv(self.norm2(x)).view(B, self.heads, C // self.heads, 3, H * W)
        q, k, v = qkv.permute(3, 0, 1, 4, 2).unbind(0)
        out = attend(q, k, v)  # (B, heads, HW, C / heads)
        return self.proj(out.transpose(2, 3).reshape(B, C, H, W))


class UNet(nn.Module):
    """U-Net F(x; c_noise, label): DDPM++ or NCSN++ (Song et al. 2021), or ADM (Dhariwal and Nichol 2021).

    Args:
        channels, size, classes: of the images; classes = 0 for an unconditional network.
        model_channels: width of the highest resolution.
        channel_mult: width factor of each resolution, halving from `size`.
        blocks: residual blocks per resolution.
        attention_resolutions: resolutions whose blocks attend.
        dropout: rate inside the residual blocks, in training.
        augment_dim: inputs of the published augmentation embedding (its labels are never given here).
        architecture: one of `STYLES`.
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
        architecture: str = "ddpm++",
    ) -> None:
        super().__init__()
        self.style = style = STYLES[architecture]
        self.model_channels, self.classes = model_channels, classes
        embedding = 4 * model_channels
        self._embedding_layers(embedding, augment_dim)

        def block(inputs: int, outputs: int, resample: str | None = None, attend: bool = False) -> UNetBlock:
            return UNetBlock(inputs, outputs, embedding, style, dropout, resample, attend)

        resolutions = [size >> level for level in range(len(channel_mult))]
        widths = [model_channels * factor for factor in channel_mult]
        # Encoder: widths of its outputs are those of the skips to the decoder
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        width = widths[0] if architecture == "adm" else model_channels
        skips, image = [width], channels
        for level, (at, wide) in enumerate(zip(resolutions, widths, strict=True)):
            if level == 0:
                self.enc[f"{at}x{at}_conv"] = _conv(channels, width, 3)
            else:
                self.enc[f"{at}x{at}_down"] = block(width, width, "down")
                if style.residual:
                    self.enc[f"{at}x{at}_aux_residual"] = _xavier(ReducedImage(image, width, 3))
                    image = width
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
                attend = (style.attends or index == blocks) and at in attention_resolutions
                self.dec[f"{at}x{at}_block{index}"] = block(width + skips.pop(), wide, attend=attend)
                width = wide
        self.dec[f"{size}x{size}_aux_norm"] = _norm(width, style)
        self.dec[f"{size}x{size}_aux_conv"] = _conv(width, channels, 3, ZERO_INIT)

    def _embedding_layers(self, embedding: int, augment_dim: int) -> None:
        """Make the layers of the embedding; ADM adds the class to its output, the others to its input."""
        wide = self.model_channels * (2 if self.style.fourier else 1)
        if self.style.fourier:
            self.map_noise = RandomFrequencies(wide)
        self.map_label: nn.Linear | None = None
        if self.classes:
            adm = self.style.adaptive
            self.map_label = _linear(self.classes, embedding if adm else wide, bias=not adm)
        self.map_augment = _linear(augment_dim, wide, bias=False) if augment_dim else None
        if self.map_augment is not None:
            self.map_augment.requires_grad_(False)  # never given labels: no gradient that DDP could wait for
        self.map_layer0 = _linear(wide, embedding)
        self.map_layer1 = _linear(embedding, embedding)

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None) -> Tensor:
        """Map images (B, C, H, W), noise levels (B,) and labels (B,) int64 to outputs (B, C, H, W)."""
        embedding, image = self._embed(c_noise, label), x
        # Encoder
        skips: list[Tensor] = []
        for layer in self.enc.values():
            if isinstance(layer, ReducedImage):
                x = image = (skips.pop() + layer(image)) * self.style.scale
            else:
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
        embedding = self._embed_level(c_noise)
        by_class: Tensor | float = 0.0
        if self.map_label is not None:
            assert label is not None, "a conditional teacher needs labels"
            one_hot = F.one_hot(label, self.classes).to(embedding.dtype)
            by_class = self.map_label(one_hot * (1 if self.style.adaptive else self.classes**0.5))
        if self.style.adaptive:
            return F.silu(self.map_layer1(F.silu(self.map_layer0(embedding))) + by_class)
        return F.silu(self.map_layer1(F.silu(self.map_layer0(embedding + by_class))))

    def _embed_level(self, c_noise: Tensor) -> Tensor:
        """Return sines and cosines of the noise level (B, E')."""
        if self.style.fourier:
            found: Tensor = self.map_noise(c_noise)
            return found
        half = self.model_channels // 2
        steps = torch.arange(half, device=c_noise.device, dtype=torch.float32)
        if self.style.adaptive:
            angles = c_noise[:, None] * 10000.0 ** -(steps / half)
            return torch.cat([angles.cos(), angles.sin()], dim=1)
        angles = c_noise[:, None] * 10000.0 ** -(steps / (half - 1))
        return torch.cat([angles.sin(), angles.cos()], dim=1)
