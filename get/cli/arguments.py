"""What the commands share: kinds of arguments, options, and how results are printed."""

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from get.runtime import plugins
from get.storage.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from get.sampling.one_step import Sampling

Commands = Any  # argparse does not name the class of its subparsers
MOST = 10_000_000  # samples of one command
LARGEST = 2**31 - 1  # whole number
LAST_SAMPLE = 2**63 - 1  # number of a sample
Run = Callable[[argparse.Namespace], None]


def add_command(
    commands: Commands, name: str, run: Run, text: str, *examples: str, prog: str = "get"
) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: what `add_subparsers` returned; name: of the command.
        run: runs it.
        text: what it does, in a line.
        examples: its arguments, for --help.
        prog: what stands before `name` on a command line.
    """
    lines = "\n".join(f"  {prog} {name} {example}" for example in examples)
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[:1].upper()}{text[1:]}.",
        epilog=f"examples:\n{lines}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run, threads=None)
    return command


def add_device(command: argparse.ArgumentParser) -> None:
    """Add the option --device."""
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_json(command: argparse.ArgumentParser) -> None:
    """Add the option --json."""
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_extractor(command: argparse.ArgumentParser) -> None:
    """Add the options that name the network whose features are compared, and --device."""
    known = plugins.names("scoring.extractors")
    command.add_argument("--extractor", choices=known, default="inception")
    command.add_argument("--weights", type=Path, required=True, help="of the extractor: results/features/...")
    command.add_argument("--batch", type=positive, default=100, help="images per call")
    add_device(command)


def add_draws(command: argparse.ArgumentParser, seeds: str) -> Any:
    """Add the options that say which samples are drawn, by default those numbered `seeds`, and --device.

    Returns a group for options that take the place of --seeds.
    """
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds", type=seed_list, default=seed_list(seeds), help=f"numbers of samples: 0-63,70 ({seeds})"
    )
    command.add_argument(
        "--label", type=int, help="class of all samples; left out, sample i has class i mod classes"
    )
    command.add_argument(
        "--iterations", type=positive, help="fixed-point iterations; left out, those trained with"
    )
    command.add_argument("--rule", help="state to decode: lowest-residual (if left out) or last")
    command.add_argument("--batch", type=positive, default=64, help="samples per call")
    command.add_argument(
        "--seed", type=int, default=0, help="names the noise, with the numbers of the samples"
    )
    add_device(command)
    return which


def sampling_of(args: argparse.Namespace, initial: str | None = None) -> "Sampling":
    """Return how students are sampled, by the options of `add_draws`; `initial` says which z_0."""
    from get.sampling.one_step import Sampling

    given = {"iterations": args.iterations, "rule": args.rule, "initial": initial}
    return Sampling(args.batch, **{name: value for name, value in given.items() if value is not None})


def print_json(value: Any) -> None:
    """Print `value` as JSON, in ASCII, which every locale has.

    Raises:
        UserError: a number in it is not finite; JSON has none such.
    """
    try:
        print(json.dumps(value, indent=2, allow_nan=False))
    except ValueError:
        raise UserError("--json: a number is not finite; leave the option out to see which") from None


def labels_of(args: argparse.Namespace, classes: int) -> "Tensor":
    """Return the labels (B,) of the samples `args.seeds`; raises `UserError` if --label is no class."""
    from get.sampling import one_step

    return one_step.labels_of(args.seeds, args.label, classes, "--label")


# ------------------------------------------------------------------------------------- kinds of arguments


def seed_list(text: str) -> list[int]:
    """Parse '0-7,10' into [0, ..., 7, 10]; ranges go up, and no number comes twice."""
    seeds: list[int] = []
    for part in text.split(","):
        try:
            first, *rest = (int(number) for number in part.split("-", 1))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} names no numbers; write them as 0-63,70") from None
        last = rest[0] if rest else first
        if last > LAST_SAMPLE:
            raise argparse.ArgumentTypeError(f"{part!r}: samples have numbers up to {LAST_SAMPLE}")
        if last < first:
            raise argparse.ArgumentTypeError(f"{part!r} goes down; write {last}-{first}")
        if len(seeds) + last - first >= MOST:
            raise argparse.ArgumentTypeError(f"{text!r} names more than {MOST:,} samples; draw them in parts")
        seeds.extend(range(first, last + 1))
    ((most, count),) = Counter(seeds).most_common(1)
    if count > 1:
        raise argparse.ArgumentTypeError(f"{text!r} names {most} more than once; name each number once")
    return seeds


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """Parse a whole number of at least 0."""
    return _whole(text, 0)


def sample_number(text: str) -> int:
    """Parse the number of a sample."""
    return _whole(text, 0, LAST_SAMPLE)


def several(text: str) -> int:
    """Parse a whole number of at least 2."""
    return _whole(text, 2)


def _whole(text: str, least: int, most: int = LARGEST) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    if value > most:
        raise argparse.ArgumentTypeError(f"{text} is more than {most}")
    return value


def ending(*suffixes: str) -> Callable[[str], Path]:
    """Return a parser of the path of a file to be written, which ends in one of `suffixes` ('' for none)."""

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            named = " or ".join(suffix or "nothing (a folder)" for suffix in suffixes)
            raise argparse.ArgumentTypeError(f"{text} does not end in {named}")
        if path.suffix and os.path.isdir(path):
            raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
        for folder in path.parents:
            if os.path.isfile(folder):
                raise argparse.ArgumentTypeError(f"{text}: {folder} is a file, no folder")
        return path

    return parse


def sizes(text: str) -> list[int]:
    """Parse '3,32,32' into [3, 32, 32]."""
    values = [positive(part) for part in text.split(",")]
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; write it as 3,32,32")
    return values


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value
