"""What programs and notebooks use, also as `get.load` and so on (docs/python.md)."""

from get.api.generator import Generator, Options, Trajectory, load
from get.api.teacher import Teacher, load_teacher, open_pairs
from get.storage.errors import UserError

__all__ = ["Generator", "Options", "Teacher", "Trajectory", "UserError", "load", "load_teacher", "open_pairs"]
