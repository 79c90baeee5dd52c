"""What the benchmark scripts share: arguments, the limits of the machine, a table and a JSON file.

Every script measures its candidates in turn (A B A B ...) in one run, after calls that warm up, and gives
medians with quartiles. Beside them stands what the machine can do at most, measured in the same run.
"""

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from get.costs.measure import spread, timed
from get.runtime.device import pick_device
from get.storage.atomic import write_json

RESULTS = Path(__file__).with_name("results")
CPU, CUDA = 2048, 8192  # sides of the square matrices that are multiplied

Row = dict[str, Any]


def arguments(doc: str, reference: str = "") -> argparse.ArgumentParser:
    """Return a parser with what every script takes; `reference` says what `--reference` is a clone of."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each")
    parser.add_argument("--name", help="of the JSON file in benchmarks/results; left out, that of the script")
    if reference:
        parser.add_argument("--reference", type=Path, help=f"clone of {reference}; left out, ours alone")
    return parser


def begin(args: argparse.Namespace) -> torch.device:
    """Set the number of threads and return the device."""
    torch.set_num_threads(args.threads)
    return pick_device(args.device)


def machine(device: torch.device) -> Row:
    """Return the machine's name and limits: FLOP/s of matrix products by precision, bytes/s of a copy."""
    side, kind = (CUDA if device.type == "cuda" else CPU), device.type
    found: Row = {"kind": kind, "name": torch.cuda.get_device_name(device) if kind == "cuda" else cpu_name()}
    found |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    calls = {}
    for name in ("float32", "tf32", "bfloat16") if kind == "cuda" else ("float32", "bfloat16"):
        dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

        def multiply(a: torch.Tensor = a, b: torch.Tensor = b, name: str = name) -> None:
            torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
            a @ b

        calls[name] = multiply
    rates = timed(calls, device)
    found["matrix_flops"] = {name: 2 * side**3 / float(min(seconds)) for name, seconds in rates.items()}
    source = torch.randn(2**26, device=device)
    target = torch.empty_like(source)
    (seconds,) = timed({"copy": lambda: target.copy_(source)}, device).values()
    found["copy_bytes"] = 2 * source.nbytes / float(min(seconds))
    return found


def cpu_name() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def finish(script: str, args: argparse.Namespace, limits: Row, rows: Sequence[Row], **facts: Any) -> None:
    """Print rows, facts and limits, and write them."""
    print(tabulate(rows, headers="keys", floatfmt=".4g"))
    for name, fact in {**facts, **limits}.items():
        print(f"{name}: {fact}")
    write(script, args, limits, rows, **facts)


def write(script: str, args: argparse.Namespace, limits: Row, rows: Sequence[Row], **facts: Any) -> None:
    """Write rows, facts and limits to benchmarks/results/NAME-DEVICE.json."""
    RESULTS.mkdir(exist_ok=True)
    kept = {key: value for key, value in vars(args).items() if key not in ("reference", "name")}
    # where files lie on this machine says nothing to others
    settings = {
        key: str(value)
        for key, value in kept.items()
        if not (isinstance(value, Path) and value.is_absolute())
    }
    content = {"settings": settings, "machine": limits, **facts, "rows": list(rows)}
    path = RESULTS / f"{args.name or Path(script).stem}-{limits['kind']}.json"
    write_json(path, content, recorded=False)


__all__ = ["Row", "arguments", "begin", "finish", "machine", "spread", "timed", "write"]
