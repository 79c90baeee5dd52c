"""EDM's pickles: the names that they use, and the values of weights within them.

EDM's public repository tells what its files hold (`torch_utils/persistence.py`, `training/networks.py`), and
torch's (`_legacy_save`); no code is from there.
"""

import io
import math
from typing import Any

import torch
from torch import Tensor

from get.storage.errors import UserError
from get.storage.unpickling import Answers, Budget, Stored, show, unpickle

DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
}
ZIP = b"PK\x03\x04"
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # how torch.save's old format begins


def read(content: bytes) -> Any:
    """Return what one of EDM's pickles holds: plain data, `Stored` for objects, and tensors.

    Raises:
        UserError: the file asks for what no EDM file needs; the message lacks the name of the file.
        Exception: of any other kind, if the file is damaged.
    """
    if content.startswith(ZIP):
        raise ValueError("it is an archive, as torch.save writes, which does not describe its network")
    budget = Budget(len(content))
    answers: Answers = {**ANSWERS, "torch.storage._load_from_bytes": lambda saved: _values(saved, budget)}
    return unpickle(io.BytesIO(content), answers, budget)


def _values(saved: Any, budget: Budget) -> Tensor:
    """Return the values (N,) that torch.save wrote in its old format: five pickles, then the numbers."""
    if type(saved) is not bytes:
        raise UserError("a weight has no values; it is no EDM teacher")
    budget.take(len(saved))
    # pickles
    stream = io.BytesIO(saved)
    names: Answers = dict.fromkeys(DTYPES)
    magic, version, system, header, keys = (
        unpickle(stream, names, budget, persistent=True) for _ in range(5)
    )
    kind, storage, _, _, count, view = header
    if (magic, version, system["little_endian"], kind, view) != (MAGIC, VERSION, True, "storage", None):
        raise UserError("its weights are in a format that no EDM teacher has")
    # numbers
    dtype, numbers = DTYPES[storage.name], bytearray(stream.read()[8:])  # behind their number, as int64
    if len(keys) != 1 or len(numbers) != count * dtype.itemsize:
        raise UserError("the values of a weight are cut off; the file is damaged: download it again")
    return torch.frombuffer(numbers, dtype=dtype)


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


def _persistent(meta: Any) -> Stored:
    """Answer for EDM's reconstruction of an object, which would run the source code in `meta`."""
    if type(meta) is not dict or meta.get("type") != "class" or type(meta.get("class_name")) is not str:
        raise UserError("a stored object has no class_name, or is not of type 'class'; it is no EDM teacher")
    return Stored(meta["class_name"], state=meta.get("state"))


ANSWERS: Answers = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.modules.container.ModuleDict": Stored,
    "torch.nn.modules.container.ModuleList": Stored,
    "collections.OrderedDict": lambda: {},
    "dnnlib.util.EasyDict": lambda: {},
    # nobody reads these: names of buffers, and arguments that are NumPy's numbers (skip_scale = sqrt(0.5))
    "builtins.set": Stored,
    "numpy.dtype": Stored,
    "numpy.core.multiarray.scalar": Stored,
    "numpy._core.multiarray.scalar": Stored,
}
