"""Samplers on a Gaussian, whose denoiser is known: order of convergence, and what they sample."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from get.networks.levels import noise_levels
from get.teacher.samplers.dpm import dpm
from get.teacher.samplers.dpm import evaluations as dpms_evaluations
from get.teacher.samplers.euler import euler
from get.teacher.samplers.euler import evaluations as eulers_evaluations
from get.teacher.samplers.heun import evaluations as heuns_evaluations
from get.teacher.samplers.heun import heun
from get.teacher.training import NoiseLevels, edm_loss

MEAN, DEVIATION = 0.3, 0.5
Method = Callable[..., Tensor]


def denoise(x: Tensor, sigma: Tensor) -> Tensor:
    """D(x; sigma) of data N(MEAN, DEVIATION^2), in the precision of x."""
    s = sigma.double().view(-1, 1, 1, 1).square()
    return ((DEVIATION**2 * x.double() + s * MEAN) / (DEVIATION**2 + s)).float()


def exact(noise: Tensor, sigma_max: float) -> Tensor:
    """Where the ODE takes sigma_max * noise: the distance to the mean scales with the spread."""
    start = sigma_max * noise.double() - MEAN
    return MEAN + start * DEVIATION / (DEVIATION**2 + sigma_max**2) ** 0.5


ORDERS = {heun: 2, euler: 1, dpm: 2}
EVALUATIONS = {heun: heuns_evaluations, euler: eulers_evaluations, dpm: dpms_evaluations}
every = pytest.mark.parametrize("method", ORDERS, ids=lambda method: method.__name__)


def edms(steps: int) -> Tensor:
    # the last step, to sigma = 0, is of first order: compare at sigma_min
    return noise_levels(steps, 0.02, 2.0, 7)[:-1]


def uneven(steps: int) -> Tensor:
    """Noise levels whose logarithms are narrow and wide steps in turn."""
    widths = torch.tensor([1.0, 3.0], dtype=torch.float64).repeat(steps // 2)
    return 2.0 * torch.exp(-torch.cat([widths.new_zeros(1), (widths / widths.sum()).cumsum(0)]) * np.log(100))


def error(method: Method, levels: Tensor) -> float:
    noise = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    ours = method(denoise, noise, levels)
    sigma_max, sigma_min = levels[0].item(), levels[-1].item()
    start = sigma_max * noise.double() - MEAN
    spread = ((DEVIATION**2 + sigma_min**2) / (DEVIATION**2 + sigma_max**2)) ** 0.5
    return (ours - (MEAN + start * spread)).abs().max().item()


@every
@pytest.mark.parametrize("schedule", [edms, uneven])
def test_order_of_convergence(schedule: Callable[[int], Tensor], method: Method) -> None:
    errors = np.array([error(method, schedule(n)) for n in (32, 64, 128, 256)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert np.all(np.abs(orders - ORDERS[method]) < 0.25), orders


@every
def test_recovers_the_distribution(method: Method) -> None:
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    x = method(denoise, noise, noise_levels(64 if ORDERS[method] > 1 else 512, 0.002, 80, 7))
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(DEVIATION, rel=0.02)
    torch.testing.assert_close(x, exact(noise, 80), atol=0.03, rtol=0.03)


@every
@pytest.mark.parametrize("steps", [1, 2, 18])
def test_evaluations_are_counted(steps: int, method: Method) -> None:
    calls = []
    method(lambda x, s: calls.append(s) or x, torch.randn(1, 1, 2, 2), noise_levels(steps, 0.002, 80, 7))
    assert len(calls) == EVALUATIONS[method](num_steps=steps)


def test_dpm_goes_on_as_in_the_step_before() -> None:
    """Where the denoised image is linear in lambda, the second step takes it halfway, whatever the widths."""
    levels = torch.tensor([8.0, 4.0, 0.5], dtype=torch.float64)

    def linear(x: Tensor, sigma: Tensor) -> Tensor:
        return -sigma.log().view(-1, 1, 1, 1).expand_as(x)

    noise = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    first = 0.5 * 8 * noise + 0.5 * -np.log(8)
    second = 0.125 * first + 0.875 * -np.log((4 * 0.5) ** 0.5)
    torch.testing.assert_close(dpm(linear, noise, levels), second, atol=1e-6, rtol=1e-6)


@every
def test_one_step_is_the_denoised_image(method: Method) -> None:
    noise = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = method(denoise, noise, noise_levels(1, 0.002, 80, 7))
    torch.testing.assert_close(found.float(), denoise(80 * noise, torch.full((4,), 80.0)))


def test_noise_levels() -> None:
    levels = noise_levels(18, 0.002, 80, 7)
    assert len(levels) == 19
    assert levels[0].item() == pytest.approx(80)
    assert levels[17].item() == pytest.approx(0.002)
    assert levels[18] == 0
    assert (levels[:-1] > levels[1:]).all()


def test_training_noise_is_log_normal() -> None:
    sigma = NoiseLevels(mean=-1.2, std=0.7).draw(20_000, torch.Generator().manual_seed(0))
    assert sigma.log().mean().item() == pytest.approx(-1.2, abs=0.02)
    assert sigma.log().std().item() == pytest.approx(0.7, abs=0.02)


def test_edm_loss_is_minimal_at_the_true_denoiser() -> None:
    """At the true denoiser the loss is the posterior variance, weighted; any shift adds its square."""

    def loss(shift: float) -> float:
        def shifted(x: Tensor, sigma: Tensor, label: None) -> Tensor:
            return denoise(x, sigma) + shift

        return edm_loss(shifted, image, noise, sigma, None, DEVIATION).item()

    source = torch.Generator().manual_seed(0)
    image = MEAN + DEVIATION * torch.randn(200_000, 1, 1, 1, generator=source)
    noise, sigma = torch.randn(image.shape, generator=source), torch.full((len(image),), 0.7)
    best = loss(0.0)
    weight = (0.7**2 + DEVIATION**2) / (0.7 * DEVIATION) ** 2
    variance = 0.7**2 * DEVIATION**2 / (0.7**2 + DEVIATION**2)
    assert best == pytest.approx(weight * variance, rel=0.01)  # which is 1: the weighting of EDM
    assert loss(0.1) == pytest.approx(best + weight * 0.01, rel=0.02)
