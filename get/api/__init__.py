"""What programs and notebooks use, also as `get.load` and so on (docs/python.md)."""

from get.api.generator import Generator, Trajectory, load
from get.api.teacher import Teacher, load_teacher, open_pairs

__all__ = ["Generator", "Teacher", "Trajectory", "load", "load_teacher", "open_pairs"]
