"""Extractors whose weights come from outside: DINOv2 and CLIP."""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import weight_of
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import CLIPVisual

from get.cli import main
from get.runtime import plugins
from get.scoring.extractors import PACKAGE, clip, dinov2
from get.scoring.features import Extractor
from get.storage.errors import UserError

CPU = torch.device("cpu")
SMALL = 384  # features of ViT-S/14
# its first features of the image below, resized within 0 to 255, by the code of DINOv2's authors with
# the weights below
PUBLISHED = [
    [-2.948053598, -0.260118127, -0.996957958, 0.451917678],
    [-2.938359976, 0.001413803, -0.592597961, 0.207057863],
]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ViT-S/14 as DINOv2's authors publish it, of positions at 518 pixels."""
    state = dinov2.build(SMALL).state_dict()
    state |= {"pos_embed": torch.zeros(1, 1 + 37**2, SMALL), "mask_token": torch.zeros(1, SMALL)}
    path = tmp_path_factory.mktemp("dinov2") / "dinov2_vits14_pretrain.pth"
    torch.save({name: weight_of(name, like.shape) for name, like in state.items()}, path)
    return path


class Clip(nn.Module):
    """A small CLIP, as far as an extractor reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = CLIPVisual(32, 32, 2, 64, 8).visual
        self.text_projection = nn.Parameter(torch.zeros(8, 32))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.visual(images)
        return features


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript file, as OpenAI publishes CLIP."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Clip(), torch.zeros(1, 3, 32, 32)).save(str(path))
    return path


def test_dinov2_is_its_authors(dino: Path, image: np.ndarray) -> None:
    found = Extractor("dinov2", dino, "cpu", 2)(image)
    assert found.logits is None
    assert found.penultimate.shape == (2, SMALL)
    np.testing.assert_allclose(found.penultimate[:, :4], PUBLISHED, atol=1e-5)


def test_clip_is_the_network_of_the_file(clip_file: Path, image: np.ndarray) -> None:
    torch.manual_seed(0)
    network = Clip().half().float().eval()  # OpenAI's weights are halves; torch-fidelity makes them such
    mean, deviation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    wanted = [torch.tensor(each)[:, None, None] for each in (mean, deviation)]
    with torch.no_grad():
        expected = network((torch.from_numpy(image) / 255 - wanted[0]) / wanted[1])
    found = Extractor("clip", clip_file, "cpu", 2)(image)  # at the network's own resolution
    assert found.logits is None
    np.testing.assert_allclose(found.penultimate, expected, atol=1e-2)


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_grey_is_read_as_colour_that_repeats_it(
    name: str, dino: Path, clip_file: Path, image: np.ndarray
) -> None:
    extract = Extractor(name, {"dinov2": dino, "clip": clip_file}[name], "cpu", 2)
    grey, colour = image[:, :1], image[:, :1].repeat(3, axis=1)
    np.testing.assert_allclose(extract(grey).penultimate, extract(colour).penultimate, atol=1e-5)


def test_the_command_takes_them(clip_file: Path, image: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", arr_0=image.transpose(0, 2, 3, 1))
    options = ["--extractor", "clip", "--weights", str(clip_file), "--device", "cpu"]
    assert main(["statistics", str(tmp_path / "x.npz"), *options, "--out", str(tmp_path / "s.npz")]) == 0
    assert np.load(tmp_path / "s.npz")["mu"].shape == (32,)


@pytest.mark.parametrize(
    ("module", "words"), [(dinov2, "weights of DINOv2"), (clip, "TorchScript file of CLIP")]
)
def test_other_files_are_refused(
    module: Any, words: str, dino: Path, clip_file: Path, tmp_path: Path
) -> None:
    registers = torch.load(dino, weights_only=True) | {"register_tokens": torch.zeros(1, 4, SMALL)}
    torch.save(registers, tmp_path / "registers.pth")
    torch.save(
        {"cls_token": torch.zeros(1, 1, 5), "pos_embed": torch.zeros(1, 5, 5)}, tmp_path / "narrow.pth"
    )
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "cut.pth").write_bytes(dino.read_bytes()[:1000])
    (tmp_path / "text.pth").write_bytes(b"no weights")
    for path in (*tmp_path.iterdir(), clip_file if module is dinov2 else dino):
        with pytest.raises(UserError, match=f"{path.name} is no (file of )?{words}.* or is damaged"):
            module.load(path, CPU)
    with pytest.raises(UserError, match=r"nowhere.pth does not exist"):
        module.load(tmp_path / "nowhere.pth", CPU)


def test_code_in_the_weights_is_not_run(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return (tmp_path / "ran").touch, ()

    torch.save({"cls_token": Code()}, tmp_path / "w.pth")
    for load in (dinov2.load, clip.load):
        with pytest.raises(UserError, match="or is damaged"):
            load(tmp_path / "w.pth", CPU)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_the_package_may_be_missing(dino: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install -e '.\[dinov2\]' -c envs/constraints.txt$"):
        dinov2.load(dino, CPU)


@pytest.mark.parametrize("name", ["dinov2", "inception"])
def test_untrained_weights_are_read(name: str, image: np.ndarray, tmp_path: Path, monkeypatch: Any) -> None:
    """The plan times an extractor with them."""
    monkeypatch.setattr(dinov2, "WIDTH", SMALL)
    plugins.load(PACKAGE, name, "extractor").untrained(tmp_path / "w.pth")
    assert np.isfinite(Extractor(name, tmp_path / "w.pth", "cpu", 1)(image[:1]).penultimate).all()
