"""What scoring costs: Inception's features with FID and IS beside torch-fidelity, and a score job by part.

    python benchmarks/scoring.py inception --threads 2 --images 200 --batch 50 --repeats 2
    python benchmarks/scoring.py job --threads 1 --results results --samples students/get-16/seed0/500

The first scores random images by an Inception of random weights: ours, which streams features through files,
and torch-fidelity called whole, in turn, each time in a process of its own, whose peak memory is given. The
second takes a results folder (of config.yaml, say) that has these samples and settings/scoring.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Row, arguments, begin, finish, machine, spread, timed
from torch.utils.data import Dataset

from get.data.store import SPLITS, read_split
from get.sampling.files import open_samples
from get.scoring import scores
from get.scoring.features import Extractor
from get.scoring.metrics import (
    frechet,
    inception_scores,
    kernel_distances,
    moments,
    parts_of,
    precision_and_recall,
    resamples_of,
    square_root,
)
from get.storage.reading import read_json

IS_PARTS = 10
JOB = "import json, sys; from get.scoring.scores import score_samples as f; f(**json.loads(sys.argv[1]))"


class Images(Dataset):
    """What torch-fidelity takes images from."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def ours(images: list[np.ndarray], weights: Path, batch: int, device: torch.device) -> dict[str, float]:
    """Return FID and IS as this project computes them."""
    extract = Extractor("inception", weights, str(device), batch)
    generated, real = map(extract, images)
    found, wanted = (moments(features.penultimate, device) for features in (generated, real))
    assert generated.logits is not None
    parts = inception_scores(generated.logits, parts_of(len(images[0]), IS_PARTS), device)
    return {"FID": float(frechet(found, wanted, square_root(wanted.sigma))), "IS": float(np.mean(parts))}


def theirs(images: list[np.ndarray], weights: Path, batch: int, device: torch.device) -> dict[str, float]:
    """Return FID and IS of torch-fidelity called whole."""
    import torch_fidelity

    found = torch_fidelity.calculate_metrics(
        input1=Images(images[0]), input2=Images(images[1]), fid=True, isc=True, isc_splits=IS_PARTS,
        feature_extractor="inception-v3-compat", feature_extractor_weights_path=str(weights),
        batch_size=batch, cuda=device.type == "cuda", save_cpu_ram=True, cache=False, verbose=False,
    )  # fmt: skip
    return {"FID": found["frechet_inception_distance"], "IS": found["inception_score_mean"]}


CODES: dict[str, Callable[..., dict[str, float]]] = {"ours": ours, "torch-fidelity": theirs}


