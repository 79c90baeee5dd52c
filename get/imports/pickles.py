"""EDM's pickles, read as data: nothing that is in the file is run.

A pickle is a program: `pickle.load` imports and calls whatever the file names. Here the standard library's
`pickletools` only decodes the instructions, and `_Reader` carries out the few that EDM's files consist of, on
plain data. A name in the file is never looked up in Python: it stands in `_CALLS`, where a function of this
module answers for it, or the file is refused. What EDM's files hold is told by its public repository
(`torch_utils/persistence.py`, `training/networks.py`) and by torch's (`_legacy_save`); no code is from there.
"""

import io
import math
import pickletools
import reprlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import torch
from torch import Tensor

from get.storage.errors import UserError

MAX_INSTRUCTIONS = 1_000_000  # EDM's CIFAR-10 networks have 70,000


@dataclass(repr=False, eq=False)  # both would follow references for ever
class Stored:
    """Stands for an object in the file: the name of its class, and its attributes as they were stored."""

    name: str
    state: Any = None


def read(content: bytes) -> Any:
    """Return what one of EDM's pickles holds: plain data, `Stored` for objects, and tensors.

    Raises:
        UserError: the file asks for what no EDM file needs; the message lacks the name of the file.
        Exception: of any other kind, if the file is damaged.
    """
    return _Reader(len(content)).run(io.BytesIO(content), {*_CALLS, _LOAD})


def show(value: Any) -> str:
    """Return a short text for a value of the file (which may be endless, or full of control characters)."""
    items = value if isinstance(value, list | tuple) else [value]
    plain = all(isinstance(item, int | float | str | None) for item in items[:10])
    return reprlib.repr(value) if plain else f"a {type(value).__name__}"


# ----------------------------------------------------------------------------------- what the names stand for


@dataclass(frozen=True)
class _Name:
    """Stands for a class or function that the file names."""

    name: str


def _persistent(meta: Any) -> Stored:
    """Answer for EDM's reconstruction of an object, which would run the source code in `meta`."""
    if type(meta) is not dict or meta.get("type") != "class" or type(meta.get("class_name")) is not str:
        raise UserError("a stored object has no class_name, or is not of type 'class'; it is no EDM teacher")
    return Stored(meta["class_name"], meta.get("state"))


