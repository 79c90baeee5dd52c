"""FID, IS and KID against independent computations on the same features; what the other scores mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import torch_fidelity
from conftest import TRAINING
from torch.utils.data import Dataset
from torch_fidelity import metric_fid
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.registry import register_feature_extractor

from get.cli import main
from get.data.store import read_split, to_bytes, to_unit
from get.imports.extractor import import_extractor
from get.sampling.files import new_samples
from get.scoring.features import Extractor, Features
from get.scoring.metrics import (
    Moments,
    frechet,
    kernel_distances,
    moments,
    nearest_distance,
    precision_and_recall,
    read_moments,
    resamples_of,
    square_root,
    write_moments,
)
from get.scoring.reference import Reference, Source, read_reference, write_reference
from get.scoring.scores import Scoring, bootstrap, compare_with_train, score
from get.scoring.trained import train_extractor
from get.storage.errors import UserError

CPU = torch.device("cpu")
SCORING = Scoring(splits=5, bootstrap=10, kid_subsets=20, kid_subset_size=100, nearest=50)


@pytest.fixture(scope="module")
def classifier(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "classifier.safetensors"
    train_extractor(
        name="classifier",
        store=digits,
        model={"width": 8, "features": 16},
        training={**TRAINING, "batch": 64, "lr": 5e-3},
        noise=0.1,
        steps=60,
        seed=0,
        device="cpu",
        output=path,
    )
    return path


def fid(features: np.ndarray, reference: Reference) -> float:
    return float(frechet(moments(features, CPU), reference.moments, reference.root))


def reference_of(features: np.ndarray) -> Reference:
    found = moments(features, CPU)
    return Reference(features, found, square_root(found.sigma))


def noisy(images: np.ndarray, amount: float, count: int) -> np.ndarray:
    source = torch.Generator().manual_seed(0)
    chosen = to_unit(images[np.arange(count) % len(images)])
    return to_bytes(chosen + amount * torch.randn(chosen.shape, generator=source)).numpy()


@pytest.fixture(scope="module")
def scored(digits: Path, classifier: Path) -> tuple[Features, Reference, np.ndarray, dict[str, float]]:
    """Features of noisy train images, the reference, the images, and their scores."""
    extract = Extractor("classifier", classifier, "cpu", 100)
    train = read_split(digits, "train").images[:]
    images = noisy(train, 0.2, 600)
    references = {}
    for split in ("train", "test"):
        paths = [classifier.parent / f"{split}.{kind}" for kind in ("npz", "npy")]
        write_reference(
            store=digits,
            split=split,
            extractor="classifier",
            weights=classifier,
            batch=100,
            device="cpu",
            statistics=paths[0],
            features=paths[1],
        )
        references[split] = read_reference(*paths, Source(digits, split, classifier), CPU)
    features = extract(images)
    resampled = bootstrap(features, references, resamples_of(len(images), SCORING.bootstrap, 0), CPU)
    scores = score(features, references, SCORING, resampled, CPU)
    scores |= compare_with_train(images, features, references["train"], train, SCORING, CPU)
    return features, references["train"], images, scores


def test_fid_by_matrix_square_root(scored: Any) -> None:
    features, reference, _, scores = scored
    a, b = features.penultimate.astype(np.float64), reference.features.astype(np.float64)
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(ca @ cb).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert scores["fid_train"] == pytest.approx(expected, rel=1e-3)


def test_inception_score_by_definition(scored: Any) -> None:
    features, _, _, scores = scored
    order = np.random.RandomState(2020).permutation(len(features.logits))  # torch-fidelity's shuffle
    p = scipy.special.softmax(features.logits[order].astype(np.float64), axis=1)
    parts = np.split(p, SCORING.splits)
    values = [np.exp(scipy.special.rel_entr(part, part.mean(0)).sum(1).mean()) for part in parts]
    assert scores["is"] == pytest.approx(np.mean(values), rel=1e-6)
    assert scores["is_split_sd"] == pytest.approx(np.std(values), rel=1e-6)


def test_kid_by_double_sum(scored: Any) -> None:
    """KID is the mean over random subsets of an unbiased estimate: it lies near that on all images."""
    features, reference, _, scores = scored
    a, b = features.penultimate.astype(np.float64), reference.features.astype(np.float64)
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3  # noqa: E731
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    expected = off(kernel(a, a)) + off(kernel(b, b)) - 2 * kernel(a, b).mean()
    sigma = scores["kid_train_sd"] / SCORING.kid_subsets**0.5
    assert abs(scores["kid_train"] - expected) < 5 * sigma


class Images(Dataset):
    """What torch-fidelity takes images from."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