def score_once(args: argparse.Namespace) -> None:
    """Score in this process, and print scores, seconds and peak memory as JSON."""
    device = begin(args)
    source = np.random.default_rng(0)
    real, noise = source.integers(0, 256, (2, args.images, 3, 32, 32), dtype=np.uint8)
    generated = (0.7 * real[::-1] + 0.3 * noise).astype(np.uint8)
    import torch_fidelity  # noqa: F401 (what it takes is no part of the comparison)

    begun = time.perf_counter()
    found = CODES[args.once]([generated, real], args.weights, args.batch, device)
    found["seconds"] = time.perf_counter() - begun
    found["peak (MB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(found))


def inception(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return a row for each code."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from miniature import inception_weights

    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CODES}
    with tempfile.TemporaryDirectory() as folder:
        weights = str(inception_weights(Path(folder, "weights.pth")))
        for _ in range(args.repeats):
            for name, found in runs.items():
                command = [sys.executable, __file__, *sys.argv[1:], "--once", name, "--weights", weights]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                found.append(json.loads(done.stdout.splitlines()[-1]))
    rows: list[Row] = []
    for name, found in runs.items():
        rates = spread(np.array([2 * args.images / each["seconds"] for each in found]))
        row: Row = {"code": name, "images/s": rates["median"], "low": rates["low"], "high": rates["high"]}
        row["peak (MB)"] = max(each["peak (MB)"] for each in found)
        rows.append(row | {score: found[0][score] for score in ("FID", "IS")})
    return rows


def job(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return a row for whole jobs, for what they import, and for each part of scoring one variant."""
    results = args.results
    with tempfile.TemporaryDirectory() as scratch:
        call: dict[str, Any] = {
            "store": str(results / "data/images.h5"),
            "samples": str(results / "samples" / f"{args.samples}.h5"),
            "statistics": {split: str(results / f"features/reference-{split}.npz") for split in SPLITS},
            "features": {split: str(results / f"features/reference-{split}.npy") for split in SPLITS},
            "weights": str(results / "features/classifier.safetensors"),
            "scoring": read_json(results / "settings/scoring.json"),
            "output": str(Path(scratch, "scores.json")),
            "extractor": "classifier", "batch": args.batch, "seed": 0, "device": str(device),
        }  # fmt: skip
        with open_samples(call["samples"]) as content:
            variants, images = len(content.variants), next(iter(content.variants.values()))[:]
        calls: dict[str, Callable[[], object]] = {
            f"whole job, {variants} variants": partial(in_a_process, JOB, json.dumps(call)),
            "imports": partial(in_a_process, "import get.scoring.scores"),
            **parts(call, images, device),
        }
        seconds = timed(calls, device, args.repeats)
    return [{"part": name, **spread(each)} for name, each in seconds.items()]


def parts(call: dict[str, Any], images: np.ndarray, device: torch.device) -> dict[str, Callable[[], object]]:
    """Return what scoring these images takes, part by part; `call` has the arguments of `score_samples`."""
    options, train = scores.Scoring(**call["scoring"]), read_split(call["store"], "train").images
    extract = Extractor("classifier", call["weights"], str(device), call["batch"])
    real = {}
    for split in SPLITS:
        source = scores.Source(call["store"], split, call["weights"])
        real[split] = scores.read_reference(
            call["statistics"][split], call["features"][split], source, device
        )
    features, count = extract(images), len(images)
    assert features.logits is not None
    rows, shares = features.penultimate, resamples_of(count, options.bootstrap, 0)
    found, share = moments(rows, device), parts_of(count, options.splits)

    def kid() -> None:
        for each in real.values():
            size = min(options.kid_subset_size, count, len(each.features))
            kernel_distances(rows, each.features, options.kid_subsets, size, device)

    return {
        "resamples": partial(resamples_of, count, options.bootstrap, 0),
        "features": partial(extract, images),
        "moments": partial(moments, rows, device),
        "FID": lambda: [frechet(found, each.moments, each.root) for each in real.values()],
        "IS": partial(inception_scores, features.logits, share, device),
        "bootstrap": partial(scores.bootstrap, features, real, shares, device),
        "KID": kid,
        "precision and recall": partial(precision_and_recall, rows, real["train"].features, device),
        "nearest": partial(scores.nearest_distance, images[: options.nearest], train, device),
    }


def in_a_process(code: str, *arguments: str) -> None:
    """Run Python code in a process of its own, with as many threads."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env={**os.environ, **threads})


def main() -> None:
    """Run as the module's text says."""
    parser = arguments(__doc__)
    parser.add_argument("what", choices=("inception", "job"))
    parser.add_argument("--images", type=int, default=200, help="of either kind, 32x32 (inception)")
    parser.add_argument("--batch", type=int, default=50, help="images per call")
    parser.add_argument("--results", type=Path, default=Path("results"), help="a results folder (job)")
    parser.add_argument("--samples", help="which of its samples (job)")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        score_once(args)
        return
    device = begin(args)
    rows = {"inception": inception, "job": job}[args.what](args, device)
    args.name = args.name or f"scoring-{args.what}"
    finish(__file__, args, machine(device), rows)


if __name__ == "__main__":
    main()
