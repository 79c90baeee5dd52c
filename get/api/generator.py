"""A student that draws: `get.load`, and what it returns."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.api.arguments import Label, Noise, Numbers, classes_for, noise_of, numbers_of, pictures, whole
from get.api.device import device_of
from get.runtime.seeding import LAST_INDEX
from get.sampling import one_step
from get.sampling.one_step import Samples, Sampling
from get.storage.errors import UserError
from get.storage.weights import Header
from get.student import checkpoint
from get.student.models import Student, parameter_count

Bytes = NDArray[np.uint8]


class Options(TypedDict, total=False):
    """How a student is sampled; each may be left out.

    batch: samples per call (64); smaller where memory is short.
    iterations: fixed-point iterations of a GET; left out, as many as in training.
    rule: which state of a GET is decoded: 'lowest-residual' (the paper's) or 'last'.
    initial: z_0 of a GET: 'independent' for each sample, one draw 'shared' by all, or 'zeros'.
    precision: 'float32', 'tf32' or 'bfloat16'.
    """

    batch: int
    iterations: int | None
    rule: str
    initial: str
    precision: str


class Trajectory(NamedTuple):
    """The image of every fixed-point iteration, and how far the state still moved.

    images: uint8 (K, N, H, W, C), or raw (K, N, C, H, W). residuals: (K, N) float32, ||f(z_k) - z_k|| of each
    sample as the rule reads it; (0, N) of a student without a state, whose K is 1.
    """

    images: Any
    residuals: NDArray[np.float32]

    def __repr__(self) -> str:
        shapes = (tuple(each.shape) for each in self)
        return "<get.Trajectory: images {}, residuals {}>".format(*shapes)


class Generator:
    """A student, ready to draw: what `load` returns.

    Sample i is a function of (student, seed, i, class), whatever the batch: the same as that of `get sample`.

    Attributes:
        network: the `Student`, a `torch.nn.Module` in evaluation mode on `device`.
        header: what its file says: model, training, step, seed, teacher, ...
        device: where it computes.
        shape: (C, H, W) of its images; classes: 0 if it sees none.
        iterations: those it was trained with; 1 without a state. parameters: how many, as the paper counts.
    """

    def __init__(self, network: Student, header: Header, device: torch.device) -> None:
        self.network, self.header, self.device = network.to(device), header, device
        self.shape, self.iterations = network.shape, network.iterations
        self.classes = network.classes if network.conditional else 0
        self.parameters = parameter_count(network)

    def __repr__(self) -> str:
        classes = f"{self.classes} classes" if self.classes else "no classes"
        images = f"images {'x'.join(map(str, self.shape))}"
        family, size = self.header["model"]["family"], f"{self.parameters:,} parameters"
        return f"<get.Generator: {family}, {size}, {images}, {classes}, on {self.device}>"

    @overload
    def sample(
        self,
        samples: Numbers | None = ...,
        *,
        label: Label = ...,
        seed: int = ...,
        noise: Noise = ...,
        raw: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> Bytes: ...

    @overload
    def sample(
        self,
        samples: Numbers | None = ...,
        *,
        label: Label = ...,
        seed: int = ...,
        noise: Noise = ...,
        raw: Literal[True],
        **options: Unpack[Options],
    ) -> Tensor: ...

    def sample(
        self,
        samples: Numbers | None = None,
        *,
        label: Label = None,
        seed: int = 0,
        noise: Noise = None,
        raw: bool = False,
        **options: Unpack[Options],
    ) -> Bytes | Tensor:
        """Return images uint8 (N, H, W, C), one evaluation each.

        Args:
            samples: how many, or their numbers; left out, one, or one for each noise or label.
            label: the class of all, or of each; None: sample i has class i mod classes.
            seed: names the noise and z_0, with the numbers of the samples.
            noise: noise (N, C, H, W) of unit variance in place of that which is drawn, a tensor or an array.
            raw: return a tensor (N, C, H, W) float32 in about [-1, 1] on the CPU.
            **options: batch, iterations, rule, initial, precision; see `Options`.

        Raises:
            UserError: an argument cannot be, or does not suit this student.
        """
        return _joined(self._draw(samples, label, seed, noise, options, trajectories=False), raw)

    @overload
    def interpolate(
        self,
        first: int,
        last: int,
        count: int = ...,
        *,
        label: int | None = ...,
        seed: int = ...,
        raw: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> Bytes: ...

    @overload
    def interpolate(
        self,
        first: int,
        last: int,
        count: int = ...,
        *,
        label: int | None = ...,
        seed: int = ...,
        raw: Literal[True],
        **options: Unpack[Options],
    ) -> Tensor: ...

    def interpolate(
        self,
        first: int,
        last: int,
        count: int = 10,
        *,
        label: int | None = None,
        seed: int = 0,
        raw: bool = False,
        **options: Unpack[Options],
    ) -> Bytes | Tensor:
        """Return `count` images (as `sample` does) whose noise leads from one sample's to another's.

        The noise goes along the great circle between them, the ends included; z_0 is one for all unless
        `initial` says else.

        Args:
            first, last: the numbers of the samples at either end.
            label: the class of all; None: that of the first.
            count, seed, raw, **options: see `sample`.
        """
        ends = (whole(first, "first", 0, LAST_INDEX), whole(last, "last", 0, LAST_INDEX))
        chosen = classes_for(None if label is None else whole(label, "label"), ends[:1], self.classes)
        given: Options = {"initial": "shared", **options} if self.network.state_shape else options
        batches = one_step.interpolate(
            self.network,
            ends,
            whole(count, "count", 1),
            int(chosen[0]),
            seed=whole(seed, "seed"),
            options=self._options(given),
            device=self.device,
        )
        return _joined(batches, raw)

    def trajectory(
        self,
        samples: Numbers | None = None,
        *,
        label: Label = None,
        seed: int = 0,
        noise: Noise = None,
        raw: bool = False,
        **options: Unpack[Options],
    ) -> Trajectory:
        """Return the image of every iteration of a GET, decoded, and the residuals; arguments as `sample`."""
        drawn = list(self._draw(samples, label, seed, noise, options, trajectories=True))
        images = torch.cat([batch.images for batch in drawn], dim=1)
        residuals = torch.cat([batch.residuals for batch in drawn], dim=1)
        return Trajectory(images if raw else pictures(images), residuals.numpy())

    def _draw(
        self,
        samples: Numbers | None,
        label: Label,
        seed: int,
        noise: Noise,
        options: Options,
        trajectories: bool,
    ) -> Iterator[Samples]:
        numbers = numbers_of(samples, noise, label)
        return one_step.sample(
            self.network,
            numbers,
            classes_for(label, numbers, self.classes),
            seed=whole(seed, "seed"),
            options=self._options(options),
            device=self.device,
            trajectories=trajectories,
            noise=noise_of(noise, len(numbers), self.shape),
        )

    def _options(self, options: Options) -> Sampling:
        given, known = dict[str, Any](options), [*Options.__annotations__]
        for name in given.keys() - Options.__annotations__.keys():
            raise UserError(
                f"{name}: there is no such argument here; of the options there are {', '.join(known)}"
            )
        for name in ("batch", "iterations"):
            if given.get(name) is not None:
                given[name] = whole(given[name], name)
        sampling = Sampling(**given)
        sampling.require_state(self.network)
        return sampling


def _joined(batches: Iterable[Samples], raw: bool) -> Any:
    """Return the images of all batches: a tensor, or bytes."""
    if raw:
        return torch.cat([batch.images for batch in batches])
    return np.concatenate([pictures(batch.images) for batch in batches])


def load(path: str | Path, device: str | torch.device = "auto") -> Generator:
    """Return the student stored at `path`, ready to draw.

    Args:
        path: a checkpoint (.safetensors), a folder that `get export` wrote, or 'digits/get-48' or
            'digits/vit-48', which come with the package.
        device: 'auto' (a GPU where there is one), 'cpu', 'cuda', 'cuda:1', ...

    Raises:
        UserError: the file is missing, damaged or no student, or there is no such device.
    """
    network, header = checkpoint.load(path)
    return Generator(network, header, device_of(device))
