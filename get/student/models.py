"""The students: GET (Generative Equilibrium Transformer) and the ViT it is compared with.

A student maps noise (and a label) to an image in one call. `forward` returns every state that training
supervises, decoded: (S, B, C, H, W), six for GET and one for ViT. `generate` returns the image.
Paper, Section 3; what its text leaves open follows the published code.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from get.files import UserError
from get.student import equilibrium
from get.student.transformer import AdaLNBlock, Block, Decoder, sincos_positions

INJECTION_EXPANSION = 4  # MLP ratio of the injection transformer and of ViT (paper, Section 4)
Description = Mapping[str, Any]


class Generated(NamedTuple):
    """Images in about [-1, 1]: (B, C, H, W), or (K, B, C, H, W) of a trajectory; and residuals (K, B).

    A ViT has K = 1 and no residuals (0, B).
    """

    images: Tensor
    residuals: Tensor


class Student(nn.Module):
    """What GET and ViT share: patches, positions, class embedding, decoder.

    Args:
        channels, size: of the images (B, channels, size, size).
        classes: number of classes of the data set.
        patch, width, heads: patch side, D, and attention heads.
        conditioning: 'none', 'injection' (class term added to q, k, v) or 'adaln-zero' (ViT only).
    """

    def __init__(
        self, *, channels: int, size: int, classes: int, patch: int, width: int, heads: int, conditioning: str
    ) -> None:
        super().__init__()
        _check_sizes(size, patch, width, heads)
        if conditioning != "none" and not classes:
            raise UserError(f"model.conditioning is {conditioning!r}, but the pairs have no classes")
        self.tokens, self.width = (size // patch) ** 2, width
        self.shape = (channels, size, size)
        self.conditional = conditioning != "none"
        adaln = conditioning == "adaln-zero"
        self.patch_embedding = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions: Tensor
        self.register_buffer("positions", sincos_positions(width, size // patch))
        if self.conditional:
            self.class_embedding = nn.Embedding(classes, width if adaln else 3 * width)
        self.decoder = Decoder(width, patch, channels, adaln=adaln)

    @property
    def state_shape(self) -> tuple[int, int] | None:
        """Shape (N, D) of the initial state z_0 of one sample; None for a student without a state."""
        return None

    def forward(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, checkpointing: bool = False
    ) -> Tensor:
        """Map noise (B, C, H, W), label (B,) int64 and z_0 (B, N, D) to decoded states (S, B, C, H, W)."""
        raise NotImplementedError

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None,
        iterations: int | None = None,
        rule: str = "lowest-residual",
    ) -> Generated:
        """Map noise (B, C, H, W), label (B,) and z_0 (B, N, D) to images; GET reads the last two options.

        Args:
            noise, label, state: as in `forward`.
            iterations: number of fixed-point iterations; None is the number trained with.
            rule: which state is decoded, one of `equilibrium.RULES`.
        """
        raise NotImplementedError

    def trajectory(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, iterations: int | None = None
    ) -> Generated:
        """Return the images of every state z_1..z_K, of which `generate` decodes one; arguments as there."""
        raise NotImplementedError

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
        zeroed = [self.decoder] + [m for m in self.modules() if isinstance(m, AdaLNBlock)]
        for module in zeroed:
            for name in ("linear", "modulation"):
                if (layer := getattr(module, name, None)) is not None:
                    nn.init.zeros_(layer.weight)


class GET(Student):
    """Generative Equilibrium Transformer.

    The injection transformer reads the noise once; a bias-free linear layer on its output gives each
    equilibrium block l its injection n_l (B, N, 3D). The equilibrium transformer, with weights tied over
    iterations, is applied `iterations` times to a state z, with u_l = n_l + c added to q, k, v of block l.

    Args:
        injection_depth, equilibrium_depth: number of blocks L_i and L_e.
        expansion: MLP ratio E of the equilibrium blocks.
        iterations: fixed-point iterations K, all of them supervised in training.
        **common: arguments of `Student`.
    """

    def __init__(
        self, *, injection_depth: int, equilibrium_depth: int, expansion: int, iterations: int, **common: Any
    ) -> None:
        super().__init__(**common)
        width, heads = common["width"], common["heads"]
        self.iterations = iterations
        self.injection_blocks = nn.ModuleList(
            Block(width, heads, INJECTION_EXPANSION) for _ in range(injection_depth)
        )
        self.injection = nn.Linear(width, equilibrium_depth * 3 * width, bias=False)
        self.equilibrium_blocks = nn.ModuleList(
            Block(width, heads, expansion) for _ in range(equilibrium_depth)
        )
        self._initialise()

    @property
    def state_shape(self) -> tuple[int, int]:
        """Shape (N, D) of z_0."""
        return self.tokens, self.width

    def forward(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, checkpointing: bool = False
    ) -> Tensor:
        """Return the decoded states z_1..z_K (K, B, C, H, W); see `Student.forward`."""
        states = self._solve(noise, label, state, self.iterations, checkpointing)[1:]
        if checkpointing:  # one by one, so that nothing but the states themselves is kept
            return torch.stack([checkpoint(self.decoder, z, use_reentrant=False) for z in states])
        return self.decoder(torch.stack(states))

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None,
        iterations: int | None = None,
        rule: str = "lowest-residual",
    ) -> Generated:
        """Return images of the state chosen by `rule`, and the residuals (K, B); see `Student.generate`."""
        states = torch.stack(self._solve(noise, label, state, iterations or self.iterations))
        steps = equilibrium.residuals(states)
        return Generated(self.decoder(equilibrium.choose(states[1:], steps, rule)), steps)

    def trajectory(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, iterations: int | None = None
    ) -> Generated:
        """Return the images of z_1..z_K (K, B, C, H, W), and the residuals (K, B)."""
        states = torch.stack(self._solve(noise, label, state, iterations or self.iterations))
        return Generated(self.decoder(states[1:]), equilibrium.residuals(states))

    def _solve(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None,
        iterations: int,
        checkpointing: bool = False,
    ) -> list[Tensor]:
        """Return the states z_0..z_K, each (B, N, D)."""
        assert state is not None, "GET starts from a state z_0"
        h, c = self._embed(noise, label)
        for block in self.injection_blocks:
            h = block(h, c)
        n = self.injection(h)
        if c is not None:
            n = n + c.repeat(1, 1, len(self.equilibrium_blocks))
        injections = n.chunk(len(self.equilibrium_blocks), dim=2)

        def equilibrium_transformer(z: Tensor) -> Tensor:
            for block, u in zip(self.equilibrium_blocks, injections, strict=True):
                z = block(z, u)
            return z

        return equilibrium.iterate(equilibrium_transformer, state, iterations, checkpointing=checkpointing)


class ViT(Student):
    """The baseline: GET without the equilibrium part, `depth` pre-LN blocks.

    Args:
        depth: number of blocks L.
        **common: arguments of `Student`.
    """

    def __init__(self, *, depth: int, **common: Any) -> None:
        super().__init__(**common)
        block = AdaLNBlock if common["conditioning"] == "adaln-zero" else Block
        self.blocks = nn.ModuleList(
            block(common["width"], common["heads"], INJECTION_EXPANSION) for _ in range(depth)
        )
        self._initialise()

    def forward(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None = None, checkpointing: bool = False
    ) -> Tensor:
        """Return the one decoded state (1, B, C, H, W); `state` and `checkpointing` are not read."""
        h, c = self._embed(noise, label)
        for block in self.blocks:
            h = block(h, c)
        return self.decoder(h, c)[None]

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None = None,
        iterations: int | None = None,
        rule: str = "lowest-residual",
    ) -> Generated:
        """Return images (B, C, H, W) and no residuals (0, B); see `Student.generate`."""
        images, residuals = self.trajectory(noise, label)
        return Generated(images[0], residuals)

    def trajectory(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None = None,
        iterations: int | None = None,
    ) -> Generated:
        """Return the images (1, B, C, H, W), and no residuals (0, B)."""
        return Generated(self(noise, label), noise.new_empty(0, len(noise)))


FAMILIES: dict[str, type[Student]] = {"get": GET, "vit": ViT}


def build(description: Description) -> Student:
    """Return the student that `description` names: key 'family' and the arguments of that class.

    Raises:
        UserError: a key is missing, unknown or impossible.
    """
    arguments = dict(description)
    family = arguments.pop("family", None)
    if family not in FAMILIES:
        raise UserError(f"model family is {family!r}; it must be one of {', '.join(FAMILIES)}")
    if family == "get" and arguments.get("conditioning") == "adaln-zero":
        raise UserError("conditioning 'adaln-zero' is for family 'vit' only; GET takes 'none' or 'injection'")
    try:
        return FAMILIES[family](**arguments)
    except (TypeError, KeyError) as error:
        raise UserError(f"model description of family {family!r}: {error}") from None


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, counted as the paper does: with the fixed position table."""
    return sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()])


def _check_sizes(size: int, patch: int, width: int, heads: int) -> None:
    if size % patch:
        raise UserError(f"model.patch {patch} does not divide the image size {size}")
    if width % heads:
        raise UserError(f"model.heads {heads} does not divide model.width {width}")
    if width % 4:
        raise UserError(f"model.width {width} is no multiple of 4, which the 2-D positions need")