class ClassifierFeatures(FeatureExtractorBase):
    """The classifier as torch-fidelity wants it."""

    def __init__(
        self, name: str, wanted: list[str], *, feature_extractor_weights_path: str, **_: Any
    ) -> None:
        super().__init__(name, wanted)
        self.extract = Extractor("classifier", feature_extractor_weights_path, "cpu", 1)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return Features._fields

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "penultimate"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        layers = dict(zip(Features._fields, self.extract.layers(images), strict=True))
        return tuple(layers[name] for name in self.features_list)


def test_same_as_torch_fidelity_called_whole(
    scored: Any, digits: Path, classifier: Path, tmp_path: Path
) -> None:
    _, _, images, scores = scored
    register_feature_extractor("get-classifier", ClassifierFeatures)
    whole = torch_fidelity.calculate_metrics(
        input1=Images(images),
        input2=Images(read_split(digits, "train").images[:]),
        feature_extractor="get-classifier",
        feature_extractor_weights_path=str(classifier),
        fid=True, isc=True, kid=True, prc=True, isc_splits=5, kid_subsets=20, kid_subset_size=100,
        batch_size=100, cuda=False, save_cpu_ram=True, verbose=False, cache=False, cache_root=str(tmp_path),
    )  # fmt: skip
    ours = {  # each with what rounding may change: the root of a singular matrix, sums in float32
        "frechet_inception_distance": (scores["fid_train"], 1e-4),
        "inception_score_mean": (scores["is"], 1e-9),
        "kernel_inception_distance_mean": (scores["kid_train"], 1e-5),
        "kernel_inception_distance_std": (scores["kid_train_sd"], 1e-5),
        "precision": (scores["precision"], 0),
        "recall": (scores["recall"], 0),
    }
    for name, (value, error) in ours.items():
        assert value == pytest.approx(whole[name], rel=error), name


