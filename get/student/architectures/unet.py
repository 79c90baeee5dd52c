"""The teacher's U-Net as a student, of any size: what other one-step methods train."""

from typing import Any, Literal

from torch import Tensor

from get.networks import preconditioning
from get.networks.unet import UNet
from get.student.models import Student

FORMS = ("denoiser", "consistency", "velocity")


class UNetStudent(Student):
    """A U-Net F under the preconditioning of its form.

    One sample is D(sigma_max e; sigma_max) of a denoiser D or a consistency function, and e + v(e, 0) of a
    velocity v, for unit-variance noise e. Parameters have the names of a teacher's.

    Args:
        network: 'sigma_data', and arguments of `UNet`: an entry `network` of a teacher in the config.
        sigma_min, sigma_max: the lowest and the highest noise level.
        form: what the objective makes of F, one of `FORMS`.
        conditioning: 'embedding' adds the class to the embedding of the noise level.
        **images: see `Student`.
    """

    def __init__(
        self,
        *,
        network: dict[str, Any],
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        form: str = "denoiser",
        conditioning: Literal["none", "embedding"],
        **images: Any,
    ) -> None:
        super().__init__(conditioning=conditioning, **images)
        arguments = {key: value for key, value in network.items() if key != "sigma_data"}
        channels, size, _ = self.shape
        classes = self.classes if self.conditional else 0
        self.model = UNet(**arguments, channels=channels, size=size, classes=classes)
        self.sigma_data: float = network["sigma_data"]
        self.sigma_min, self.sigma_max, self.form = sigma_min, sigma_max, form

    def forward(self, x: Tensor, label: Tensor | None, level: Tensor | None = None) -> Tensor:
        """Map noise to images, or evaluate the function of this form.

        Args:
            x: without a level, unit-variance noise (B, C, H, W); else the argument of the function.
            label: (B,) int64; an unconditional student does not read it.
            level: sigma (B,) of a denoiser or a consistency function; t (B,) of a velocity.
        """
        label = label if self.conditional else None
        if level is not None:
            return self._scaling(level)(self.model, x, label)
        if self.form == "velocity":
            return x + self._scaling(x.new_zeros(x.shape[0]))(self.model, x, label)
        level = x.new_full((x.shape[0],), self.sigma_max)
        return self._scaling(level)(self.model, x * self.sigma_max, label)

    def _scaling(self, level: Tensor) -> preconditioning.Preconditioning:
        if self.form == "denoiser":
            return preconditioning.denoiser(level, self.sigma_data)
        if self.form == "consistency":
            return preconditioning.consistency(level, self.sigma_data, self.sigma_min)
        return preconditioning.velocity(level, self.sigma_data, self.sigma_min, self.sigma_max)


STUDENT = UNetStudent
