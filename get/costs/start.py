"""Start as a job does, and do nothing: `python -m get.costs.start student` prints the bytes that it took.

Jobs of one kind import much the same, and importing is most of what a process does before its work.
"""

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

from get.runtime.tuning import collect_seldom

# what Snakemake itself imports for a script; a plan is made without it, too
SCRIPT = ["snakemake.iocontainers", "snakemake.logging"] if importlib.util.find_spec("snakemake") else []
MODULES = {  # by rule, or else by kind of job
    "settings": ["get.storage.atomic"],
    "light": [*SCRIPT, "get.paper.tables"],
    "classifier": [*SCRIPT, "get.scoring.trained"],
    "teacher": ["get.cli", "get.teacher.training"],
    "pairs": [*SCRIPT, "get.teacher.generation"],
    "student": ["get.cli", "get.student.training"],
    "sample": [*SCRIPT, "get.sampling.students", "get.storage.mosaic"],
    "score": [*SCRIPT, "get.sampling.students", "get.storage.mosaic", "get.scoring.scores"],
    "costs": [*SCRIPT, "get.costs.measure"],
}
WITHOUT_TORCH = ("settings", "light")


def start(name: str) -> None:
    """Import what a job of this name imports, and open its GPU if there is one."""
    collect_seldom()
    for module in MODULES[name]:
        importlib.import_module(module)
    if name not in WITHOUT_TORCH:
        import torch

        torch.zeros(1, device="cuda" if torch.cuda.is_available() else "cpu")


def peak_memory() -> int:
    """Return the most bytes that this process took; 0 where there is no /proc.

    `getrusage` would count the process that started this one too.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8") if status.exists() else "")
    return 1024 * int(found[1]) if found else 0


if __name__ == "__main__":
    start(sys.argv[1])
    print(peak_memory(), flush=True)
    os._exit(0)  # as jobs end
