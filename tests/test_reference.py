"""Our models against what the published implementations computed on the same weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Reference
from fabricate import edm_pickle

from get.imports.teachers import import_teacher
from get.networks import denoiser as network
from get.networks.levels import noise_levels
from get.student.checkpoint import from_published, to_published
from get.student.losses.l1 import L1
from get.student.models import Student, build
from get.student.objectives.pairs import decoded_states, weighted_loss
from get.student.transformer import sincos_positions
from get.teacher.samplers.heun import heun

STUDENTS = ["get_uncond", "get_cond", "vit_uncond", "vit_cond"]
TOLERANCE = 1e-9


def student(name: str, reference: Reference) -> Student:
    family, kind = name.split("_")
    description = {"family": family, "channels": 3, "size": 8, "classes": 10, "patch": 2, "width": 24}
    description |= {"heads": 3, "conditioning": "injection" if kind == "cond" else "none"}
    if family == "get":
        description |= {"injection_depth": 2, "equilibrium_depth": 2, "expansion": 3, "iterations": 6}
    else:
        description |= {"depth": 3}
    model = build(description).double()
    model.load_state_dict(from_published(reference.part("state/"), family))
    return model


def inputs(reference: Reference) -> tuple[torch.Tensor | None, ...]:
    noise, state = reference["input/noise"], reference["input/z0"]
    return noise.double(), reference["input/label"], None if state is None else state.double()


@pytest.mark.parametrize("name", STUDENTS)
def test_states_loss_and_gradients(name: str) -> None:
    reference = Reference(name)
    model = student(name, reference)
    states = decoded_states(model, *inputs(reference))
    torch.testing.assert_close(states, reference["output/train_states"], atol=TOLERANCE, rtol=TOLERANCE)
    loss = weighted_loss(states, reference["input/target"].double(), L1(), 0.8)
    torch.testing.assert_close(loss, reference["output/loss_l1_gamma0.8"], atol=TOLERANCE, rtol=TOLERANCE)
    loss.backward()
    norms = {key: p.grad.norm() for key, p in model.named_parameters()}
    expected = from_published(reference.part("gradnorm/"), name.split("_")[0])
    assert norms.keys() == expected.keys()
    for key, norm in expected.items():
        torch.testing.assert_close(norms[key], norm, atol=TOLERANCE, rtol=TOLERANCE, msg=key)


@pytest.mark.parametrize("name", STUDENTS)
def test_evaluation(name: str) -> None:
    reference = Reference(name)
    images = student(name, reference).generate(*inputs(reference)).images
    torch.testing.assert_close(images, reference["output/eval"], atol=TOLERANCE, rtol=TOLERANCE)


def test_positions() -> None:
    positions = Reference("get_uncond")["state/pos_embed"]
    torch.testing.assert_close(sincos_positions(24, 4), positions, atol=1e-7, rtol=0)


def test_lowest_residual_is_not_always_the_last() -> None:
    reference = Reference("get_uncond")
    model = student("get_uncond", reference)
    lowest = model.generate(*inputs(reference), rule="lowest-residual")
    last = model.generate(*inputs(reference), rule="last")
    differs = (lowest.images != last.images).flatten(1).any(dim=1)
    assert differs.tolist() == (lowest.residuals.argmin(dim=0) != 5).tolist()
    assert differs.any()


@pytest.mark.parametrize("name", STUDENTS)
def test_published_names_there_and_back(name: str) -> None:
    reference = Reference(name)
    back = to_published(student(name, reference).float())
    assert back.keys() == reference.part("state/").keys()
    for key, tensor in reference.part("state/").items():
        torch.testing.assert_close(back[key], tensor, atol=0, rtol=0)


SONG = {"model_channels": 8, "channel_mult": [1, 2], "augment_dim": 9}
TEACHERS: dict[str, dict[str, Any]] = {
    "edm_uncond": SONG,
    "edm_cond": SONG,
    "edm_ve_uncond": SONG | {"architecture": "ncsn++"},
    "edm_ve_cond": SONG | {"architecture": "ncsn++"},
    "edm_adm_cond": {"model_channels": 32, "channel_mult": [1, 4], "augment_dim": 0, "architecture": "adm"},
}


@pytest.mark.parametrize("name", TEACHERS)
def test_teacher(name: str, tmp_path: Path) -> None:
    """Imported from a file as EDM writes it: one evaluation, and 18 steps of Heun's method."""
    reference = Reference(name)
    label = reference["input/label"]
    description = {
        "sigma_data": 0.5,
        "channels": 3,
        "size": 8,
        "classes": 0 if label is None else 10,
        "blocks": 1,
        "attention_resolutions": [4],
        "dropout": 0.13,
        **TEACHERS[name],
    }
    state = reference.part("state/")
    source = edm_pickle(tmp_path / "edm.pkl", description, state=state)
    import_teacher(
        source=source, sha256=None, conditional=label is not None, shape=[3, 8, 8], classes=10,
        output=tmp_path / "teacher.safetensors",
    )  # fmt: skip
    model = network.load(tmp_path / "teacher.safetensors")
    with torch.no_grad():
        denoised = model(reference["input/noisy"], reference["input/sigma"], label)
        images = heun(
            lambda x, sigma: model(x, sigma, label),
            reference["input/latents"],
            noise_levels(18, 0.002, 80, 7),
        )
    for ours, key in ((denoised, "output/denoised_fp32"), (images, "output/heun18_fp32_network")):
        assert (ours - reference[key]).abs().max() < 1e-4 * reference[key].abs().max()