@pytest.mark.parametrize(("count", "width"), [(300, 8), (150, 64), (40, 2048)])
def test_kid_precision_and_recall_are_those_of_torch_fidelity(
    count: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, in which torch-fidelity too computes with features of that type."""
    monkeypatch.setattr("get.scoring.metrics.DISTANCES", 70)
    source = np.random.default_rng(0)
    ours, real = source.gamma(2, 1.1, (count, width)), source.gamma(2, 1.0, (count - 20, width))
    theirs = [torch.from_numpy(rows) for rows in (ours, real)]
    kid = kid_features_to_metric(*theirs, kid_subsets=15, kid_subset_size=count // 2 - 5, verbose=False)
    found = kernel_distances(ours, real, 15, count // 2 - 5, CPU)
    assert np.mean(found) == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-9)
    assert np.std(found) == pytest.approx(kid["kernel_inception_distance_std"], rel=1e-9)
    quality = prc_features_to_metric(*theirs, save_cpu_ram=True, prc_batch_size=50, verbose=False)
    assert precision_and_recall(ours, real, CPU) == (quality["precision"], quality["recall"])


def test_precision_and_recall_by_definition() -> None:
    """Real rows on a line, a unit apart: the third-nearest lies 2 away, for those at the ends 3."""
    real = np.stack([np.arange(10.0), np.zeros(10)], axis=1)
    beside = lambda *heights: np.array([[5.0, height] for height in heights])  # noqa: E731
    precision, recall = precision_and_recall(beside(0, 1.9, 2.1, 50), real, CPU)
    assert precision == 0.5
    assert recall == 1  # the balls around four rows reach as far as the fourth of them lies
    apart = real + np.array([0, 100])
    assert precision_and_recall(apart, real, CPU) == (0, 0)
    assert precision_and_recall(real, real, CPU) == (1, 1)


def test_fid_orders_amounts_of_noise(scored: Any, digits: Path, classifier: Path, tmp_path: Path) -> None:
    _, reference, _, _ = scored
    extract = Extractor("classifier", classifier, "cpu", 100)
    train = read_split(digits, "train").images[:]
    found = [extract(noisy(train, amount, 600)).penultimate[:] for amount in (0, 0.2, 0.5, 1)]
    values = [fid(features, reference) for features in found]
    assert values == sorted(values)


def test_bootstrap_deviation_is_that_of_fresh_samples() -> None:
    """On Gaussian features, the bootstrap's spread agrees with that over independent sets of samples."""
    source = np.random.default_rng(0)
    real = source.standard_normal((20_000, 4)).astype(np.float32)
    reference = reference_of(real)
    sets = [1.2 * source.standard_normal((500, 4)).astype(np.float32) + 0.5 for _ in range(60)]
    fresh = np.std([fid(x, reference) for x in sets], ddof=1)
    found = [
        bootstrap(Features(x, x), {"train": reference}, resamples_of(500, 40, seed), CPU)
        for seed, x in enumerate(sets[:10])
    ]
    assert np.mean([np.std(values["fid_train"], ddof=1) for values in found]) == pytest.approx(fresh, rel=0.3)


def test_bootstrap_deviation_of_the_inception_score() -> None:
    source = np.random.default_rng(0)
    sets = [2 * source.standard_normal((500, 4)).astype(np.float32) for _ in range(60)]

    def inception_score(logits: np.ndarray) -> float:
        p = scipy.special.softmax(logits.astype(np.float64), axis=1)
        return np.exp(scipy.special.rel_entr(p, p.mean(0)).sum(1).mean())

    fresh = np.std([inception_score(x) for x in sets], ddof=1)
    shares = [resamples_of(500, 40, seed) for seed in range(10)]
    found = [bootstrap(Features(x, x), {}, row, CPU)["is"] for row, x in zip(shares, sets, strict=False)]
    assert np.std(found, axis=1, ddof=1).mean() == pytest.approx(fresh, rel=0.3)


def test_interval_holds_the_estimate(scored: Any) -> None:
    scores = scored[3]
    assert scores["fid_train_low"] < scores["fid_train"] < scores["fid_train_high"]
    width = scores["fid_train_high"] - scores["fid_train_low"]
    assert width == pytest.approx(2 * 1.96 * scores["fid_train_sd"])


def test_nearest_distance_finds_copies(digits: Path) -> None:
    train = read_split(digits, "train").images[:]
    assert nearest_distance(train[:20], train, CPU) == pytest.approx(0, abs=0.01)
    shifted = np.clip(train[:20].astype(int) + 10, 0, 255).astype(np.uint8)
    assert 0 < nearest_distance(shifted, train, CPU) <= 10


def test_moments_in_chunks_are_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((101, 6)).astype(np.float32) + 3
    monkeypatch.setattr("get.scoring.metrics.CHUNK", 10)
    found = moments(rows, CPU)
    np.testing.assert_allclose(found.mu, rows.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.sigma, np.cov(rows.astype(np.float64).T), rtol=1e-9)
    twice = np.r_[rows, rows[:50]].astype(np.float64)  # rows of double weight are rows that occur twice
    weighted = moments(rows, CPU, np.r_[np.full(50, 2.0), np.ones(51)] / 151)
    np.testing.assert_allclose(weighted.mu, twice.mean(0), rtol=1e-12)
    np.testing.assert_allclose(weighted.sigma, np.cov(twice.T, bias=True) * 101 / 100, rtol=1e-9)


def test_resamples_together_are_those_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(0)
    ours, real = (source.standard_normal((80, 5)).astype(np.float32) for _ in range(2))
    references, shares = {"train": reference_of(real)}, resamples_of(80, 7, 0)
    found = bootstrap(Features(ours, ours), references, shares, CPU)
    monkeypatch.setattr("get.scoring.scores.COVARIANCES", 5 * 5 * 3)
    again = bootstrap(Features(ours, ours), references, shares, CPU)
    np.testing.assert_allclose(again["fid_train"], found["fid_train"], rtol=1e-9)
    for row, value in zip(shares, found["fid_train"], strict=True):
        drawn = np.repeat(ours, np.rint(row * 80).astype(int), axis=0)
        assert value == pytest.approx(fid(drawn, references["train"]), rel=1e-9)


def test_frechet_distance_of_fewer_samples_than_features() -> None:
    """Both covariances are singular, as Inception's are below 2049 samples."""
    source = np.random.default_rng(0)
    ours, real = (source.standard_normal((20, 40)).astype(np.float32) for _ in range(2))
    theirs = metric_fid.fid_statistics_to_metric(
        *(
            metric_fid.fid_features_to_statistics(torch.from_numpy(x.astype(np.float64)))
            for x in (ours, real)
        ),
        False,
    )
    assert fid(ours, reference_of(real)) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)


