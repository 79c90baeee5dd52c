"""Losses that look through a network: LPIPS against the package's values, its weights, what it refuses."""

import copy
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from conftest import DISTILLATION, GET, NETWORK, VIT
from fabricate import vgg16
from torch import Tensor, nn

from get.costs.measure import operations, training_costs
from get.experiment import ConfigError
from get.experiment.counts import counts
from get.pairs.dataset import Batch
from get.pairs.indices import HELD_OUT
from get.pairs.manifest import write_manifest
from get.pairs.shards import write_shard
from get.runtime.device import autocast
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.weights import read_header
from get.student import checkpoint, losses, training
from get.student.examples import Source
from get.student.losses.lpips import Lpips
from get.student.training import Inputs, mean_image_error, train_student
from get.studies import load_experiment as load
from get.studies import settings_text

SIZE = 16
CPU = torch.device("cpu")
COLOUR = {"channels": 3, "size": SIZE, "classes": 10}
Config = dict[str, Any]


@pytest.fixture(scope="session")
def network() -> nn.Module:
    return vgg16()


@pytest.fixture(scope="session")
def vgg(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of VGG-16, with some that LPIPS does not need."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16-test.pth"
    torch.save({**network.state_dict(), "classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture
def package(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The package's LPIPS, which takes the features of VGG-16 apart by itself."""
    import lpips

    monkeypatch.setattr("torchvision.models.vgg16", lambda **_: copy.deepcopy(network))
    return lpips.LPIPS(net="vgg", verbose=False)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# -------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("size", [16, 20, 32])
def test_lpips_is_what_the_package_computes(size: int, vgg: Path, package: nn.Module) -> None:
    """Of every state, with the one image that is wanted of all."""
    found, wanted = images(2, 3, 3, size, size), images(3, 3, size, size, seed=1)
    errors = Lpips(source=vgg)(found, wanted)
    assert errors.shape == (2, 3, 1, 1, 1)
    for state, error in zip(found, errors, strict=True):
        torch.testing.assert_close(error, package(state, wanted), rtol=1e-5, atol=1e-7)
    assert errors.unique().numel() == 6
    assert not Lpips(source=vgg)(wanted, wanted).any()


def test_its_gradient_is_the_packages(vgg: Path, package: nn.Module) -> None:
    wanted, gradients = images(2, 3, SIZE, SIZE, seed=1), []
    for loss in (Lpips(source=vgg), package):
        found = images(2, 3, SIZE, SIZE).requires_grad_()
        loss(found, wanted).sum().backward()
        gradients.append(found.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_it_goes_with_autocast(vgg: Path) -> None:
    loss, wanted = Lpips(source=vgg), images(2, 3, SIZE, SIZE, seed=1)
    found = images(2, 3, SIZE, SIZE).requires_grad_()
    full = loss(found, wanted)
    with autocast(CPU, "bfloat16"):
        half = loss(found.bfloat16(), wanted)
    half.sum().backward()
    assert half.dtype == torch.float32
    assert not half.equal(full)
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.0)
    assert found.grad is not None
    assert found.grad.isfinite().all()


def test_its_network_is_frozen_and_draws_nothing(vgg: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for source in (vgg, None):
        network = Lpips(source=source).network
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad or weight.is_meta for weight in network.parameters())
    assert torch.get_rng_state().equal(before)


def convolutions(size: int) -> int:
    """The multiply-accumulates of VGG-16's convolutions, without those of its classes."""
    widths, total, before = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3], 0, 3
    for level, layers in enumerate(widths):
        for width in layers:
            total += 9 * before * width * (size >> level) ** 2
            before = width
    return total


def test_costs_count_it_without_its_weights() -> None:
    """Forward of every state and the wanted image, backward of the states."""
    training = {"batch": 2, "clip": None, "compile": False, "precision": "float32"}
    with_lpips = training | {"loss": {"name": "lpips"}}
    for model, states in (({**VIT, **COLOUR}, 1), ({**GET, **COLOUR}, 3)):
        counted = [operations(model, each) for each in (training, with_lpips)]
        added = counted[1]["training_flops"] - counted[0]["training_flops"]
        assert added == 2 * (2 * states + 1) * convolutions(SIZE)
        assert counted[1]["macs"] == counted[0]["macs"]
    peaks = [training_costs({**VIT, **COLOUR}, each, None, CPU)["plain"] for each in (training, with_lpips)]
    held = 4 * sum(weight.numel() for weight in Lpips(source=None).network.net.parameters())
    assert peaks[1]["peak_memory_bytes"] - peaks[0]["peak_memory_bytes"] > held


def test_the_mean_image_is_compared_in_parts(vgg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(torch.empty(0), images(5, 3, SIZE, SIZE), torch.tensor([0, 0, 0, 1, 1]))
    source, loss = Source(lambda numbers: batch, 5, (3, SIZE, SIZE), 2), Lpips(source=vgg)
    whole = mean_image_error(source, conditional=True, loss=loss)
    monkeypatch.setattr(training, "BASELINE_PART", 2)
    assert mean_image_error(source, conditional=True, loss=loss) == pytest.approx(whole, rel=1e-5)


# ------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def colour_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, source = tmp_path_factory.mktemp("colour"), np.random.default_rng(0)
    for name, start, count in (("train-00000", 0, 12), ("held-out", HELD_OUT, 4)):
        noise, image = (source.standard_normal((count, 3, SIZE, SIZE)).astype(np.float16) for _ in range(2))
        attributes = {"identity": "abc", "classes": 10, "teacher": "t"}
        write_shard(folder / f"{name}.h5", start, noise, np.tanh(image), np.arange(count) % 10, attributes)
    write_manifest(folder / "manifest.json", sorted(folder.glob("*.h5")), "abc")
    return folder / "manifest.json"


def train(
    manifest: Path, weights: Path | None, output: Path, start: Path | None = None, **source: Any
) -> Path:
    """Train to the step that the name of the output says."""
    loss = {"name": "lpips", "source": {"file": "vgg16-test.pth", **source}}
    settings, output = output.with_name("settings.json"), output.with_suffix(".pt")
    entry = {**DISTILLATION, "batch": 4, "loss": loss}
    output.parent.mkdir(exist_ok=True)
    write_json(settings, {"model": GET, "training": entry, "pairs": "abc"})
    train_student(
        settings=settings, inputs=Inputs(manifest, loss=weights), seed=0, stop=int(output.stem), device="cpu",
        start=start, output=output,
    )  # fmt: skip
    return output.with_suffix(".safetensors")


def test_a_student_trains_with_it_and_resumes_bit_for_bit(
    colour_pairs: Path, vgg: Path, tmp_path: Path
) -> None:
    whole = train(colour_pairs, vgg, tmp_path / "whole/6", sha256=sha256(vgg))
    first = train(colour_pairs, vgg, tmp_path / "parts/2", sha256=sha256(vgg))
    second = train(colour_pairs, vgg, tmp_path / "parts/6", first.with_suffix(".pt"), sha256=sha256(vgg))
    assert second.read_bytes() == whole.read_bytes()
    # It learns, and its state holds nothing of VGG
    weights = [checkpoint.load(path)[0].state_dict() for path in (first, whole)]
    assert any(not weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert whole.with_suffix(".pt").stat().st_size < 1e6 < vgg.stat().st_size
    header = read_header(whole, "student")
    assert header["loss"] == sha256(vgg)
    assert header["training"]["loss"]["source"] == {"file": "vgg16-test.pth", "sha256": sha256(vgg)}


def test_other_weights_are_other_settings(colour_pairs: Path, vgg: Path, tmp_path: Path) -> None:
    first = train(colour_pairs, vgg, tmp_path / "run/2")
    other = tmp_path / "vgg16-test.pth"
    torch.save(vgg16(1).state_dict(), other)
    with pytest.raises(UserError, match=r"2.pt has other settings or is beyond step 4"):
        train(colour_pairs, other, tmp_path / "run/4", first.with_suffix(".pt"))


def test_weights_are_checked_where_they_are_read(
    colour_pairs: Path, vgg: Path, network: nn.Module, tmp_path: Path
) -> None:
    def refusal(weights: Path | None, **source: Any) -> str:
        with pytest.raises(UserError) as caught:
            train(colour_pairs, weights, tmp_path / "run/2", **source)
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    assert "vgg16-test.pth has SHA-256" in refusal(vgg, sha256="0" * 64)
    assert "its training needs the file --loss" in refusal(None)
    assert "nowhere.pth cannot be read" in refusal(tmp_path / "nowhere.pth")
    damaged = {
        "cut.pth": vgg.read_bytes()[:1000],
        "text.pth": b"no weights",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
    other = torchvision.models.squeezenet1_1().state_dict()
    wider = {name: torch.cat([weight, weight]) for name, weight in network.state_dict().items()}
    for name, weights in (("other.pth", other), ("wider.pth", wider)):
        torch.save(weights, tmp_path / name)
    for name in ("cut.pth", "text.pth", "other.pth", "wider.pth"):
        message = refusal(tmp_path / name)
        assert f"{name} is no file of torchvision's weights of VGG-16 or is damaged" in message
        assert "name vgg16-397923af.pth of torchvision in training.loss.source" in message


def test_the_package_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UserError, match=r"pip install -e '.\[lpips\]' -c envs/constraints.txt$"):
        losses.build({"name": "lpips"})


def test_nothing_is_said_on_the_way(vgg: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Lpips(source=vgg)
    assert capfd.readouterr() == ("", "")


# ----------------------------------------------------------------------------------------------- the config

URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"


@pytest.fixture
def looking(cifar_config: Config) -> Callable[..., Config]:
    """Return the paper's config, in which a GET has the loss lpips with this source."""

    def change(**source: Any) -> Config:
        config = json.loads(json.dumps(cifar_config))  # parts that YAML anchors share become separate
        config["students"]["get-base"]["training"]["loss"] = {"name": "lpips", "source": source}
        return config

    return change


def test_a_fingerprint_names_the_weights_not_where_they_lie(
    looking: Callable[..., Config], tmp_path: Path
) -> None:
    local = tmp_path / "vgg16-397923af.pth"
    local.touch()
    found = [
        settings_text(load(looking(sha256=SHA256, **where)), "students/get-base")
        for where in ({"url": URL}, {"path": str(local)}, {"url": f"https://mirror.org/{local.name}"})
    ]
    assert len(set(found)) == 1
    loss = json.loads(found[0])["training"]["loss"]
    assert loss == {"name": "lpips", "source": {"file": local.name, "sha256": SHA256}}
    unchecked = json.loads(settings_text(load(looking(url=URL)), "students/get-base"))["training"]["loss"]
    assert unchecked == {"name": "lpips", "source": {"file": local.name}}
    # Costs are those of any weights
    costs = json.loads(settings_text(load(looking(url=URL)), "costs"))["students"]["get-base"]
    assert costs["training"]["loss"] == {"name": "lpips"}


def test_the_weights_are_downloaded_once_and_learned_with(
    looking: Callable[..., Config], cifar_config: Config
) -> None:
    config = looking(url=URL, sha256=SHA256)
    config["students"]["vit-base"]["training"]["loss"] = {"name": "lpips", "source": {"url": URL}}
    experiment = load(config)
    path = f"{experiment.results}/inputs/vgg16-397923af.pth"
    assert experiment.downloads["vgg16-397923af.pth"].url == URL
    assert [experiment.learned_from(name).get("loss") for name in ("get-base", "vit-base", "get-tiny")] == [
        path, path, None,
    ]  # fmt: skip
    downloads = [
        {count.what for count in counts(each) if count.rule == "download"}
        for each in (experiment, load(cifar_config))
    ]
    assert downloads[0] - downloads[1] == {URL}
    # Not by what is not trained
    for key, value in (("disabled", "no time"), ("import", {"url": "https://x.org/get.pt"})):
        imported = looking(url=URL)
        imported["students"]["get-base"] |= {key: value, "milestones": [800000]}
        imported["paper"]["table2"] = imported["paper"]["table5"] = []
        imported["studies"]["sampled"] = ["get-tiny"]
        experiment = load(imported)
        assert "vgg16-397923af.pth" not in experiment.downloads
        if key == "import":
            assert experiment.learned_from("get-base") == {}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"name": "lpips"}, "loss.source is missing; it needs name, source"),
        ({"name": "lpips", "source": {}}, "loss.source names no file: give it a url, or the path"),
        ({"name": "lpips", "source": {"path": "no.pth"}}, "loss.source.path: there is no no.pth"),
        ({"name": "lpips", "source": {"url": URL, "sha256": "abc"}}, "loss.source.sha256: 'abc' does not"),
        ({"name": "lpips", "source": {"file": "x"}}, "loss.source.file: there is no such key"),
        ({"name": "l1", "source": {"url": URL}}, "loss.source: there is no such key; there are name"),
        ("lpipps", "loss.name: 'lpipps' must be one of l1, l2, lpips, pseudo_huber, or a new module"),
    ],
)
def test_a_wrong_loss_is_refused_by_its_key(loss: Any, message: str, cifar_config: Config) -> None:
    config = json.loads(json.dumps(cifar_config))
    config["students"]["get-base"]["training"]["loss"] = loss
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert f"students.get-base.training.{message}" in str(caught.value)


def test_images_that_it_cannot_take_are_refused(
    edit: Callable[..., Config], looking: Callable[..., Config], pairs: Path, vgg: Path, tmp_path: Path
) -> None:
    lpips, key = {"name": "lpips", "source": {"url": URL}}, "students.get.training.loss.name"
    grey = "lpips looks at colour, and these images are grey; choose another"
    with pytest.raises(ConfigError, match=rf"{key}: {grey}$"):
        load(edit(lpips, "students", "get", "training", "loss"))
    with pytest.raises(UserError, match=rf"^training.loss.name: {grey}$"):
        train(pairs, vgg, tmp_path / "run/2")
    reflow = looking(url=URL)
    student = reflow["students"]["get-base"]
    student["training"] = {"batch": 2, "lr": 1e-3, "ema": 0.9, "objective": "reflow", "loss": lpips}
    network = NETWORK | {"attention_resolutions": []}
    student["model"] = {"family": "unet", "conditioning": "none", "network": network}
    reflow["studies"]["sampled"] = ["get-tiny"]
    del reflow["paper"]["larger_vit"]
    message = r"loss.name: lpips compares images, and the objective reflow compares velocities"
    with pytest.raises(ConfigError, match=message):
        load(reflow)


def test_the_least_size_is_that_of_the_poolings(vgg: Path) -> None:
    losses.check_fit("lpips", (3, 16, 16), "pairs", "loss")
    assert Lpips(source=vgg)(images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)).isfinite().all()
    with pytest.raises(RuntimeError, match="Output size is too small"):
        Lpips(source=vgg)(images(1, 3, 15, 15), images(1, 3, 15, 15))
    with pytest.raises(UserError, match=r"lpips looks at images of 16 x 16 pixels or more, and these are 15"):
        losses.check_fit("lpips", (3, 15, 15), "pairs", "loss")
