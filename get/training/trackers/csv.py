"""A table of the numbers (scalars.csv), pictures (samples-STEP.png) and settings (settings.json) as files."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.storage.atomic import write_json, write_text


class Csv:
    """A folder; what an attempt before wrote of later steps is forgotten."""

    def __init__(self, folder: Path, name: str, step: int, settings: Mapping[str, Any]) -> None:
        self._folder, self._table = folder, folder / "scalars.csv"
        if self._table.exists():
            text = self._table.read_text(encoding="utf-8", errors="replace")
            write_text(self._table, _whole(text, step), recorded=False)
        write_json(folder / "settings.json", {"name": name, **settings}, recorded=False)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        new = not self._table.exists() or not self._table.stat().st_size
        with open(self._table, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *values.values()])

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""
        Image.fromarray(picture).save(self._folder / f"samples-{step}.png")

    def close(self) -> None:
        """Leave all as it is: each line is written at once."""


def _whole(text: str, step: int) -> str:
    """Return the header and the whole rows up to a step; a kill may have cut one off."""
    lines = [line.split(",") for line in text.splitlines(keepends=True) if line.endswith("\n")]
    rows = [
        row for row in lines[1:] if len(row) == len(lines[0]) and row[0].isdigit() and int(row[0]) <= step
    ]
    return "".join(",".join(row) for row in (*lines[:1], *rows))


TRACKER = Csv