def test_statistics_of_other_repositories(tmp_path: Path) -> None:
    found = moments(np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32), CPU)
    write_moments(tmp_path / "ours.npz", found)
    with np.load(tmp_path / "ours.npz") as file:
        assert set(file.files) == {"mu", "sigma"}
    theirs = {"mu": found.mu.float().numpy(), "sigma": found.sigma.numpy(), "fid": np.float64(3)}
    np.savez(tmp_path / "theirs.npz", **theirs)
    back = read_moments(tmp_path / "theirs.npz")
    assert float(frechet(back, found, square_root(found.sigma))) == pytest.approx(0, abs=1e-6)


def test_the_commands_agree_with_the_scores(
    scored: Any, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`get statistics` and `get fid` on the images that `scored` scored."""
    _, _, images, scores = scored
    samples, out = tmp_path / "samples.h5", tmp_path / "ours.npz"
    with new_samples(samples, ["x"], torch.zeros(len(images), dtype=torch.int64), images.shape[1:]) as file:
        file.variants["x"][:] = images
    weights = ["--extractor", "classifier", "--weights", str(classifier), "--device", "cpu"]
    assert main(["statistics", str(samples), *weights, "--out", str(out)]) == 0
    assert main(["fid", str(out), str(classifier.parent / "train.npz")]) == 0
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(scores["fid_train"], rel=1e-5)
    write_moments(tmp_path / "2.npz", Moments(torch.zeros(2), torch.eye(2)))
    assert main(["fid", str(out), str(tmp_path / "2.npz")]) == 2
    assert "features of different width" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut off"])
def test_damaged_statistics(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"r.npz is no file of mu and sigma"):
        read_moments(tmp_path / "r.npz")


def test_wrong_statistics(tmp_path: Path) -> None:
    for name, arrays in {
        "shapes": {"mu": np.zeros(3), "sigma": np.zeros((2, 2))},
        "numbers": {"mu": np.zeros(2), "sigma": np.full((2, 2), np.nan)},
        "text": {"mu": np.array(["a"]), "sigma": np.array([["a"]])},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError, match=rf"{name}.npz .*are no mean and covariance"):
            read_moments(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "objects.npz", mu=np.array([print]), sigma=np.array([[print]]))
    with pytest.raises(UserError, match=r"objects.npz is no file of mu and sigma"):
        read_moments(tmp_path / "objects.npz")
    source = Source(tmp_path / "text.npz", "train", tmp_path / "shapes.npz")
    write_moments(tmp_path / "2.npz", Moments(torch.zeros(2), torch.eye(2)), source.text())
    np.save(tmp_path / "3.npy", np.zeros((5, 3), np.float32))
    with pytest.raises(UserError, match=r"3.npy \(5, 3\) does not belong to .*2.npz"):
        read_reference(tmp_path / "2.npz", tmp_path / "3.npy", source, CPU)


def test_inception_weights_with_code_are_refused(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return (tmp_path / "ran").touch, ()

    torch.save({"conv": Code()}, tmp_path / "w.pth")
    for load in (
        lambda: Extractor("inception", tmp_path / "w.pth", "cpu", 1),
        lambda: import_extractor(
            name="inception", source=tmp_path / "w.pth", sha256=None, output=tmp_path / "out.pth"
        ),
    ):
        with pytest.raises(UserError, match=r"w.pth is no file of weights of torch-fidelity's Inception"):
            load()
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_bytes_protocol() -> None:
    values = torch.tensor([-2.0, -1.0, -1 / 127.5, 0.0, 0.5, 1.0, 2.0])
    assert to_bytes(values).tolist() == [0, 0, 127, 128, 191, 255, 255]
    image = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(to_bytes(to_unit(image)).numpy(), image)
