"""Scores of images: FID, IS, KID, precision and recall, with their standard deviations.

All are computed in bounded memory (metrics.py) and agree with torch-fidelity's. Every FID of a sample file is
given against the train and the test split. Its interval is the point estimate plus and minus 1.96 standard
deviations over bootstrap resamples of the generated images, the reference held fixed: resampling biases FID
upwards, so percentiles of the resamples would miss the estimate itself. `is_sd` comes from the same
resamples; `is_split_sd` is the spread over the parts of the Inception Score that others report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from get.data.store import SPLITS, read_split
from get.runtime.device import pick_device
from get.runtime.log import log
from get.runtime.seeding import fold_in
from get.sampling.files import open_samples
from get.scoring.features import Extractor, Features
from get.scoring.metrics import (
    Moments,
    frechet,
    inception_scores,
    kernel_distances,
    moments,
    nearest_distance,
    parts_of,
    precision_and_recall,
    read_moments,
    resamples_of,
    square_root,
)
from get.scoring.reference import Reference, Source, read_reference
from get.scoring.sample_size import few_images, few_images_of
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.settings import from_settings

Z95 = 1.96  # standard deviations to either side of a 95% interval
COVARIANCES = 2**22  # numbers in the covariances of the resamples that are computed at a time


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


def bootstrap(
    features: Features,
    references: Mapping[str, Reference],
    shares: NDArray[np.float64],
    device: torch.device,
) -> dict[str, list[float]]:
    """Return 'fid_<split>' and, with logits, 'is' of the resamples that `shares` (R, N) describe."""
    logits = features.logits
    values = {} if logits is None else {"is": inception_scores(logits, shares, device)}
    values |= {f"fid_{split}": [] for split in references}
    width = features.penultimate.shape[1]
    chunk = max(1, COVARIANCES // width**2)
    for first in range(0, len(shares), chunk):
        ours = moments(features.penultimate, device, shares[first : first + chunk])
        for split, real in references.items():
            values[f"fid_{split}"] += frechet(ours, real.moments, real.root).tolist()
    return values


def score(
    features: Features,
    references: Mapping[str, Reference],
    options: Scoring,
    resampled: Mapping[str, list[float]],
    device: torch.device,
) -> dict[str, float]:
    """Return FID and KID against each reference, and IS (with logits), of generated images by their features.

    Args:
        references: of the splits 'train' and 'test'.
        options: see `Scoring`.
        resampled: what `bootstrap` gave.
        device: where to compute.
    """
    ours = moments(features.penultimate, device)
    scores: dict[str, float] = {"samples": len(features.penultimate)}
    for split, real in references.items():
        scores |= fid_and_kid(features, ours, real, options, resampled[f"fid_{split}"], f"_{split}")
    return scores | inception_score(features.logits, options, resampled, device)


def fid_and_kid(
    features: Features, ours: Moments, real: Reference, options: Scoring, resampled: list[float], name: str
) -> dict[str, float]:
    """Return fid with fid_sd, fid_low, fid_high, and, of a reference that has features, kid with kid_sd.

    Args:
        features: of generated images; ours: their moments.
        real: the reference.
        options: see `Scoring`.
        resampled: FIDs of resamples of the images.
        name: of the reference, as it follows 'fid' and 'kid' in the keys: '_train', or ''.
    """
    # FID, and its 95% interval
    fid = float(frechet(ours, real.moments, real.root))
    sd = float(np.std(resampled, ddof=1))
    scores = {f"fid{name}": fid, f"fid{name}_sd": sd}
    scores |= {f"fid{name}_low": fid - Z95 * sd, f"fid{name}_high": fid + Z95 * sd}
    # KID
    size = min(options.kid_subset_size, len(features.penultimate), len(real.features))
    if size:
        estimates = kernel_distances(
            features.penultimate, real.features, options.kid_subsets, size, ours.mu.device
        )
        scores |= {f"kid{name}": float(np.mean(estimates)), f"kid{name}_sd": float(np.std(estimates))}
    return scores


def inception_score(
    logits: NDArray[np.float32] | None,
    options: Scoring,
    resampled: Mapping[str, list[float]],
    device: torch.device,
) -> dict[str, float]:
    """Return is with is_sd, of what `bootstrap` gave, and is_split_sd, over its parts; {} without logits."""
    if logits is None:
        return {}
    parts = inception_scores(logits, parts_of(len(logits), options.splits), device)
    sd, split_sd = float(np.std(resampled["is"], ddof=1)), float(np.std(parts))
    return {"is": float(np.mean(parts)), "is_sd": sd, "is_split_sd": split_sd}


def compare_with_train(
    images: NDArray[np.uint8],
    features: Features,
    reference: Reference,
    train: Any,
    options: Scoring,
    device: torch.device,
) -> dict[str, float]:
    """Return precision, recall and the distance to the nearest training image of images (N, C, H, W).

    Args:
        features: of the images; reference: of the train split.
        train: all training images, by [rows].
        options: see `Scoring`; device: where to compute.
    """
    precision, recall = precision_and_recall(features.penultimate, reference.features, device)
    scores = {"precision": precision, "recall": recall}
    return scores | {"nearest_train": nearest_distance(images[: options.nearest], train, device)}


def score_samples(
    *,
    samples: str | Path,
    statistics: Mapping[str, str | Path],
    features: Mapping[str, str | Path],
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

    Where samples or real images are too few for FID, a list `warnings` says so.

    Precision, recall and nearest training images, which take longest, are of the headline variant alone.
    Features pass through a temporary file: memory does not grow with the number of samples.

    Args:
        samples: the sample file.
        statistics, features: what `write_reference` wrote for the splits 'train' and 'test'.
        store: the image store.
        extractor, weights, batch, device: see `Extractor`.
        scoring: keyword arguments of `Scoring`; seed: of the bootstrap.
        output: the JSON file.
    """
    on, options = pick_device(device), from_settings(Scoring, scoring, "evaluation.scoring")
    train = read_split(store, "train").images
    extract = Extractor(extractor, weights, device, batch)
    real = {
        split: read_reference(statistics[split], features[split], Source(store, split, weights), on)
        for split in SPLITS
    }
    scores, resampled = {}, {}
    with open_samples(samples) as content:
        held_out_errors = content.info.pop("l1_held_out", {})
        headline, *_ = content.variants
        count, width = len(content.labels), len(real["train"].moments.mu)
        shares = resamples_of(count, options.bootstrap, fold_in(seed, "bootstrap"))
        for name, images in content.variants.items():
            ours = extract(images)
            resampled[name] = bootstrap(ours, real, shares, on)
            scores[name] = score(ours, real, options, resampled[name], on)
            if name == headline:
                scores[name] |= compare_with_train(images, ours, real["train"], train, options, on)
            if name in held_out_errors:
                scores[name]["l1_held_out"] = held_out_errors[name]
            log.info("%s: FID (train) %.4g", name, scores[name]["fid_train"])
        info = content.info
    info |= {"headline": headline, "features": extractor}
    warnings = few_images(count, width, "samples")
    for split, reference in real.items():
        warnings += few_images(len(reference.features), width, f"{split} images")
    if warnings:
        info["warnings"] = warnings
        log.warning("%s", "; ".join(warnings))
    write_json(output, {**info, "scores": scores, "bootstrap": resampled})


