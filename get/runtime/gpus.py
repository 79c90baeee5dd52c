"""How many GPUs there are, without torch, which takes seconds to import.

`python -m get.runtime.gpus` prints it, for profiles/default.
"""

import glob
import os
import subprocess


def visible_gpus() -> int:
    """Return how many GPUs CUDA would show to a process of this environment.

    CUDA_VISIBLE_DEVICES names some, by number or UUID; CUDA reads it up to the first entry that is no GPU.
    """
    installed, visible = _installed(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return installed
    names: list[str] = []
    for name in map(str.strip, visible.split(",")):
        if not (name.startswith(("GPU-", "MIG-")) or (name.isdecimal() and int(name) < installed)):
            break
        names.append(name)
    if len(set(names)) < len(names):  # CUDA shows none where it finds one twice
        return 0
    if any(name.startswith("MIG-") for name in names):  # and no second one beside a part of a GPU
        return min(1, installed)
    return min(len(names), installed)


def _installed() -> int:
    """Return how many GPUs this machine has."""
    if files := glob.glob("/dev/nvidia[0-9]*"):
        return len(files)
    try:  # under WSL and in some containers there are no such files
        command = ["nvidia-smi", "--list-gpus"]
        found = subprocess.run(command, capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith(b"GPU ") for line in found.splitlines())


if __name__ == "__main__":
    print(visible_gpus())
