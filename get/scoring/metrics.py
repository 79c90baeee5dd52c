"""Metrics of features, in bounded memory: FID, IS, KID, precision and recall.

Features may lie in files (memory-mapped) and are read in chunks. Weighted, the same functions serve
bootstrap resamples: a resample of N images is a share per image, and needs no copy of the features.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.reading import reading, require_small

CHUNK = 4096  # rows of features at a time
LARGEST = 2**30  # bytes of a file of statistics, unfolded: a width of 11,000
SEED = 2020  # with which torch-fidelity draws the parts of the Inception Score and the subsets of KID
NEIGHBOUR = 3  # whose distance is the radius within which precision and recall count a sample as alike
DISTANCES = 2000  # rows of distances between features at a time
IMAGES = 500  # rows of distances between images at a time
TRAIN_IMAGES = 10_000  # and columns


class Moments(NamedTuple):
    """Mean mu (..., D) and covariance sigma (..., D, D) of features, float64."""

    mu: Tensor
    sigma: Tensor


def _chunks(rows: NDArray[np.float32], device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of `rows`, and these rows as float64 on `device`."""
    for start in range(0, len(rows), CHUNK):
        part = slice(start, min(start + CHUNK, len(rows)))
        yield part, torch.from_numpy(np.array(rows[part])).to(device).double()


def moments(
    features: NDArray[np.float32], device: torch.device, shares: NDArray[np.float64] | None = None
) -> Moments:
    """Return mean and unbiased covariance of features (N, D), N >= 2, each row with its share.

    `shares` (..., N) sum to 1 over the rows; left out, they are equal.
    """
    count, width = features.shape
    # Weighted sums of the features and of their outer products
    weights = torch.from_numpy(np.full(count, 1 / count) if shares is None else shares).to(device)
    mu = weights.new_zeros(*weights.shape[:-1], width)
    second = weights.new_zeros(*mu.shape, width)
    for part, x in _chunks(features, device):
        mu += weights[..., part] @ x
        rows = weights[..., part].reshape(-1, len(x))
        for share, square in zip(rows, second.view(-1, width, width), strict=True):
            kept = share.nonzero().squeeze(1)  # a resample lacks more than a third of the images
            weighted = x[kept].mul_(share[kept, None].sqrt())
            square.addmm_(weighted.T, weighted)
    # Unbiased covariance
    return Moments(mu, (second - mu[..., None] * mu[..., None, :]) * (count / (count - 1)))


def square_root(sigma: Tensor) -> Tensor:
    """Return the symmetric square root of a covariance (D, D)."""
    values, vectors = torch.linalg.eigh(sigma)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet(ours: Moments, real: Moments, root: Tensor) -> Tensor:
    """Return |mu - mu'|^2 + tr(sigma + sigma' - 2 (sigma sigma')^(1/2)) (Heusel et al. 2017), float64 (...).

    Args:
        ours: moments of generated images, (..., D) and (..., D, D); real: of real ones, (D,) and (D, D).
        root: the square root of real.sigma. With it, the trace is that of a symmetric matrix's square root,
            which is faster and more exact than that of the product.
    """
    # tr (sigma sigma')^(1/2) = tr (R sigma R)^(1/2), with R the root of sigma'
    product = root @ ours.sigma @ root
    overlap = torch.linalg.eigvalsh((product + product.mT) / 2).clamp(min=0).sqrt().sum(dim=-1)
    traces = ours.sigma.diagonal(dim1=-2, dim2=-1).sum(dim=-1) + real.sigma.trace()
    return (ours.mu - real.mu).square().sum(dim=-1) + traces - 2 * overlap


def inception_scores(
    logits: NDArray[np.float32], shares: NDArray[np.float64], device: torch.device
) -> list[float]:
    """Return exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016) of logits (N, classes), per row of `shares`.

    Args:
        shares: (R, N); each row says what share of its mean each sample has, and sums to 1.
    """
    weights = torch.from_numpy(shares).to(device)
    marginal = torch.zeros(len(shares), logits.shape[1], dtype=torch.float64, device=device)
    negative_entropy = torch.zeros(len(shares), dtype=torch.float64, device=device)
    for part, x in _chunks(logits, device):
        log_p = x.log_softmax(dim=1)
        marginal += weights[:, part] @ log_p.exp()
        negative_entropy += weights[:, part] @ (log_p.exp() * log_p).sum(dim=1)
    return (negative_entropy - torch.xlogy(marginal, marginal).sum(dim=1)).exp().tolist()


