"""GET, the Generative Equilibrium Transformer (paper, Section 3; what its text leaves open: its code)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from get.student import equilibrium
from get.student.models import Generated
from get.student.transformer import INJECTION_EXPANSION, Block, Transformer


class GET(Transformer):
    """Generative Equilibrium Transformer.

    The injection transformer reads the noise once; a bias-free linear layer on its output gives each
    equilibrium block l its injection n_l (B, N, 3D). The equilibrium transformer, with weights tied over
    iterations, is applied `iterations` times to a state z, with u_l = n_l + c added to q, k, v of block l.

    Args:
        injection_depth, equilibrium_depth: number of blocks L_i and L_e.
        expansion: MLP ratio E of the equilibrium blocks.
        iterations: fixed-point iterations K, all of them supervised in training.
        patch, width, heads, conditioning, **images: see `Transformer`.
    """

    def __init__(
        self,
        *,
        patch: int,
        width: int,
        heads: int,
        injection_depth: int,
        equilibrium_depth: int,
        expansion: int,
        iterations: int,
        conditioning: Literal["none", "injection"],
        **images: Any,
    ) -> None:
        super().__init__(patch=patch, width=width, heads=heads, conditioning=conditioning, **images)
        self.state_shape = self.tokens, self.width
        self.iterations = iterations
        self.injection_blocks = nn.ModuleList(
            Block(width, heads, INJECTION_EXPANSION) for _ in range(injection_depth)
        )
        self.injection = nn.Linear(width, equilibrium_depth * 3 * width, bias=False)
        self.equilibrium_blocks = nn.ModuleList(
            Block(width, heads, expansion) for _ in range(equilibrium_depth)
        )
        self._initialise()

    def forward(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, checkpointing: bool = False
    ) -> Tensor:
        """Return the decoded states z_1..z_K (K, B, C, H, W)."""
        states = self._solve(noise, label, state, self.iterations, checkpointing)[1:]
        if checkpointing:  # one by one, so that nothing but the states themselves is kept
            return torch.stack([checkpoint(self.decoder, z, use_reentrant=False) for z in states])
        return self.decoder(torch.stack(states))

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None = None,
        iterations: int | None = None,
        rule: str = "lowest-residual",
    ) -> Generated:
        """Return images of the state chosen by `rule`, and the residuals (K, B); see `Student.generate`."""
        states = torch.stack(self._solve(noise, label, state, iterations or self.iterations))
        steps = equilibrium.residuals(states)
        return Generated(self.decoder(equilibrium.choose(states[1:], steps, rule)), steps)

    def trajectory(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None = None, iterations: int | None = None
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


STUDENT = GET
