"""Other people's files come in under every usual wrapping, and what their numbers mean is told or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import GET, NETWORK, SHAPE
from fabricate import edm_pickle, random_state
from torch import Tensor, nn

from get.cli import main
from get.data.store import to_bytes
from get.imports.state_dicts import HOLDERS, find_state_dict
from get.pairs.dataset import Batch, training_pairs
from get.pairs.manifest import read_manifest
from get.storage.atomic import write_json
from get.student import checkpoint, models

State = dict[str, Any]
BAD_ADVICE = ("delete", "again", "download")  # for a file that may be sound


# --------------------------------------------------------------------------------------------------- students


@pytest.fixture(scope="module")
def student() -> models.Student:
    torch.manual_seed(0)
    made = models.build({**GET, **SHAPE})
    for values in made.parameters():
        nn.init.normal_(values, std=0.2)
    return made.requires_grad_(False)


@pytest.fixture
def weights(student: models.Student) -> State:
    return dict(checkpoint.to_published(student))


@pytest.fixture
def take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Import what is given as a student; returns the exit code and what was printed."""

    def run(content: Any, source: Path = tmp_path / "theirs.pth") -> tuple[int, str]:
        if source.suffix == ".safetensors":
            safetensors.torch.save_file(content, source)
        else:
            torch.save(content, source)
        write_json(tmp_path / "settings.json", {"model": GET, "pairs": "", "training": {}})
        options = ["--settings", str(tmp_path / "settings.json"), "--step", "7", "--shape", "1,8,8"]
        code = main(["import", "student", str(source), *options, "--out", str(tmp_path / "ours.safetensors")])
        return code, "".join(capsys.readouterr())

    return run


def under(prefix: str, state: State) -> State:
    return {prefix + name: values for name, values in state.items()}


def zeros(state: State) -> State:
    return {name: torch.zeros_like(values) for name, values in state.items()}


def compiled_in_parts(state: State) -> State:
    """Return names as they are where each block was compiled, and each kept for less memory."""
    wrapped = "_orig_mod._checkpoint_wrapped_module"
    return {name.replace("blocks.0.", f"blocks.0.{wrapped}."): values for name, values in state.items()}


def holding_itself(content: State) -> State:
    content["model"] = content
    return content


def unfolding(state: State) -> State:
    """Return few dicts that hold each other under many names: 18^8 paths lead to the weights."""
    for _ in range(8):
        state = dict.fromkeys(HOLDERS, state)
    return state


