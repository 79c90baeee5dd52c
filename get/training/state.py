"""The state of a training: weights, average, optimiser and history, enough to resume bit for bit."""

import reprlib
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from get.runtime.log import log
from get.runtime.processes import process_count
from get.storage.atomic import atomic, write_json
from get.storage.reading import reading, require, require_small
from get.training.optimisation import AdamW, Optimisation

RECORD_EVERY = 50  # steps averaged into one line of the history; the only time the host waits for the device
STATE_KEYS = {
    "identity": str,
    "threads": int,
    "step": int,
    "model": dict,
    "ema": list,
    "optimizer": dict,
    "history": list,
    "window": Tensor,
}


class State:
    """A training run after `step` steps: weights, average, optimiser, and the history of the loss.

    `history` is a list of (step, loss, gradient norm): means over the `RECORD_EVERY` steps that end there.
    `frozen` holds networks beside the model that no gradient changes (a target, say), if there are any.
    """

    def __init__(
        self, model: nn.Module, options: Optimisation, identity: str, frozen: nn.Module | None = None
    ) -> None:
        self.model, self.identity, self.step, self.frozen = model, identity, 0, frozen
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.parameters]
        self.optimizer = AdamW(self.parameters, options.weight_decay)
        self.history: list[tuple[int, float, float]] = []
        # loss and gradient norm of the steps since the last line of the history
        self.window = torch.zeros(2, RECORD_EVERY, device=self.parameters[0].device)

    def tensors(self) -> list[Tensor]:
        """Return what the run keeps between steps: weights, average, and the optimiser's moments."""
        moments = [t for values in self.optimizer.moments for t in values.values()]
        frozen = self.frozen.state_dict().values() if self.frozen else ()
        return [*self.model.state_dict().values(), *self.ema, *moments, *frozen]

    def ema_weights(self) -> dict[str, Tensor]:
        """Return the model's state dict with each parameter replaced by its moving average."""
        names = [name for name, p in self.model.named_parameters() if p.requires_grad]
        averages = dict(zip(names, self.ema, strict=True))
        return {**self.model.state_dict(), **averages}

    def save(self, path: Path, recorded: bool = True) -> None:
        """Write everything to `path`, atomically (see `storage.atomic`); readable with weights_only=True."""
        content = {
            "identity": self.identity,
            "threads": torch.get_num_threads(),
            "processes": process_count(),
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizer": {"state": dict(enumerate(self.optimizer.moments))},  # as torch's optimisers have it
            "history": self.history,
            "window": self.window,
        }
        if self.frozen:
            content["frozen"] = self.frozen.state_dict()
        with atomic(path, recorded) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path, stop: int) -> bool:
        """Continue from `path`; returns False where it is of other settings or of a step beyond `stop`.

        Raises:
            UserError: the file is missing or damaged.
        """
        device = self.parameters[0].device
        with reading(path, "training state"):
            require_small(path)
            # Checksums, at which torch does not look
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} is damaged")
            # Whose state it is
            content = torch.load(path, map_location=device, weights_only=True)
            require(content, STATE_KEYS)
            if content["identity"] != self.identity or content["step"] > stop:
                return False
            self._require_fitting(content)  # before anything changes: training may start afresh
            processes, threads = content.get("processes", 1), content["threads"]  # older ones: it was one
            if (processes, threads) != (process_count(), torch.get_num_threads()):
                text = "%s: made by %d processes with %d threads: the last bits may differ"
                log.info(text, path, processes, threads)
            # Weights, moments, average, history
            self.model.load_state_dict(content["model"])
            for number, moments in content["optimizer"]["state"].items():
                for name, values in moments.items():
                    self.optimizer.moments[number][name].copy_(values)
            torch._foreach_copy_(self.ema, content["ema"])
            if self.frozen:
                self.frozen.load_state_dict(content["frozen"])
            self.step, self.history = content["step"], [tuple(line) for line in content["history"]]
            self.window.copy_(content["window"])
        return True

    def _require_fitting(self, content: dict[str, Any]) -> None:
        """Raise `ValueError` unless the content of a file is a state of this model and optimiser."""
        held, moments = content["optimizer"]["state"], self.optimizer.moments
        _require_alike(content["model"], self.model.state_dict())
        _require_alike(content["ema"], self.ema)
        _require_alike(content["window"], self.window)
        if self.frozen:
            _require_alike(content.get("frozen"), self.frozen.state_dict())
        _require_alike(held, {number: moments[number] for number in held})
        for line in content["history"]:
            _require_alike(line, (0, 0.0, 0.0))

    def write_history(self, path: str | Path) -> None:
        """Write the history as JSON: the names of the columns and the rows."""
        write_json(path, {"columns": ["step", "loss", "gradient norm"], "rows": self.history})


def _require_alike(found: Any, ours: Any) -> None:
    """Raise `ValueError` unless `found` is built as `ours` is, tensors being of the same shape and type."""
    if isinstance(ours, dict | list | tuple):
        keys = list(ours) if isinstance(ours, dict) else range(len(ours))
        alike = type(found) is type(ours) and len(found) == len(ours)
        if alike:
            for key in keys:
                _require_alike(found[key], ours[key])
    elif isinstance(ours, Tensor):
        alike = isinstance(found, Tensor) and (found.shape, found.dtype) == (ours.shape, ours.dtype)
    else:
        alike = type(found) is type(ours)
    if not alike:
        raise ValueError(f"{reprlib.repr(found)} should be like {reprlib.repr(ours)}")