def _tensor(values: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a view of `values` (N,) with the given size, none of whose elements lies outside."""
    if not (type(values) is Tensor and type(size) is type(stride) is tuple and len(size) == len(stride) <= 4):
        raise UserError("a weight has no values, or no size of at most four dimensions; it is no EDM teacher")
    if any(type(number) is not int or number < 0 for number in (offset, *size, *stride)) or 0 in size:
        raise UserError("the size of a weight is no row of positive integers; it is no EDM teacher")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    # a view of more elements than there are values would let a small file unfold without end
    if last >= values.numel() or math.prod(size) > values.numel():
        raise UserError("a weight reaches beyond its values; the file is damaged: download it again")
    return values.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if type(data) is not Tensor:
        raise UserError(f"a parameter is {show(data)}, not a tensor; it is no EDM teacher")
    return data


_CALLS: dict[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.modules.container.ModuleDict": lambda: Stored("ModuleDict"),
    "torch.nn.modules.container.ModuleList": lambda: Stored("ModuleList"),
    "collections.OrderedDict": lambda: {},
    "dnnlib.util.EasyDict": lambda: {},
    "builtins.set": lambda names: _add(set(), names),
    # NumPy's numbers are among constructor arguments that nobody reads here, such as skip_scale = sqrt(0.5)
    "numpy.dtype": lambda *_: Stored("numpy.dtype"),
    "numpy.core.multiarray.scalar": lambda *_: Stored("numpy.number"),
    "numpy._core.multiarray.scalar": lambda *_: Stored("numpy.number"),
}
_LOAD = "torch.storage._load_from_bytes"  # the one call that needs the reader itself
_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
}
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # how torch.save's old format begins


# ------------------------------------------------------------------------------------------ the instructions


class _Reader:
    """Carries out the instructions of a pickle of `size` bytes, and of the pickles inside of it."""

    def __init__(self, size: int) -> None:
        self.instructions = MAX_INSTRUCTIONS
        self.room = size  # the values of all weights are part of the file, though it may name them often

    def run(self, stream: BinaryIO, names: Collection[str], persistent: bool = False) -> Any:
        """Return the result of one pickle.

        Args:
            stream: read up to the end of the pickle.
            names: what it may name.
            persistent: whether it may hold persistent ids; they are left as they are.
        """
        stack: list[Any] = []
        marks: list[int] = []
        memo: dict[Any, Any] = {}

        def since_mark() -> list[Any]:
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            return items

        for opcode, argument, _ in pickletools.genops(stream):
            self.instructions -= 1
            if self.instructions < 0:
                raise UserError(f"it has more than {MAX_INSTRUCTIONS} instructions; it is no EDM teacher")
            match opcode.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case "NONE" | "NEWTRUE" | "NEWFALSE":
                    stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
                case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                    stack.append(argument)
                case "SHORT_BINUNICODE" | "BINUNICODE" | "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8":
                    stack.append(argument)
                case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                    stack.append({"TUPLE": tuple, "LIST": list, "DICT": dict, "SET": set}[opcode.name[6:]]())
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    marks.append(len(stack) - int(opcode.name[-1]))
                    stack.append(tuple(since_mark()))
                case "TUPLE":
                    stack.append(tuple(since_mark()))
                case "MARK":
                    marks.append(len(stack))
                case "MEMOIZE" | "BINPUT" | "LONG_BINPUT":
                    memo[len(memo) if argument is None else argument] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "APPEND" | "SETITEM":
                    marks.append(len(stack) - (1 if opcode.name == "APPEND" else 2))
                    items = since_mark()
                    _add(stack[-1], items)
                case "APPENDS" | "SETITEMS" | "ADDITEMS":
                    items = since_mark()
                    _add(stack[-1], items)
                case "GLOBAL":
                    stack.append(_known(str(argument).replace(" ", "."), names))
                case "STACK_GLOBAL":
                    name = stack.pop()
                    stack.append(_known(f"{stack.pop()}.{name}", names))
                case "REDUCE" | "NEWOBJ":
                    arguments = stack.pop()
                    stack.append(self._call(stack.pop(), arguments))
                case "BUILD":
                    state = stack.pop()
                    _set_state(stack[-1], state)
                case "BINPERSID" if persistent:
                    pass
                case name:
                    raise UserError(f"it has an instruction {name}; refused, for no EDM teacher needs it")
        raise UserError("it has no end; download it again")

    def _call(self, function: Any, arguments: Any) -> Any:
        if type(function) is not _Name or type(arguments) is not tuple:
            raise UserError(f"it calls {show(function)}; refused, for no EDM teacher needs that")
        return self._values(*arguments) if function.name == _LOAD else _CALLS[function.name](*arguments)

    def _values(self, content: Any) -> Tensor:
        """Return the values (N,) that torch.save wrote in its old format: five pickles, then the numbers."""
        if type(content) is not bytes or len(content) > self.room:
            raise UserError("it unfolds to more values than the file has bytes; refused")
        self.room -= len(content)
        stream = io.BytesIO(content)
        magic, version, system, saved, keys = (self.run(stream, _DTYPES, persistent=True) for _ in range(5))
        kind, storage, _, _, count, view = saved
        if (magic, version, system["little_endian"], kind, view) != (_MAGIC, _VERSION, True, "storage", None):
            raise UserError("its weights are in a format that no EDM teacher has")
        dtype, numbers = _DTYPES[storage.name], bytearray(stream.read()[8:])  # behind their number, as int64
        if len(keys) != 1 or len(numbers) != count * dtype.itemsize:
            raise UserError("the values of a weight are cut off; the file is damaged: download it again")
        return torch.frombuffer(numbers, dtype=dtype)


def _known(name: str, names: Collection[str]) -> _Name:
    if name not in names:
        raise UserError(
            f"it asks for {ascii(name[:80])[1:-1]}; refused, and nothing was run: it is no EDM teacher, or "
            "not from who it says"
        )
    return _Name(name)


def _add(target: Any, items: Any) -> Any:
    """Add items to a list, set, or dict (keys and values in turn)."""
    if type(items) is not list or type(target) not in (list, set, dict):
        _misplaced("items", target)
    if type(target) is list:
        target.extend(items)
        return target
    # members and keys must be text: to hash a nested tuple can take for ever
    if any(type(text) is not str for text in (items if type(target) is set else items[::2])):
        _misplaced("items", target)
    target.update(items if type(target) is set else zip(items[::2], items[1::2], strict=True))
    return target


def _set_state(target: Any, state: Any) -> None:
    if type(target) is Stored and target.state is None:
        target.state = state
    elif type(target) is not dict or state != {}:  # Python 3.8 stores an empty state with each EasyDict
        _misplaced("a state", target)


def _misplaced(what: str, target: Any) -> NoReturn:
    raise UserError(f"it gives {what} to {show(target)} in a way that no EDM teacher does; refused")