WRAPPINGS: dict[
    str, tuple[Callable[[State], Any], str]
] = {  # what a file holds, and what is said to be taken
    "published": (
        lambda s: {"ema": s, "model": zeros(s), "opt": {"state": {0: {}}}},
        "averaged weights (ema)",
    ),
    "distributed": (lambda s: {"ema": under("module.", s)}, "averaged weights (ema)"),
    "compiled": (lambda s: {"ema": under("_orig_mod.", s)}, "averaged weights (ema)"),
    "distributed-compiled": (lambda s: {"ema": under("module._orig_mod.", s)}, "averaged weights (ema)"),
    "compiled-distributed": (lambda s: {"ema": under("_orig_mod.module.", s)}, "averaged weights (ema)"),
    "compiled-in-parts": (lambda s: {"ema": compiled_in_parts(s)}, "averaged weights (ema)"),
    "model_ema": (lambda s: {"model": zeros(s), "model_ema": s}, "averaged weights (model_ema)"),
    "state-dicts": (
        lambda s: {"state_dict": zeros(s), "ema_state_dict": s},
        "averaged weights (ema_state_dict)",
    ),
    "nested": (lambda s: {"ema": {"decay": 0.99, "state_dict": s}}, "averaged weights (ema.state_dict)"),
    "averaging-module": (
        lambda s: {"ema": {**under("module.", s), "n_averaged": torch.tensor(9)}},
        "averaged weights (ema)",
    ),
    "averaging-beside": (
        lambda s: {
            "ema": {**under("online_model.", zeros(s)), **under("ema_model.", s), "step": torch.ones(1).int()}
        },
        "averaged weights (ema.ema_model)",
    ),
    "one-module-of-all": (
        lambda s: {
            "state_dict": {**under("student.", zeros(s)), **under("ema.module.", s), "loss.w": torch.ones(3)}
        },
        "averaged weights (state_dict.ema)",
    ),
    "shared": (lambda s: {"model": s, "swa_model": s}, "averaged weights (swa_model)"),
    "without-end": (lambda s: holding_itself({"ema": s}), "averaged weights (ema)"),
    "unfolding": (unfolding, f"averaged weights ({'.'.join(['ema'] * 8)})"),
    "bare": (lambda s: s, "weights (all of the file)"),
    "bare-distributed": (lambda s: under("module.", s), "weights (all of the file)"),
    "model": (lambda s: {"model": s, "epoch": 3}, "weights (model)"),
    "model-without-average": (lambda s: {"model": s, "ema": None}, "weights (model)"),
    "state_dict": (lambda s: {"state_dict": under("model.", s)}, "weights (state_dict.model)"),
    "parameters": (lambda s: {"ema": {k: nn.Parameter(v) for k, v in s.items()}}, "averaged weights (ema)"),
    "double": (lambda s: {"ema": {k: v.double() for k, v in s.items()}}, "averaged weights (ema)"),
    "without-positions": (
        lambda s: {"ema": {k: v for k, v in s.items() if k != "pos_embed"}},
        "averaged weights (ema)",
    ),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_every_usual_wrapping_of_a_state_dict_is_taken(
    name: str, student: models.Student, weights: State, take: Callable[..., Any], tmp_path: Path
) -> None:
    wrap, taken = WRAPPINGS[name]
    code, printed = take(wrap(weights))
    assert (code, f"the {taken} in {tmp_path / 'theirs.pth'} are" in printed) == (0, True), printed
    loaded, header = checkpoint.load(tmp_path / "ours.safetensors")
    assert all(values.equal(loaded.state_dict()[key]) for key, values in student.state_dict().items())
    averaged = taken.startswith("averaged")
    assert header["source"].get("averaged", True) == averaged
    assert ("does not say that its weights" in printed) != averaged


def test_dicts_in_dicts_without_end_are_not_followed() -> None:
    content: State = {"weight": torch.ones(3)}
    for _ in range(5000):
        content = {"model": content}
    content["ema"] = {"ema." * 100_000 + "weight": torch.ones(3), "weight": torch.ones(3)}
    assert find_state_dict(content, {"weight"}, str).holders == ("ema",)


def test_safetensors_of_weights_are_taken(
    student: models.Student, weights: State, take: Callable[..., Any], tmp_path: Path
) -> None:
    assert take(weights, tmp_path / "theirs.safetensors")[0] == 0
    loaded = checkpoint.load(tmp_path / "ours.safetensors")[0]
    assert all(values.equal(loaded.state_dict()[key]) for key, values in student.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_few_digits_become_float32(
    dtype: torch.dtype, weights: State, take: Callable[..., Any], tmp_path: Path
) -> None:
    assert take({"ema": {name: values.to(dtype) for name, values in weights.items()}})[0] == 0
    loaded = checkpoint.load(tmp_path / "ours.safetensors")[0].patch_embedding.weight
    assert loaded.equal(weights["x_embedder.proj.weight"].to(dtype).float())


def test_the_card_of_weights_that_are_not_averaged_does_not_call_them_so(
    weights: State, take: Callable[..., Any], tmp_path: Path
) -> None:
    for content, averaged in (({"ema": weights}, True), ({"model": weights}, False)):
        take(content)
        card = tmp_path / f"card-{averaged}"
        assert main(["export", str(tmp_path / "ours.safetensors"), "--out", str(card)]) == 0
        assert ("moving average" in (card / "README.md").read_text()) == averaged


MISFITS: dict[str, tuple[Callable[[State], Any], str]] = {
    "int32": (lambda s: {"ema": {k: (100 * v).int() for k, v in s.items()}}, "of int32 as"),
    "bool": (lambda s: {"ema": {k: v > 0 for k, v in s.items()}}, "of bool as"),
    "complex": (lambda s: {"ema": {k: v.cfloat() for k, v in s.items()}}, "of complex64 as"),
    "float8": (
        lambda s: {"ema": {k: v.to(torch.float8_e4m3fn) for k, v in s.items()}},
        "of float8_e4m3fn as",
    ),
    "double-too-large": (
        lambda s: {"ema": {k: 1e300 * v.double() for k, v in s.items()}},
        "not finite in float32",
    ),
    "missing": (
        lambda s: {"ema": {k: v for k, v in s.items() if k != "x_embedder.proj.bias"}},
        "missing: patch_embedding.bias)",
    ),
    "unexpected": (lambda s: {"ema": {**s, "head.weight": torch.ones(3)}}, "unexpected: head.weight)"),
    "scalar": (lambda s: {"ema": {**s, "gain": torch.ones(())}}, "unexpected: gain)"),
    "twice": (lambda s: {"ema": {**s, **under("module.", s)}}, "unexpected: "),
    "unnamed-average": (lambda s: {"ema": list(s.values()), "model": s}, "unexpected: unnamed"),
    "average-of-another": (
        lambda s: {"ema": {"conv.weight": torch.ones(3)}, "model": s},
        "unexpected: conv.weight",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_are_refused_by_name(
    name: str, weights: State, take: Callable[..., Any], tmp_path: Path
) -> None:
    change, message = MISFITS[name]
    code, printed = take(change(weights))
    assert (code, message in printed, (tmp_path / "ours.safetensors").exists()) == (2, True, False), printed
    assert not any(word in printed for word in BAD_ADVICE)


# ------------------------------------------------------------------------------------------------------ pairs

COUNT = 60


def _draws() -> Batch:
    source = torch.Generator().manual_seed(0)
    noise, image = (torch.randn(COUNT, 3, 8, 8, generator=source) for _ in range(2))
    return Batch(noise, image.tanh(), torch.arange(COUNT) % 10)


PAIRS = _draws()
NOISE, IMAGE, LABEL = PAIRS
HOT, BYTES = torch.eye(10)[LABEL], to_bytes(IMAGE)
Run = Callable[..., tuple[int, str, Path]]


@pytest.fixture
def pair_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Import a set of one file; returns the exit code, what was printed, and the new folder."""

    def run(latent: Any, image: Any, *options: str) -> tuple[int, str, Path]:
        for kind, content in (("latent", latent), ("image", image)):
            (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
            torch.save(content, tmp_path / "set" / kind / "0.pkl")
        code = main(["import", "pairs", str(tmp_path / "set"), *options, "--out", str(tmp_path / "pairs")])
        return code, "".join(capsys.readouterr()), tmp_path / "pairs"

    return run


def imported(folder: Path) -> tuple[Batch, int]:
    manifest = read_manifest(folder / "manifest.json")
    return training_pairs(manifest).batch(torch.arange(COUNT)), manifest.classes


def last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize(
    ("latent", "image"),
    [
        (NOISE.clone().requires_grad_(), IMAGE.clone().requires_grad_()),
        (nn.Parameter(NOISE), nn.Parameter(IMAGE)),
        (last(NOISE), last(IMAGE)),
        (NOISE, last(IMAGE)),
        (NOISE.to(memory_format=torch.channels_last), IMAGE.to(memory_format=torch.channels_last)),
        ([NOISE, None], IMAGE),
        (NOISE.double(), IMAGE.double()),
    ],
    ids=["gradients", "parameters", "channels-last", "images-last", "memory-format", "no-labels", "double"],
)
def test_pairs_of_every_layout_are_the_same_pairs(latent: Any, image: Any, pair_set: Run) -> None:
    code, printed, folder = pair_set(latent, image)
    assert code == 0, printed
    found, classes = imported(folder)
    assert found.noise.equal(NOISE.half())
    assert found.image.equal(IMAGE.half())
    assert classes == 0


@pytest.mark.parametrize(
    "label", [HOT, HOT.long(), HOT.bool(), HOT.byte(), HOT.half()], ids=lambda t: str(t.dtype)
)
def test_one_hot_labels_of_every_type(label: Tensor, pair_set: Run) -> None:
    code, printed, folder = pair_set([NOISE, label], IMAGE)
    assert code == 0, printed
    found, classes = imported(folder)
    assert (found.label.tolist(), classes) == (LABEL.tolist(), 10)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_labels_as_numbers_need_the_number_of_classes(dtype: torch.dtype, pair_set: Run) -> None:
    code, printed, _ = pair_set([NOISE, LABEL.to(dtype)], IMAGE)
    assert (code, "labels are numbers (0 to 9); add --classes" in printed) == (2, True)
    code, printed, folder = pair_set([NOISE, LABEL.to(dtype)], IMAGE, "--classes", "12")
    assert code == 0, printed
    found, classes = imported(folder)
    assert (found.label.tolist(), classes) == (LABEL.tolist(), 12)


def test_the_same_numbers_of_more_classes_are_other_pairs(pair_set: Run, tmp_path: Path) -> None:
    identities = set()
    for classes in ("10", "11"):
        folder = pair_set([NOISE, LABEL], IMAGE, "--classes", classes)[2]
        identities.add(json.loads((folder / "manifest.json").read_text())["identity"])
        folder.rename(tmp_path / classes)
    assert len(identities) == 2


@pytest.mark.parametrize(
    "image",
    [BYTES, BYTES.long(), BYTES.short(), BYTES.float(), BYTES.double(), BYTES.half(), last(BYTES)],
    ids=["uint8", "int64", "int16", "float32", "float64", "float16", "channels-last"],
)
def test_images_in_0_to_255_become_those_in_minus_1_to_1(image: Tensor, pair_set: Run) -> None:
    code, printed, folder = pair_set(NOISE, image)
    assert (code, "pixels in 0 to 255, taken as v / 127.5 - 1" in printed) == (0, True), printed
    assert to_bytes(imported(folder)[0].image.float()).equal(BYTES)


MEANINGS: dict[str, tuple[Any, Any, str]] = {  # latent, image, message
    "in-0-to-1": (NOISE, (IMAGE + 1) / 2, "but images are numbers in about -1 to 1"),
    "masks": (NOISE, BYTES // 128, "but images are numbers in about -1 to 1"),
    "in-0-to-255-between": (NOISE, 127.5 * IMAGE + 127.6, "its pixels lie from"),
    "in-minus-128-to-127": (NOISE, BYTES.long() - 128, "its pixels lie from"),
    "standardised": (NOISE, 2 * IMAGE, "its pixels lie from -1.998"),
    "one-pixel-far-out": (NOISE, IMAGE.where(IMAGE.max() > IMAGE, 12.5), "to 12.5"),
    "exchanged": (IMAGE, NOISE, "noise has 0 and 1"),
    "scaled-noise": (80 * NOISE, IMAGE, "noise has 0 and 1, before a sampler scales it"),
    "noise-of-bytes": (BYTES, IMAGE, "has a tensor (60, 3, 8, 8) of uint8; noise is"),
    "either-layout": (NOISE[:, :, :3, :3].clone(), IMAGE[:, :, :3, :3].clone(), "channels are first or last"),
    "four-channels": (NOISE[:, [0, 1, 2, 0]], IMAGE[:, [0, 1, 2, 0]], "with H = W and 1 or 3 channels"),
    "not-square": (NOISE[..., :4].clone(), IMAGE[..., :4].clone(), "with H = W and 1 or 3 channels"),
    "soft-labels": ([NOISE, HOT.softmax(dim=1)], IMAGE, "its labels (60, 10) are not one-hot"),
    "numbers-in-a-column": ([NOISE, LABEL[:, None]], IMAGE, "its labels (60, 1) are not one-hot"),
    "labels-in-floats": ([NOISE, LABEL.float()], IMAGE, "its labels are a tensor (60,) of float32"),
    "complex": (NOISE.cfloat(), IMAGE, "of complex64; noise is"),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_pairs_that_mean_something_else_are_refused(name: str, pair_set: Run) -> None:
    latent, image, message = MEANINGS[name]
    code, printed, folder = pair_set(latent, image)
    assert (code, message in printed, folder.exists()) == (2, True, False), printed
    assert not any(word in printed for word in BAD_ADVICE)


@pytest.mark.parametrize(
    ("label", "classes", "message"),
    [
        (LABEL + 1, "10", "its labels are 1 to 10; with --classes 10 they end at 9"),
        (LABEL - 1, "10", "its labels are -1 to 8"),
        (HOT, "10", "its labels are one-hot, of 10 classes; leave --classes out"),
        (None, "10", "it has no labels; leave --classes out"),
    ],
)
def test_labels_and_classes_agree(label: Any, classes: str, message: str, pair_set: Run) -> None:
    code, printed, folder = pair_set([NOISE, label], IMAGE, "--classes", classes)
    assert (code, message in printed, folder.exists()) == (2, True, False), printed


def test_bright_images_in_one_file_are_no_reason_to_refuse_a_set(pair_set: Run, tmp_path: Path) -> None:
    for kind, content in (("latent", NOISE), ("image", IMAGE.abs())):
        (tmp_path / "set" / kind).mkdir(parents=True)
        torch.save(content, tmp_path / "set" / kind / "1.pkl")
    code, printed, _ = pair_set(NOISE, IMAGE)
    assert code == 0, printed


# --------------------------------------------------------------------------------------------------- teachers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda state: {"ema": state}, "is an archive, as torch.save writes"),
        (None, "weights are not finite in float32"),
    ],
    ids=["state-dict", "double-too-large"],
)
def test_teachers_of_another_kind_are_not_called_broken(
    content: Callable[[State], Any] | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    description = {**NETWORK, **SHAPE}
    state, source = random_state(description, 0), tmp_path / "theirs.pkl"
    if content is None:
        edm_pickle(source, description, state={name: 1e300 * v.double() for name, v in state.items()})
    else:
        torch.save(content(state), source)
    options = ["--conditional", "--shape", "1,8,8", "--out", str(tmp_path / "ours.safetensors")]
    assert main(["import", "teacher", str(source), *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert not any(word in printed for word in BAD_ADVICE)


def test_a_file_with_another_hash_is_not_to_be_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = edm_pickle(tmp_path / "theirs.pkl", {**NETWORK, **SHAPE})
    options = [
        "--conditional",
        "--shape",
        "1,8,8",
        "--sha256",
        "0" * 64,
        "--out",
        str(tmp_path / "t.safetensors"),
    ]
    assert main(["import", "teacher", str(source), *options]) == 2
    printed = capsys.readouterr().err
    assert "or correct the SHA-256 (sha256 in the config, --sha256)" in printed
    assert not any(word in printed for word in BAD_ADVICE)
