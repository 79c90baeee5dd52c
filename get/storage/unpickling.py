"""Other people's pickles, read as data: nothing that is in the file is run, imported or looked up.

A pickle is a program: `pickle.load` imports and calls whatever the file names. Here only the instructions
that build plain data are carried out. A name in the file stays a `Name`; the table of the format decides what
a call of it makes, mostly a `Stored`, which keeps what it is given and does nothing.
"""

import pickle
import pickletools
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, NoReturn

from get.storage.errors import UserError

MAX_INSTRUCTIONS = 1_000_000  # EDM's CIFAR-10 networks have 70,000, a batch of CIFAR-10 has 60,000
MAX_ARGUMENTS = 10  # of a call, which copies them


@dataclass(frozen=True)
class Name:
    """A class or function that the file names."""

    name: str


@dataclass(repr=False, eq=False)  # both would follow references without end
class Stored:
    """An object in the file: the name of its class, and its arguments and its state as they were stored."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


# the names that a format may use: a call is answered by the function, or by a `Stored`; None forbids calls
Answers = Mapping[str, Callable[..., Any] | type[Stored] | None]


@dataclass
class Budget:
    """What is left to one file: bytes of values made from those in it, and instructions."""

    bytes: int
    instructions: int = MAX_INSTRUCTIONS

    def take(self, count: int) -> None:
        """Count `count` bytes of values, which a file may name often: it could unfold without end."""
        self.bytes -= count
        if self.bytes < 0:
            raise UserError("it unfolds to more values than the file has bytes; refused")


def unpickle(stream: BinaryIO, answers: Answers, budget: Budget, persistent: bool = False) -> Any:
    """Return what the pickle in `stream` holds, and leave the stream behind it.

    Text of Python 2 becomes bytes.

    Args:
        stream: where the pickle begins.
        answers: the names that it may use.
        budget: of the file, which may hold more pickles.
        persistent: whether it may hold persistent ids; they are left as they are.

    Raises:
        UserError: the pickle asks for more than that; the message lacks the name of the file.
        Exception: of any other kind, if it is damaged.
    """
    start = stream.tell()
    for opcode, _, _ in pickletools.genops(stream):
        budget.instructions -= 1
        if budget.instructions < 0:
            _refuse(f"it has more than {MAX_INSTRUCTIONS} instructions")
        if ord(opcode.code) not in _Unpickler.dispatch or (opcode.name == "BINPERSID" and not persistent):
            _refuse(f"it has an instruction {opcode.name}")
    stream.seek(start)
    return _Unpickler(stream, answers).load()


class _Unpickler(pickle._Unpickler):
    """Python's own reader without the instructions that run code, and with tame ones in place of some.

    It is the reader in Python: that in C takes memory for as many objects as a pickle says it will store.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (
            pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE,
            pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT,
            pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.SHORT_BINUNICODE, pickle.BINUNICODE,
            pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8, pickle.GLOBAL, pickle.STACK_GLOBAL,
            pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
            pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.BINPERSID,
            pickle.MEMOIZE, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET,
        )
    }  # fmt: skip

    def __init__(self, stream: BinaryIO, answers: Answers) -> None:
        super().__init__(stream, encoding="bytes")
        self.answers = answers

    def find_class(self, module: str, name: str) -> Name:
        if (full := f"{module}.{name}") not in self.answers:
            raise UserError(
                f"it asks for {ascii(full[:80])[1:-1]}; refused, and nothing was run: it is another file, or "
                "not from who it says"
            )
        return Name(full)

    def persistent_load(self, pid: Any) -> Any:
        return pid

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        answer = self.answers[function.name] if type(function) is Name else None
        if answer is None or type(arguments) is not tuple or len(arguments) > MAX_ARGUMENTS:
            _refuse(f"it calls {show(function)}")
        made = Stored(function.name, arguments) if answer is Stored else answer(*arguments)
        self.stack.append(made)

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Stored and target.state is None:
            target.state = state
        elif type(target) is not dict or state != {}:  # Python 3.8 stores an empty state with each EasyDict
            _refuse(f"it gives a state to {show(target)}")

    def load_append(self) -> None:
        self._add([self.stack.pop()])

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._add([key, value])

    def load_appends(self) -> None:
        self._add(self.pop_mark())

    def _add(self, items: list[Any]) -> None:
        """Add items to the list, set or dict (keys and values in turn) on top of the stack."""
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
            return
        # members and keys must be text: to hash a nested tuple can take for ever
        keys = items[::2] if type(target) is dict else items
        if type(target) not in (set, dict) or any(type(text) not in (str, bytes) for text in keys):
            _refuse(f"it gives items to {show(target)}")
        target.update(items if type(target) is set else zip(keys, items[1::2], strict=True))

    dispatch |= dict.fromkeys(pickle.REDUCE + pickle.NEWOBJ, load_reduce)
    dispatch |= dict.fromkeys(pickle.APPENDS + pickle.SETITEMS + pickle.ADDITEMS, load_appends)
    dispatch |= {pickle.BUILD[0]: load_build, pickle.APPEND[0]: load_append, pickle.SETITEM[0]: load_setitem}


def _refuse(what: str) -> NoReturn:
    raise UserError(f"{what}; refused, for no such file needs that")


def show(value: Any) -> str:
    """Return a short text for a value of the file (which may be endless, or full of control characters)."""
    items = value if isinstance(value, list | tuple) else [value]
    plain = all(isinstance(item, int | float | str | None) for item in items[:10])
    return reprlib.repr(value) if plain else f"a {type(value).__name__}"
