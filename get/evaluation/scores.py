"""Scores of sample files: FID, IS, KID, precision and recall by torch-fidelity, and how sure they are.

Every FID is given against the train and the test split. Its interval is the point estimate plus and minus
1.96 standard deviations over bootstrap resamples of the generated images, the reference held fixed:
resampling biases FID upwards, so percentiles of the resamples would miss the estimate itself. `is_sd` comes
from the same resamples; `is_split_sd` is the spread over the parts of the Inception Score that others report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from get.data.store import SPLITS, read_split
from get.evaluation.features import Extractor, Features
from get.evaluation.samples import read_samples
from get.files import UserError, atomic, from_settings, write_json
from get.seeding import fold_in

Z95 = 1.96  # standard deviations to either side of a 95% interval


@dataclass(frozen=True)
class Scoring:
    """How samples are scored.

    Args:
        splits: parts of the Inception Score.
        bootstrap: resamples for the standard deviations of FID and IS.
        kid_subsets, kid_subset_size: of KID.
        nearest: how many samples are compared with all training images.
    """

    splits: int
    bootstrap: int
    kid_subsets: int
    kid_subset_size: int
    nearest: int


@dataclass(frozen=True)
class Reference:
    """Features (N, D) of the real images of one split, and their mean (D,) and covariance (D, D)."""

    features: NDArray[np.float32]
    mu: NDArray[np.floating[Any]]
    sigma: NDArray[np.float64]


def write_reference(
    *,
    store: str | Path,
    split: str,
    extractor: str,
    weights: str | Path,
    batch: int,
    device: str,
    output: str,
) -> None:
    """Write features and statistics (`mu`, `sigma`) of one split as .npz; arguments as of `Extractor`."""
    features = Extractor(extractor, weights, device, batch)(read_split(store, split).images).penultimate
    statistics = fid_features_to_statistics(torch.from_numpy(features))
    with atomic(output) as temporary, open(temporary, "wb") as file:
        np.savez(file, features=features, **statistics)


def read_reference(path: str | Path) -> Reference:
    """Read what `write_reference` wrote; raises `UserError` where the file is missing or damaged."""
    try:
        with np.load(path) as file:
            return Reference(file["features"], file["mu"], file["sigma"])
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise UserError(f"{path} holds no reference statistics ({error}); delete it") from None


def fid(features: NDArray[np.float32], reference: Reference) -> float:
    """Return the Frechet distance of features (N, D) to a reference."""
    return _frechet(fid_features_to_statistics(torch.from_numpy(features)), reference)


def bootstrap(
    features: Features, references: Mapping[str, Reference], resamples: int, seed: int
) -> dict[str, list[float]]:
    """Return 'is' and 'fid_<split>' of bootstrap resamples of the images.

    The resamples are a function of (number of images, seed): two models on the same noise are paired.
    """
    source, count = np.random.default_rng(seed), len(features.penultimate)
    wide = features.penultimate.astype(np.float64)
    log_p = torch.from_numpy(features.logits).double().log_softmax(dim=1).numpy()
    p = np.exp(log_p)
    negative_entropy = (p * log_p).sum(axis=1)
    values: dict[str, list[float]] = {"is": [], **{f"fid_{split}": [] for split in references}}
    for _ in range(resamples):
        # a resample is a share per image: weighted moments, no copy of the features
        weights = source.multinomial(count, np.full(count, 1 / count)) / count
        mu, marginal = weights @ wide, weights @ p
        sigma = ((wide - mu) * weights[:, None]).T @ (wide - mu) * (count / (count - 1))
        for split, reference in references.items():
            statistics = {"mu": mu.astype(reference.mu.dtype), "sigma": sigma}
            values[f"fid_{split}"].append(_frechet(statistics, reference))
        values["is"].append(float(np.exp(weights @ negative_entropy - marginal @ np.log(marginal))))
    return values


def _frechet(statistics: Mapping[str, NDArray[Any]], reference: Reference) -> float:
    real = {"mu": reference.mu, "sigma": reference.sigma}
    return float(fid_statistics_to_metric(statistics, real, False)["frechet_inception_distance"])


def nearest_distance(images: NDArray[np.uint8], train: NDArray[np.uint8]) -> float:
    """Return the mean over images of the distance to the nearest training image.

    The distance is the root mean square over pixels in grey levels (0 to 255); near 0 is memorisation.
    """
    ours, theirs = (torch.from_numpy(x.reshape(len(x), -1)).float() for x in (images, train))
    nearest = torch.cat([torch.cdist(part, theirs).amin(dim=1) for part in ours.split(500)])
    return float(nearest.mean()) / ours.shape[1] ** 0.5


def score(
    features: Features,
    references: Mapping[str, Reference],
    options: Scoring,
    resampled: Mapping[str, list[float]],
) -> dict[str, float]:
    """Return FID, KID and IS of generated images by their features.

    Args:
        references: of the splits 'train' and 'test'.
        options: see `Scoring`.
        resampled: what `bootstrap` gave.
    """
    sds = {name: float(np.std(values, ddof=1)) for name, values in resampled.items()}
    scores: dict[str, float] = {"samples": len(features.penultimate)}
    generated = torch.from_numpy(features.penultimate)
    for split, reference in references.items():
        value, sd = fid(features.penultimate, reference), sds[f"fid_{split}"]
        scores |= {f"fid_{split}": value, f"fid_{split}_sd": sd}
        scores |= {f"fid_{split}_low": value - Z95 * sd, f"fid_{split}_high": value + Z95 * sd}
        real = torch.from_numpy(reference.features)
        size = min(options.kid_subset_size, len(generated), len(real))
        kid = kid_features_to_metric(
            generated, real, kid_subsets=options.kid_subsets, kid_subset_size=size, verbose=False
        )
        scores[f"kid_{split}"] = kid["kernel_inception_distance_mean"]
        scores[f"kid_{split}_sd"] = kid["kernel_inception_distance_std"]
    inception = isc_features_to_metric(torch.from_numpy(features.logits), splits=options.splits)
    scores |= {"is": inception["inception_score_mean"], "is_sd": sds["is"]}
    return scores | {"is_split_sd": inception["inception_score_std"]}


def compare_with_train(
    images: NDArray[np.uint8],
    features: Features,
    reference: Reference,
    train: NDArray[np.uint8],
    options: Scoring,
) -> dict[str, float]:
    """Return precision, recall and the distance to the nearest training image of images (N, C, H, W).

    Args:
        features: of the images; reference: of the train split.
        train: all training images.
        options: see `Scoring`.
    """
    generated, real = torch.from_numpy(features.penultimate), torch.from_numpy(reference.features)
    quality = prc_features_to_metric(generated, real, save_cpu_ram=True, verbose=False)
    scores = {"precision": quality["precision"], "recall": quality["recall"]}
    return scores | {"nearest_train": nearest_distance(images[: options.nearest], train)}


def score_samples(
    *,
    samples: str | Path,
    references: Mapping[str, str | Path],
    store: str | Path,
    extractor: str,
    weights: str | Path,
    batch: int,
    scoring: dict[str, Any],
    seed: int,
    device: str,
    output: str | Path,
) -> None:
    """Score every variant of a sample file and write JSON: its info, `scores` and `bootstrap` by variant.

    Precision, recall and nearest training images, which take longest, are of the headline variant alone.

    Args:
        samples: the sample file.
        references: paths of the reference statistics of the splits 'train' and 'test'.
        store: the image store.
        extractor, weights, batch, device: see `Extractor`.
        scoring: keyword arguments of `Scoring`; seed: of the bootstrap.
        output: the JSON file.
    """
    content, train = read_samples(samples), read_split(store, "train").images
    real = {split: read_reference(references[split]) for split in SPLITS}
    extract = Extractor(extractor, weights, device, batch)
    options = from_settings(Scoring, scoring, "evaluation.scoring")
    errors = content.info.pop("l1_held_out", {})
    headline, *_ = content.variants
    scores, resampled = {}, {}
    for name, images in content.variants.items():
        features = extract(images)
        resampled[name] = bootstrap(features, real, options.bootstrap, fold_in(seed, "bootstrap"))
        scores[name] = score(features, real, options, resampled[name])
        if name == headline:
            scores[name] |= compare_with_train(images, features, real["train"], train, options)
        if name in errors:
            scores[name]["l1_held_out"] = errors[name]
    found = {**content.info, "headline": headline, "scores": scores, "bootstrap": resampled}
    write_json(output, found)
