"""A table of the numbers (scalars.csv), pictures (samples-STEP.png) and settings (settings.json) as files."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from get.storage.atomic import write_json


class Csv:
    """A folder; what an attempt before wrote of later steps is forgotten."""

    def __init__(self, folder: Path, name: str, step: int, settings: Mapping[str, Any]) -> None:
        self._folder, self._table = folder, folder / "scalars.csv"
        kept = []
        if self._table.exists():
            with open(self._table, encoding="utf-8", newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._table.unlink(missing_ok=True)
        write_json(folder / "settings.json", {"name": name, **settings})
        for row in kept:
            self._append(row)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step."""
        self._append({"step": step, **values})

    def _append(self, row: Mapping[str, Any]) -> None:
        new = not self._table.exists()
        with open(self._table, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""
        Image.fromarray(picture).save(self._folder / f"samples-{step}.png")

    def close(self) -> None:
        """Leave all as it is: each line is written at once."""


TRACKER = Csv