def kernel_distances(
    ours: NDArray[np.float32], real: NDArray[np.float32], subsets: int, size: int, device: torch.device
) -> list[float]:
    """Return KID (Binkowski et al. 2018) of features (N, D) and (M, D): its estimates of `subsets` subsets.

    Each is the unbiased estimate, from `size` rows of either, of the squared maximum mean discrepancy with
    the kernel (x.y / D + 1)^3. The rows are those that torch-fidelity draws.
    """
    random, estimates = np.random.RandomState(SEED), []
    for _ in range(subsets):
        # A subset of either
        x, y = (
            torch.from_numpy(rows[random.choice(len(rows), size, replace=False)]).to(device)
            for rows in (ours, real)
        )
        # Unbiased squared maximum mean discrepancy
        estimates.append(_mean_kernel(x) + _mean_kernel(y) - 2 * _kernel(x, y).mean())
    return torch.stack(estimates).tolist()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return the kernel of all pairs of rows; the products are float32, what is made of them float64."""
    return (x @ y.T).double().div_(x.shape[1]).add_(1).pow_(3)


def _mean_kernel(x: Tensor) -> Tensor:
    """Return the mean of the kernel over the pairs of different rows of x (B, D)."""
    kernel = _kernel(x, x)
    return (kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))


def precision_and_recall(
    ours: NDArray[np.float32], real: NDArray[np.float32], device: torch.device
) -> tuple[float, float]:
    """Return precision and recall (Kynkaanniemi et al. 2019) of features (N, D) and (M, D).

    Precision is the share of our rows that lie near a real one: no further than its third-nearest other real
    row. Recall is the share of real rows that lie near one of ours.
    """
    x, y = (torch.from_numpy(rows).to(device) for rows in (ours, real))
    return _share_near(x, y), _share_near(y, x)


def _share_near(x: Tensor, y: Tensor) -> float:
    """Return the share of rows of x (B, D) that lie near a row of y (C, D)."""
    # Radius of each row of y: the distance to its third-nearest other row (the nearest is itself)
    radii = []
    for part in y.split(DISTANCES):
        nearest = torch.cdist(part, y).topk(NEIGHBOUR + 1, largest=False).values
        radii.append(nearest[:, -1])
    radius = torch.cat(radii)
    # Rows of x within the radius of any row of y
    near = [(torch.cdist(part, y) <= radius).any(dim=1) for part in x.split(DISTANCES)]
    return torch.cat(near).float().mean().item()


def nearest_distance(images: NDArray[np.uint8], train: Any, device: torch.device) -> float:
    """Return the mean over images of the distance to the nearest training image.

    Both are uint8 (N, C, H, W); `train` is read in parts. The distance is the root mean square over pixels in
    grey levels (0 to 255); near 0 is memorisation.
    """
    ours = torch.from_numpy(images).to(device).flatten(1).float()
    nearest = torch.full((len(ours),), torch.inf, device=device)
    for first in range(0, len(train), TRAIN_IMAGES):
        theirs = torch.from_numpy(train[first : first + TRAIN_IMAGES]).to(device).flatten(1).float()
        found = torch.cat([torch.cdist(part, theirs).amin(dim=1) for part in ours.split(IMAGES)])
        nearest = torch.minimum(nearest, found)
    return float(nearest.mean()) / ours.shape[1] ** 0.5


def parts_of(count: int, splits: int) -> NDArray[np.float64]:
    """Return shares (splits, count): the parts that torch-fidelity divides `count` samples into.

    Raises:
        UserError: there are more parts than samples.
    """
    if splits > count:
        raise UserError(f"evaluation.scoring.splits is {splits}, but there are only {count} images to divide")
    shares = np.zeros((splits, count))
    order = np.random.RandomState(SEED).permutation(count)
    for number, row in enumerate(shares):
        chosen = order[number * count // splits : (number + 1) * count // splits]
        row[chosen] = 1 / len(chosen)
    return shares


def resamples_of(count: int, number: int, seed: int) -> NDArray[np.float64]:
    """Return shares (number, count) of bootstrap resamples, a function of the arguments.

    Two models that saw the same noise are thus paired.
    """
    source, equal = np.random.default_rng(seed), np.full(count, 1 / count)
    return np.stack([source.multinomial(count, equal) for _ in range(number)]) / count


def write_moments(path: str | Path, values: Moments, source: str = "") -> None:
    """Write moments as .npz with the arrays `mu` and `sigma`, as other repositories do.

    Args:
        path: the file.
        values: the moments.
        source: what they are of; a third array that `read_source` returns.
    """
    arrays: dict[str, Any] = {"mu": values.mu.cpu().numpy(), "sigma": values.sigma.cpu().numpy()}
    if source:
        arrays["source"] = np.array(source)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_moments(path: str | Path, device: torch.device | None = None) -> Moments:
    """Read moments from an .npz of `mu` (D,) and `sigma` (D, D), this project's or another's.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    with reading(path, "file of mu and sigma"):
        require_small(path, LARGEST, ("mu", "sigma"))  # there may be more in it
        with np.load(path) as file:
            mu, sigma = file["mu"], file["sigma"]
        floats = all(np.issubdtype(array.dtype, np.floating) for array in (mu, sigma))
        finite = floats and np.isfinite(mu).all() and np.isfinite(sigma).all()
        if not finite or mu.ndim != 1 or not mu.size or sigma.shape != (*mu.shape, *mu.shape):
            raise ValueError(f"mu {mu.shape} and sigma {sigma.shape} are no mean and covariance")
        return Moments(*(torch.from_numpy(array.astype(np.float64)).to(device) for array in (mu, sigma)))


def read_source(path: str | Path) -> str:
    """Return what the moments at `path` are of, as given to `write_moments`; raises `UserError`."""
    with reading(path, "file of statistics"):
        require_small(path, LARGEST, ("source",))
        with np.load(path) as file:
            return str(file["source"])
