"""The sampler on a Gaussian, whose denoiser is known: order of convergence, and what it samples."""

import numpy as np
import pytest
import torch
from torch import Tensor

from get.networks.levels import noise_levels
from get.teacher.samplers.heun import evaluations, heun
from get.teacher.training import NoiseLevels, edm_loss

MEAN, DEVIATION = 0.3, 0.5


def denoise(x: Tensor, sigma: Tensor) -> Tensor:
    """D(x; sigma) of data N(MEAN, DEVIATION^2), in the precision of x."""
    s = sigma.double().view(-1, 1, 1, 1).square()
    return ((DEVIATION**2 * x.double() + s * MEAN) / (DEVIATION**2 + s)).float()


def exact(noise: Tensor, sigma_max: float) -> Tensor:
    """Where the ODE takes sigma_max * noise: the distance to the mean scales with the spread."""
    start = sigma_max * noise.double() - MEAN
    return MEAN + start * DEVIATION / (DEVIATION**2 + sigma_max**2) ** 0.5


def error(num_steps: int, sigma_min: float = 0.02, sigma_max: float = 2.0) -> float:
    noise = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    # the last step, to sigma = 0, is Euler's: compare at sigma_min, where only Heun's steps have been taken
    levels = noise_levels(num_steps, sigma_min, sigma_max, 7)[:-1]
    ours = heun(lambda x, sigma: denoise(x, sigma), noise, levels)
    start = sigma_max * noise.double() - MEAN
    spread = ((DEVIATION**2 + sigma_min**2) / (DEVIATION**2 + sigma_max**2)) ** 0.5
    return (ours - (MEAN + start * spread)).abs().max().item()


def test_second_order_convergence() -> None:
    errors = np.array([error(n) for n in (9, 17, 33, 65)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert np.all(np.abs(orders - 2) < 0.25), orders


def test_recovers_the_distribution() -> None:
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    x = heun(denoise, noise, noise_levels(64, 0.002, 80, 7))
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(DEVIATION, rel=0.02)
    torch.testing.assert_close(x, exact(noise, 80), atol=0.03, rtol=0.03)


def test_noise_levels() -> None:
    levels = noise_levels(18, 0.002, 80, 7)
    assert len(levels) == 19
    assert levels[0].item() == pytest.approx(80)
    assert levels[17].item() == pytest.approx(0.002)
    assert levels[18] == 0
    assert (levels[:-1] > levels[1:]).all()


def test_evaluations_are_counted() -> None:
    calls = []
    heun(lambda x, s: calls.append(s) or x, torch.randn(1, 1, 2, 2), noise_levels(18, 0.002, 80, 7))
    assert len(calls) == evaluations(num_steps=18) == 35


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
