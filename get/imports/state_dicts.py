"""State dicts as people keep them: under keys and prefixes, alone or beside others, averaged or not."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from torch import Tensor

AVERAGED = (  # keys and prefixes of averaged weights, the most wanted first
    "ema", "ema_model", "model_ema", "ema_student", "student_ema", "ema_state_dict", "state_dict_ema",
    "ema_model_state_dict", "params_ema", "averaged_model", "swa_model",
)  # fmt: skip
PLAIN = ("student", "model", "net", "network", "student_state_dict", "model_state_dict", "state_dict")
HOLDERS = (*AVERAGED, *PLAIN)
DEPTH = 8  # of keys and prefixes around a state dict, which could go on without end
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # torch's, anywhere


class StateDict(NamedTuple):
    """Weights under the names of the model that they are for, as far as it has such.

    Attributes:
        holders: where in the file they are: ('ema',), ('state_dict', 'student'); () for its top.
        weights: tensors, unless the file has something else under a name of the model.
    """

    holders: tuple[str, ...]
    weights: dict[str, Any]

    @property
    def averaged(self) -> bool:
        """True if the file says that they are averaged over training."""
        return any(holder in AVERAGED for holder in self.holders)


def find_state_dict(
    content: dict[Any, Any], names: Collection[str], own_name: Callable[[str], str]
) -> StateDict:
    """Return the state dict of a file that is wanted most: averaged rather than not.

    Args:
        content: of the file.
        names: of the model's parameters and buffers.
        own_name: turns a name of the file, without prefixes, into the model's.
    """
    known = {_unwrapped(name): name for name in names}
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for path, value in _entries(content, "", set()):
        holders, name = _split(_unwrapped(path), known, own_name)
        if name in known or not _beside(value):
            weights, name = found.setdefault(holders, {}), known.get(name, name)
            weights[path if name in weights else name] = value  # a second one of the name is of no model

    def rank(holders: tuple[str, ...]) -> tuple[int, int]:
        place = min((HOLDERS.index(holder) for holder in holders), default=len(HOLDERS))
        return place, -len(found[holders].keys() & names)

    holders = min(found, key=rank, default=())
    return StateDict(holders, found.get(holders, {}))


def _entries(content: dict[Any, Any], prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield what is in the dict, and in the dicts that hold weights within it, under dotted names."""
    seen.add(id(content))
    # what two keys share is taken under the one wanted more
    for key in sorted(content, key=lambda key: HOLDERS.index(key) if key in HOLDERS else len(HOLDERS)):
        value = content[key]
        if not (isinstance(value, dict) and key in HOLDERS + WRAPPERS) or prefix.count(".") > DEPTH:
            yield f"{prefix}{key}", value
        elif id(value) not in seen:
            yield from _entries(value, f"{prefix}{key}.", seen)


def _unwrapped(path: str) -> str:
    return ".".join(part for part in path.split(".") if part not in WRAPPERS)


def _split(path: str, known: Collection[str], own_name: Callable[[str], str]) -> tuple[tuple[str, ...], str]:
    """Return the holders before a name, and the name as the model has it."""
    parts = path.split(".", DEPTH)
    for count, part in enumerate(parts):
        name = own_name(".".join(parts[count:]))
        if name in known or part not in HOLDERS:
            return tuple(parts[:count]), name
    return tuple(parts), "unnamed"  # a list of weights, say


def _beside(value: Any) -> bool:
    """Return True for what a file may hold beside weights: plain data, and counts such as `n_averaged`."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_floating_point()
    return not isinstance(value, dict | list | tuple)
