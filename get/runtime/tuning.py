"""Settings of Python, of the C library and of matplotlib, for all jobs and commands. Imports no torch."""

import ctypes
import gc
import os

COLLECT_AFTER = (100_000, 50, 50)  # new objects, and rounds, until unreachable cycles are looked for
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them
LARGEST_KEPT = 2**25  # bytes of an allocation; more than this glibc refuses


def collect_seldom() -> None:
    """Let Python look for unreachable cycles seldom.

    While torch is imported, it would look through all objects again and again: a tenth of the time of a job
    that does little else.
    """
    gc.set_threshold(*COLLECT_AFTER)


def draw_into_files() -> None:
    """Let matplotlib draw into files, before it is imported.

    A notebook's backend, which its processes inherit, may not even be importable here.
    """
    os.environ["MPLBACKEND"] = "Agg"


def keep_freed_memory() -> None:
    """Let the C library, where it is glibc, keep freed memory for what is allocated next.

    It would give much of it back after each step, and in the next one wait for the kernel to map and clear it
    again: up to a tenth of the time of training on a CPU.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_TRIM_THRESHOLD, -1)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
