"""`get score`, `get statistics` and `get fid`: images against a reference."""

import argparse
from collections.abc import Sized
from dataclasses import asdict
from pathlib import Path

from get.cli.arguments import (
    Commands,
    add_command,
    add_extractor,
    add_json,
    ending,
    positive,
    print_json,
    several,
)
from get.runtime.log import log
from get.storage.errors import UserError


def score(args: argparse.Namespace) -> None:
    """Run `get score`: FID, KID, IS, precision and recall of images against a reference."""
    from get.data.pictures.arrays import holds_images
    from get.scoring.features import Extractor
    from get.scoring.images import open_images
    from get.scoring.metrics import NEIGHBOUR
    from get.scoring.scores import Scoring, score_images

    options = Scoring(args.splits, args.bootstrap, args.kid_subsets, args.kid_subset_size, nearest=0)
    extract = Extractor(args.extractor, args.weights, args.device, args.batch)
    with open_images(args.images, args.choice) as images:
        by_moments = args.reference.suffix == ".npz" and not holds_images(args.reference)
        if by_moments and args.reference_split:
            raise UserError(f"--reference-split: {args.reference} has no splits; leave the option out")
        _require_enough(args.images, images, 2 if by_moments else NEIGHBOUR + 1)
        if args.splits > len(images):
            raise UserError(f"--splits {args.splits}: {args.images} has {len(images)} images; name no more")
        if by_moments:
            scores = score_images(images, args.reference, extract, options, args.seed)
        else:
            with open_images(args.reference, args.reference_split) as real:
                _require_enough(args.reference, real, NEIGHBOUR + 1)
                if real.shape[1:] != images.shape[1:]:
                    raise UserError(
                        f"{args.images} has images {images.shape[1:]} and {args.reference} {real.shape[1:]} "
                        "(C, H, W); compare images of one shape"
                    )
                scores = score_images(images, real, extract, options, args.seed)
    if args.json:
        about = {"images": str(args.images), "reference": str(args.reference), "extractor": args.extractor}
        about |= {"reference_split": args.reference_split, "seed": args.seed, **asdict(options)}
        print_json({**about, **scores})
        return
    print(f"{scores.pop('samples')} images of {args.images} against {args.reference}")
    for name in ("fid", "kid", "is", "precision", "recall"):
        if name in scores:
            sd = f" ± {scores[f'{name}_sd']:.2g}" if f"{name}_sd" in scores else ""
            print(f"{name:<10}{scores[name]:.5g}{sd}")
    for line in scores.get("warnings", []):
        print(f"warning   {line}")


def statistics(args: argparse.Namespace) -> None:
    """Run `get statistics`: mean and covariance of the features of images, as .npz."""
    from get.runtime.device import pick_device
    from get.scoring.features import Extractor
    from get.scoring.images import open_images
    from get.scoring.metrics import moments, write_moments
    from get.scoring.sample_size import few_images

    extract = Extractor(args.extractor, args.weights, args.device, args.batch)
    with open_images(args.samples, args.choice) as images:
        _require_enough(args.samples, images, 2)
        features = extract(images).penultimate
        write_moments(args.out, moments(features, pick_device(args.device)))
        print(f"mu and sigma of {len(images)} images in {args.out}")
        for line in few_images(*features.shape):
            print(f"warning: {line}")


def _require_enough(path: Path, images: Sized, least: int) -> None:
    """Raise `UserError` if there are fewer than `least` images, below which a score has no value."""
    if len(images) < least:
        raise UserError(f"{path} has too few images ({len(images)}); name at least {least}")


def fid(args: argparse.Namespace) -> None:
    """Run `get fid`: the Frechet distance of two .npz files of mu and sigma."""
    from get.scoring.metrics import frechet, read_moments, square_root
    from get.scoring.sample_size import few_images_of

    ours, real = (read_moments(path) for path in (args.ours, args.real))
    if ours.mu.shape != real.mu.shape:
        raise UserError(f"{args.ours} and {args.real} are of features of different width")
    print(f"{float(frechet(ours, real, square_root(real.sigma))):.6g}")
    for path, found in ((args.ours, ours), (args.real, real)):
        for line in few_images_of(path, found.sigma):
            log.warning("warning: %s", line)  # beside the number, which alone is on standard output


def add(commands: Commands) -> None:
    """Add the commands."""
    scores = add_command(
        commands,
        "score",
        score,
        "score images against a reference: FID, KID, IS, precision, recall",
        "samples.h5 --reference results/data/images.h5 --extractor classifier"
        " --weights results/features/classifier.safetensors",
        "pictures --reference real_pictures --weights results/features/inception.pth --json",
        "pictures --reference cifar10-32x32.npz --weights results/features/inception.pth",
    )
    scores.add_argument("images", type=Path, help="sample file, image store (.h5), or folder of pictures")
    scores.add_argument(
        "--choice", help="variant of a sample file (its headline), or split of an image store (train)"
    )
    scores.add_argument(
        "--reference",
        type=Path,
        required=True,
        help="the same kinds; or .npz of mu and sigma, for FID and IS",
    )
    scores.add_argument("--reference-split", help="split of an image store, or variant of a sample file")
    scores.add_argument("--splits", type=positive, default=10, help="parts of the Inception Score (10)")
    scores.add_argument(
        "--bootstrap", type=several, default=20, help="resamples for the ± of FID and IS (20)"
    )
    scores.add_argument(
        "--kid-subsets", type=positive, default=100, help="subsets that KID is a mean of (100)"
    )
    scores.add_argument("--kid-subset-size", type=several, default=1000, help="images of each (1000)")
    scores.add_argument("--seed", type=int, default=0, help="names the resamples")
    add_extractor(scores)
    add_json(scores)

    stats = add_command(
        commands,
        "statistics",
        statistics,
        "write mu and sigma of the features of images, as other repositories do",
        "samples.h5 --weights results/features/inception.pth --out samples.npz",
    )
    stats.add_argument("samples", type=Path, help="sample file, image store (.h5), or folder of pictures")
    stats.add_argument("--choice", help="variant of a sample file, or split of an image store")
    stats.add_argument("--out", type=ending(".npz"), required=True, help="the file to write (.npz)")
    add_extractor(stats)

    distance = add_command(
        commands,
        "fid",
        fid,
        "print the Frechet distance of two .npz files of mu and sigma",
        "samples.npz cifar10-32x32.npz",
    )
    distance.add_argument("ours", type=Path, help="of generated images")
    distance.add_argument("real", type=Path, help="of real images, from here or from another repository")