def score_images(
    images: Any, reference: Any, extract: Extractor, options: Scoring, seed: int
) -> dict[str, Any]:
    """Return FID, KID, IS, precision and recall of images, whose reference needs no files made before.

    Where either are too few for FID, a list `warnings` says so.

    Args:
        images: (N, C, H, W) uint8 by [rows], N > NEIGHBOUR and N >= splits; see `images.open_images`.
        reference: real images likewise; or the path of an .npz of mu and sigma, which gives FID and IS alone
            (and then two images are enough).
        extract: of the features of both.
        options: see `Scoring`; `nearest` is not read.
        seed: of the resamples.

    Raises:
        UserError: an .npz is of features of another width.
    """
    by_moments, on = isinstance(reference, str | Path), extract.device
    ours = extract(images)
    # The reference: moments alone, or features and their moments
    if by_moments:
        real, real_moments = ours.penultimate[:0], read_moments(reference, on)
    else:
        real = extract(reference).penultimate
        real_moments = moments(real, on)
    width, real_width = ours.penultimate.shape[1], len(real_moments.mu)
    if real_width != width:
        raise UserError(f"{reference} is of {real_width} features, not {width}")
    against = Reference(real, real_moments, square_root(real_moments.sigma))
    # The scores
    shares = resamples_of(len(images), options.bootstrap, fold_in(seed, "bootstrap"))
    resampled = bootstrap(ours, {"real": against}, shares, on)
    our_moments = moments(ours.penultimate, on)
    scores: dict[str, Any] = {"samples": len(images)}
    scores |= fid_and_kid(ours, our_moments, against, options, resampled["fid_real"], "")
    scores |= inception_score(ours.logits, options, resampled, on)
    if not by_moments:
        precision, recall = precision_and_recall(ours.penultimate, real, on)
        scores |= {"precision": precision, "recall": recall}
    # What is to be said of them
    warnings = few_images(len(images), width)
    if by_moments:
        warnings += few_images_of(reference, real_moments.sigma)
    else:
        warnings += few_images(len(real), width, "reference images")
    return scores | ({"warnings": warnings} if warnings else {})
