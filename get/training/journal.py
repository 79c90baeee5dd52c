"""The journal of a training: its losses and events, line by line while it runs.

A file of JSON lines beside the result, which outlives kills and restarts:
    {"event": "start", "step": 0, "stop": 2000, "time": ..., ...}    an attempt began, from this step
    {"step": 50, "loss": 0.31, "gradient_norm": 0.8, "rate": 24.1, "time": ...}    means since the line before
    {"event": "end", "step": 2000, "reason": "done", "time": ...}    it ended; without this line it was killed
Steps that a killed attempt took after its last save are forgotten when the next one goes on. The same numbers
go to the trackers of the config.
"""

import json
import time
from pathlib import Path
from typing import Any

from get.storage.atomic import room_for, write_text
from get.storage.lock import this_process
from get.training.trackers import NONE
from get.training.tracking import Draw, Tracking

Line = dict[str, Any]
NUMBER = (int, float)
# what a line holds beside step and time, by its event
KEYS: dict[Any, dict[str, Any]] = {
    "start": {"stop": int, "process": str},
    None: {"loss": NUMBER, "gradient_norm": NUMBER, "rate": NUMBER},
    "end": {"reason": str},
}


class Journal:
    """The journal of the training that makes `output`; `tracking` is told the same."""

    def __init__(self, output: str | Path, tracking: Tracking | None = None) -> None:
        self.path = Path(output).with_suffix(".journal.jsonl")
        self._tracking = tracking or Tracking(NONE, output, {})
        self._last = (0, 0.0)  # step and time of the line before

    def begin(self, step: int, stop: int, **facts: Any) -> None:
        """Note that an attempt goes on from `step` towards `stop`, and forget what came after `step`."""
        kept = [line for line in read_journal(self.path) if line["step"] <= step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept), recorded=False)
        self._last = step, time.monotonic()
        self._append({"event": "start", "step": step, "stop": stop, "process": this_process(), **facts})
        self._tracking.begin(step)

    def fruitless_seconds(self, step: int) -> float:
        """Return the seconds in which the attempt before did not get beyond `step`; 0 if it did."""
        lines = read_journal(self.path)
        if lines and lines[-1].get("reason") == "no progress" and lines[-1]["step"] == step:
            return float(lines[-1].get("limit", 0.0))
        return 0.0

    def record(self, step: int, loss: float, gradient_norm: float) -> None:
        """Note the means of the steps since the line before."""
        last_step, last_time = self._last
        now = time.monotonic()
        rate = (step - last_step) / max(now - last_time, 1e-9)
        self._last = step, now
        values = {"loss": loss, "gradient_norm": gradient_norm, "rate": round(rate, 3)}
        self._append({"step": step, **values})
        self._tracking.scalars(step, values)

    def show(self, step: int, draw: Draw) -> None:
        """Let the trackers have samples of the result."""
        self._tracking.images(step, draw)

    def end(self, step: int, reason: str, **facts: Any) -> None:
        """Note why the attempt ends at `step`: 'done', 'asked', 'time', 'no progress', 'diverged', ..."""
        self._append({"event": "end", "step": step, "reason": reason, **facts})

    def close(self) -> None:
        """Let the trackers finish."""
        self._tracking.close()

    def _append(self, line: Line) -> None:
        with room_for(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "time": round(time.time(), 1)}) + "\n")


def read_journal(path: Path) -> list[Line]:
    """Return the lines of the journal at `path`; none where there is no such file.

    What is no line of a journal, such as a half-written last one, is left out.
    """
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and _is_known(line):
                lines.append(line)
    return lines


def _is_known(line: Line) -> bool:
    event = line.get("event")
    kinds = KEYS.get(event if isinstance(event, str) else None, {"": str}) | {"step": int, "time": NUMBER}
    return all(isinstance(line.get(key), kind) for key, kind in kinds.items())
