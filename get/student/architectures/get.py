"""GET, the Generative Equilibrium Transformer (paper, Section 3; what its text leaves open: its code)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from get.storage.variants import Rule
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
        self.solver: equilibrium.Solver = equilibrium.plain  # in sampling; training iterates plainly
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
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor,
        checkpointing: bool = False,
        implicit: bool = False,
    ) -> Tensor:
        """Return the decoded states z_1..z_K (K, B, C, H, W), or the last alone with `implicit`.

        Args:
            noise, label, state: as in `Student.generate`.
            checkpointing: O(1)-memory mode; implicit: see `equilibrium.implicit`.
        """
        f = self._equilibrium(noise, label)
        if implicit:
            return self.decoder(equilibrium.implicit(f, state, self.iterations))[None]
        states = equilibrium.iterate(f, state, self.iterations, checkpointing=checkpointing)[1:]
        if checkpointing:  # one by one, so that nothing but the states themselves is kept
            return torch.stack([checkpoint(self.decoder, z, use_reentrant=False) for z in states])
        return self.decoder(torch.stack(states))

    def generate(
        self,
        noise: Tensor,
        label: Tensor | None,
        state: Tensor | None = None,
        iterations: int | None = None,
        rule: str = Rule.LOWEST_RESIDUAL,
    ) -> Generated:
        """Return images of the state chosen by `rule`, and the residuals (K, B); see `Student.generate`."""
        states, residuals = self._solve(noise, label, state, iterations)
        return Generated(self.decoder(equilibrium.choose(states, residuals, rule)), residuals)

    def trajectory(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None = None, iterations: int | None = None
    ) -> Generated:
        """Return the images of z_1..z_K (K, B, C, H, W), and the residuals (K, B)."""
        states, residuals = self._solve(noise, label, state, iterations)
        return Generated(self.decoder(states), residuals)

    def _solve(
        self, noise: Tensor, label: Tensor | None, state: Tensor | None, iterations: int | None
    ) -> equilibrium.Solution:
        if state is None:
            raise TypeError("a GET starts from a state z_0 (B, N, D), which `get.load(path).sample` draws")
        return self.solver(self._equilibrium(noise, label), state, iterations or self.iterations)

    def _equilibrium(self, noise: Tensor, label: Tensor | None) -> equilibrium.Map:
        """Return the equilibrium transformer as a map of states (B, N, D), the noise injected."""
        # Injection transformer: noise and class to h (B, N, D), once for all iterations
        h, c = self._embed(noise, label)
        for block in self.injection_blocks:
            h = block(h, c)
        # Injections n_l + c (B, N, 3D), one for each equilibrium block
        n = self.injection(h)
        if c is not None:
            n = n + c.repeat(1, 1, len(self.equilibrium_blocks))
        injections = n.chunk(len(self.equilibrium_blocks), dim=2)

        def equilibrium_transformer(z: Tensor) -> Tensor:
            for block, u in zip(self.equilibrium_blocks, injections, strict=True):
                z = block(z, u)
            return z

        return equilibrium_transformer


STUDENT = GET
