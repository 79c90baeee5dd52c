"""Sample files: what is in them, and the error on held-out pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import GET, SHAPE, VIT

from get.data.store import read_split, to_bytes
from get.pairs.dataset import held_out_pairs, training_pairs
from get.pairs.manifest import read_manifest
from get.sampling.comparison import compare_held_out
from get.sampling.files import SampleFile, open_samples
from get.sampling.one_step import Sampling, sample
from get.sampling.sources import baseline_samples, teacher_samples
from get.sampling.students import held_out_l1, sample_student
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.variants import Rule, Variant
from get.storage.weights import write_weights
from get.student import checkpoint
from get.student.models import build


def student(path: Path, model: dict[str, Any], **header: Any) -> Path:
    torch.manual_seed(0)
    network = build({**SHAPE, **model})
    for p in network.parameters():
        p.data += 0.1 * torch.randn_like(p)
    content = {"model": {**SHAPE, **model}, "pairs": "abc", "teacher": "t", "step": 5, "seed": 0}
    write_weights(path, "student", network.state_dict(), {**content, "plateau": False, **header})
    return path


def draw(weights: Path, pairs: Path, output: Path, **change: Any) -> Any:
    settings = {"samples": 25, "batch": 10, "iterations": [1], "precision": "float32", "seed": 0} | change
    held_out = pairs.parent / "held-out.h5"
    sample_student(weights=weights, held_out=held_out, device="cpu", output=output, **settings)
    return read(output)


def read(path: Path) -> SampleFile:
    """Return the sample file at `path`, its images in memory."""
    with open_samples(path) as file:
        return file._replace(variants={name: images[:] for name, images in file.variants.items()})


def test_a_get_has_a_variant_per_rule_and_number_of_iterations(pairs: Path, tmp_path: Path) -> None:
    content = draw(student(tmp_path / "s.safetensors", GET), pairs, tmp_path / "x.h5")
    assert list(content.variants) == ["lowest-residual-3", "last-3", "lowest-residual-1"]
    assert all(images.shape == (25, 1, 8, 8) for images in content.variants.values())
    assert content.labels.tolist() == [i % 10 for i in range(25)]
    assert content.info["nfe"] == 1
    assert (len(content.info["residuals"]), len(content.info["changes"])) == (3, 2)
    assert set(content.info["l1_held_out"]) == set(content.variants)
    assert not np.array_equal(content.variants["last-3"], content.variants["lowest-residual-1"])


def test_a_student_of_other_images_is_refused(pairs: Path, digits: Path, tmp_path: Path) -> None:
    """One that learned from images, and knows no pairs nor, perhaps, a teacher that would tell."""
    learned = student(tmp_path / "s.safetensors", VIT, pairs=None, teacher=None, images=sha256(digits))
    assert draw(learned, pairs, tmp_path / "x.h5", images=digits).info["l1_held_out"]
    other = tmp_path / "images.h5"
    other.write_bytes(digits.read_bytes() + b" ")
    with pytest.raises(
        UserError, match=r"s\.safetensors was trained on other images than those in .*images\.h5"
    ):
        draw(learned, pairs, tmp_path / "x.h5", images=other)


def test_one_solve_gives_what_separate_ones_would(pairs: Path, tmp_path: Path) -> None:
    """Each variant, cut out of one trajectory, is what `generate` gives at its own number of iterations."""
    weights = student(tmp_path / "s.safetensors", GET)
    content = draw(weights, pairs, tmp_path / "x.h5", iterations=[1, 2, 5])
    network, _ = checkpoint.load(weights)
    labels = torch.arange(25) % 10
    for name, images in content.variants.items():
        rule, _, count = name.rpartition("-")
        options = Sampling(10, int(count), rule)
        batches = sample(network, range(25), labels, seed=0, options=options, device=torch.device("cpu"))
        alone = torch.cat([to_bytes(batch.images) for batch in batches]).numpy()
        assert np.abs(alone.astype(int) - images).max() <= 1, name
    assert len(content.info["residuals"]) == 5


def test_samples_do_not_depend_on_the_batch(pairs: Path, tmp_path: Path) -> None:
    weights = student(tmp_path / "s.safetensors", VIT)
    one, other = (draw(weights, pairs, tmp_path / f"{b}.h5", batch=b).variants["one-step"] for b in (25, 7))
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_students_of_another_teacher_are_refused(pairs: Path, tmp_path: Path) -> None:
    weights = student(tmp_path / "s.safetensors", VIT, teacher="another")
    with pytest.raises(UserError, match="pairs of another teacher"):
        draw(weights, pairs, tmp_path / "x.h5")
    weights = student(tmp_path / "s.safetensors", VIT, pairs="others")
    with pytest.raises(UserError, match="pairs of other settings"):
        draw(weights, pairs, tmp_path / "x.h5")


@pytest.mark.parametrize("batch", [7, 30])
def test_held_out_error(batch: int, pairs: Path) -> None:
    """A fresh student answers zero: its error is the mean absolute pixel."""
    data = held_out_pairs(pairs.parent / "held-out.h5", "abc")
    image = data.batch(torch.arange(30)).image.float()
    variants, options = [Variant("one-step")], Sampling(batch=batch)
    errors = held_out_l1(build({**SHAPE, **VIT}), data, variants, options, torch.device("cpu"))
    assert errors == {"one-step": pytest.approx(image.abs().mean().item(), rel=1e-5)}


def test_teacher_samples_are_its_first_pairs(pairs: Path, tmp_path: Path) -> None:
    teacher_samples(manifest=pairs, samples=150, nfe=35, output=tmp_path / "x.h5")
    content = read(tmp_path / "x.h5")
    image = training_pairs(read_manifest(pairs)).batch(torch.arange(150)).image.float()
    np.testing.assert_array_equal(content.variants["teacher"], to_bytes(image).numpy())
    with pytest.raises(UserError, match=r"has 200 pairs, fewer than evaluation.samples"):
        teacher_samples(manifest=pairs, samples=201, nfe=35, output=tmp_path / "x.h5")


def test_baselines(digits: Path, tmp_path: Path) -> None:
    for kind in ("real", "noise"):
        baseline_samples(store=digits, kind=kind, samples=64, seed=0, output=tmp_path / kind)
    real, noise = (read(tmp_path / kind).variants[kind] for kind in ("real", "noise"))
    np.testing.assert_array_equal(real, read_split(digits, "test").images[:])
    assert noise.shape == (64, 1, 8, 8)
    assert 0.3 < ((noise == 0) | (noise == 255)).mean() < 0.35  # beyond one standard deviation


def test_damaged_sample_file(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"x.h5 is no sample file"):
        read(tmp_path / "x.h5")


@pytest.mark.parametrize("model", [GET, VIT], ids=["get", "vit"])
def test_teacher_and_students_start_from_the_same_noise(
    model: dict[str, Any], pairs: Path, tmp_path: Path
) -> None:
    weights, held_out = student(tmp_path / "s.safetensors", model), pairs.parent / "held-out.h5"
    options = {"held_out": held_out, "precision": "float32", "device": "cpu"}
    found = compare_held_out(students=[("one", weights), ("same", weights)], count=4, **options)
    kept = held_out_pairs(held_out, "abc")
    noise, image, label = kept.batch(torch.arange(4))
    shown_noise, teacher, images, labels = found.arrays()
    np.testing.assert_array_equal(shown_noise, noise.float().numpy())
    np.testing.assert_array_equal(teacher, to_bytes(image.float()).numpy())
    assert labels is not None
    assert labels.tolist() == label.tolist()
    assert [name for name, _ in images] == ["one", "same"]
    np.testing.assert_array_equal(images[0][1], images[1][1])
    np.testing.assert_array_equal(images[0][1], to_bytes(found.students[0].images).numpy())
    # the mean over all pairs is the error that the scores give
    (many,) = compare_held_out(students=[("all", weights)], count=99, **options).students
    assert len(many.images) == len(kept)
    network, _ = checkpoint.load(weights)
    variant = Variant(Rule.LOWEST_RESIDUAL, 3) if model is GET else Variant("one-step")
    error = held_out_l1(network, kept, [variant], Sampling(10), torch.device("cpu"))[str(variant)]
    assert many.l1 == pytest.approx(error, rel=1e-5)
