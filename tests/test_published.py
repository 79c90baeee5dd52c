"""Published teachers and students come in whole, and nothing that their files say is run."""

import copyreg
import io
import os
import pickle
import random
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DISTILLATION, GET, NETWORK, VIT, Reference
from fabricate import Persistent, edm_network, edm_pickle, published_modules, published_student, random_state
from torch import Tensor, nn

from get.imports.students import import_student
from get.imports.teachers import import_teacher
from get.networks import denoiser as network
from get.networks.denoiser import load
from get.networks.published import network_in
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.hashing import sha256
from get.storage.weights import read_header
from get.student import checkpoint, models

TEACHER = {**NETWORK, "channels": 1, "size": 8, "classes": 10}
SMALL = {**TEACHER, "channel_mult": [1], "model_channels": 4, "attention_resolutions": []}
REFERENCE = {**TEACHER, "channels": 3, "channel_mult": [1, 2], "dropout": 0.13, "augment_dim": 9}


def teacher(source: Path, **change: Any) -> network.Denoiser:
    wanted = {"sha256": None, "conditional": True, "shape": [1, 8, 8], "classes": 10} | change
    output = source.with_suffix(".safetensors")
    output.unlink(missing_ok=True)
    import_teacher(source=source, output=output, **wanted)
    return load(output)


def refusal(source: Path, read: Callable[..., Any] = teacher, **change: Any) -> str:
    """Return the message, which names the file, and see that nothing was written."""
    with pytest.raises(UserError) as caught:
        read(source, **change)
    assert str(source) in str(caught.value)
    assert len(str(caught.value)) < 1200
    assert not source.with_suffix(".safetensors").exists()
    return str(caught.value)


# --------------------------------------------------------------------------------------------------- teachers


@pytest.mark.parametrize("name", ["edm_uncond", "edm_cond"])
def test_teacher_computes_what_the_published_code_computes(name: str, tmp_path: Path) -> None:
    reference = Reference(name)
    label = reference["input/label"]
    classes = 0 if label is None else 10
    state = reference.part("state/")
    source = edm_pickle(tmp_path / "edm.pkl", {**REFERENCE, "classes": classes}, state=state)
    model = teacher(source, shape=[3, 8, 8], conditional=bool(classes), sha256=sha256(source).upper())
    for key, values in model.state_dict().items():
        assert values.equal(state[key])
    with torch.no_grad():
        denoised = model(reference["input/noisy"], reference["input/sigma"], label)
    expected = reference["output/denoised_fp32"]
    assert (denoised - expected).abs().max() < 1e-4 * expected.abs().max()
    header = read_header(source.with_suffix(".safetensors"), "teacher")
    assert header["model"] == {**REFERENCE, "classes": classes}
    assert header["source"] == {"file": "edm.pkl", "sha256": sha256(source)}


@pytest.mark.parametrize(
    ("file", "classes", "millions"),
    [
        ("edm-cifar10-32x32-cond-vp.pkl", 10, 55.7),
        ("edm-ffhq-64x64-uncond-vp.pkl", 0, 61.8),
        ("edm-imagenet-64x64-cond-adm.pkl", 1000, 295.9),
        ("network-snapshot-200000.pkl", 10, 55.7),  # unknown: CIFAR-10's
    ],
)
def test_published_files_have_the_networks_of_their_names(file: str, classes: int, millions: float) -> None:
    """Their sizes are those that EDM2 (arXiv 2312.02696) and others print of them."""
    size = 64 if "64x64" in file else 32
    with torch.device("meta"):
        built = network.build(network_in(file) | {"channels": 3, "size": size, "classes": classes})
    assert sum(weight.numel() for weight in built.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_protocols_of_python_3(protocol: int, tmp_path: Path) -> None:
    state = random_state(TEACHER, 3)
    model = teacher(edm_pickle(tmp_path / "edm.pkl", TEACHER, state=state, protocol=protocol))
    assert all(values.equal(state[name]) for name, values in model.state_dict().items())


def test_other_precisions_become_float32(tmp_path: Path) -> None:
    state = random_state(TEACHER, 0)
    for dtype in (torch.float16, torch.float64):
        cast = {name: values.to(dtype) for name, values in state.items()}
        model = teacher(edm_pickle(tmp_path / "edm.pkl", TEACHER, state=cast))
        assert all(w.equal(cast[name].float()) for name, w in model.state_dict().items())
    message = refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, state={n: w.int() for n, w in state.items()}))
    assert "torch.IntStorage" in message


def test_arguments_left_out_are_edms_defaults(tmp_path: Path) -> None:
    wanted = {**TEACHER, "blocks": 4, "attention_resolutions": [16], "dropout": 0.1, "size": 16}
    silent = ("num_blocks", "attn_resolutions", "dropout", "augment_dim", "resample_filter", "encoder_type")
    source = edm_pickle(tmp_path / "edm.pkl", wanted, arguments=dict.fromkeys(silent))
    teacher(source, shape=[1, 16, 16])
    assert read_header(source.with_suffix(".safetensors"), "teacher")["model"] == wanted


def test_network_at_the_top_of_the_file(tmp_path: Path) -> None:
    with published_modules():
        content = pickle.dumps(edm_network(TEACHER, random_state(TEACHER, 0)))
    (tmp_path / "edm.pkl").write_bytes(content)
    teacher(tmp_path / "edm.pkl")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shape": [3, 8, 8]}, "images [1, 8, 8], but data.shape (--shape) is [3, 8, 8]"),
        ({"shape": [1, 16, 16]}, "data.shape (--shape) is [1, 16, 16]"),
        ({"classes": 100}, "a teacher of 10 classes, but data.classes is 100"),
        ({"conditional": False}, "a conditional teacher, but teachers.*.conditional is false"),
        ({"sha256": "0" * 64}, ", not " + "0" * 64),
    ],
)
def test_another_teacher_than_the_config_names(change: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER), **change)


def test_unconditional_where_labels_are_expected(tmp_path: Path) -> None:
    source = edm_pickle(tmp_path / "edm.pkl", {**TEACHER, "classes": 0})
    assert "an unconditional teacher, but teachers.*.conditional is true" in refusal(source)
    teacher(source, conditional=False)


def test_hash_is_checked_before_the_file_is_read(tmp_path: Path) -> None:
    source = tmp_path / "edm.pkl"
    source.write_bytes(b"nothing like a pickle")
    assert sha256(source) in refusal(source, sha256="f" * 64)
    assert "cannot be read" in refusal(tmp_path / "none.pkl")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"encoder_type": "residual"}, "encoder_type 'residual'; our network has 'standard' only"),
        ({"decoder_type": "skip"}, "decoder_type"),
        ({"embedding_type": "fourier"}, "channel_mult_noise 1; our network has 2 only"),
        ({"embedding_type": "zero"}, "embedding_type 'zero'; our network has 'positional' only"),
        ({"resample_filter": [1, 3, 3, 1]}, "resample_filter [1, 3, 3, 1]; our network has [1, 1] only"),
        ({"channel_mult_emb": 2}, "channel_mult_emb 2"),
        ({"channel_mult_noise": 2}, "channel_mult_noise 2"),
        ({"label_dropout": 0.1}, "label_dropout 0.1"),
        ({"out_channels": 2}, "out_channels 2"),
        ({"window": 7}, "window 7; our network knows no such argument"),
        ({"img_resolution": None}, "img_resolution"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"num_blocks": "4"}, "num_blocks is '4'"),
        ({"channel_mult": [1, -1]}, "channel_mult is [1, -1]"),
        ({"channel_mult": [1] * 100_000}, "cannot be halved"),
        ({"num_blocks": 10**9}, "too few for num_blocks 1000000000"),
        ({"model_channels": 2**60}, "damaged"),
        ({"model_channels": 2**14}, "do not fit its own constructor arguments"),
        ({"num_blocks": 2}, "do not fit its own constructor arguments"),
    ],
)
def test_network_that_ours_cannot_be(arguments: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, arguments=arguments))


def test_other_classes(tmp_path: Path) -> None:
    renamed = edm_network(TEACHER, random_state(TEACHER, 0))
    renamed.class_name = "VPPrecond"
    assert "'VPPrecond'" in refusal(edm_pickle(tmp_path / "a.pkl", TEACHER, extra={"ema": renamed}))
    renamed = edm_network(TEACHER, random_state(TEACHER, 0))
    renamed.model.class_name = "SkipUNet"
    message = refusal(edm_pickle(tmp_path / "b.pkl", TEACHER, extra={"ema": renamed}))
    assert "'SkipUNet' where SongUNet or DhariwalUNet should be" in message
    assert "EDMPrecond" in refusal(edm_pickle(tmp_path / "c.pkl", TEACHER, extra={"ema": None}))
    assert "by name" in refusal(edm_pickle(tmp_path / "d.pkl", TEACHER, extra={"ema": by_position()}))


def by_position() -> nn.Module:
    model = edm_network(TEACHER, random_state(TEACHER, 0))
    model.model._init_args = (8, 1, 1)
    return model


def test_weights_that_are_wrong(tmp_path: Path) -> None:
    state = random_state(TEACHER, 0)
    first, *_ = state
    down = "model.enc.4x4_down.conv0.resample_filter"
    changes: list[tuple[dict[str, Tensor], str]] = [
        ({first: state[first] * float("nan")}, f"not finite in float32: {first}"),
        ({first: state[first][:1]}, "size mismatch"),
        ({"model.map_layer0.extra": state[first]}, "model.map_layer0.extra"),
        ({down: torch.tensor([[[[0.5, 0.0], [0.0, 0.5]]]])}, f"{down} is not the filter [1.0, 1.0]"),
        ({down: torch.full((1, 1, 4, 4), 0.25)}, f"{down} is not the filter [1.0, 1.0]"),
    ]
    for change, expected in changes:
        assert expected in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, state=state | change))
    del state[first]
    assert first in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, state=state))


def test_weights_that_share_memory_are_refused(tmp_path: Path) -> None:
    """Else a file of a megabyte could name one tensor a thousand times and take a gigabyte."""
    model = edm_network(TEACHER, random_state(TEACHER, 0))
    layer = model.model.enc["8x8_block0"]
    layer.norm1.weight = layer.norm0.weight
    assert "share their values" in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, extra={"ema": model}))


def test_module_within_itself(tmp_path: Path) -> None:
    model = edm_network(TEACHER, random_state(TEACHER, 0))
    twice = model.model.dec["8x8_up"]
    model.model.enc["again"] = twice
    assert "two parents" in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, extra={"ema": model}))
    model = edm_network(TEACHER, random_state(TEACHER, 0))
    inner = model.model
    for _ in range(30):
        inner.deeper = nn.ModuleDict()
        inner = inner.deeper
    assert "nested too deeply" in refusal(edm_pickle(tmp_path / "edm.pkl", TEACHER, extra={"ema": model}))


# ------------------------------------------------------------------------------------------- hostile teachers


class Call:
    """Pickled, it is a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


class Slotted:
    """Pickled by protocol 0's copyreg._reconstructor."""

    def __reduce__(self) -> Any:
        return copyreg._reconstructor, (os.environ.__class__, object, None)  # type: ignore[attr-defined]


def raw(*parts: Any) -> bytes:
    """Return a pickle of protocol 4: instructions as bytes; texts as instructions that push them."""
    texts = [b"\x8c" + bytes([len(p)]) + p.encode() if isinstance(p, str) else p for p in parts]
    return b"\x80\x04" + b"".join(texts) + b"."


def legacy(saved: bytes, numbers: bytes = b"") -> bytes:
    """Return what torch.save's old format is, with the pickle `saved` in the place of the storage."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    start = [pickle.dumps(item, 2) for item in (0x1950A86A20F9469CFC6C, 1001, system)]
    return b"".join([*start, saved, pickle.dumps(["0"], 2), numbers])


def zipped(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


CALLED = b"\x93"  # STACK_GLOBAL
REDUCE, BUILD, NEWOBJ, NEWOBJ_EX, TUPLE1, EMPTY_TUPLE = b"R", b"b", b"\x81", b"\x92", b"\x85", b")"
OBJECTS: dict[str, Callable[[str], Any]] = {
    "posix.system": lambda command: Call(os.system, command),
    "builtins.eval": lambda command: Call(eval, f"__import__('os').system({command!r})"),
    "builtins.exec": lambda command: Call(exec, f"import os; os.system({command!r})"),
    "subprocess.Popen": lambda command: Call(subprocess.Popen, command.split()),
    "builtins.getattr": lambda command: Call(getattr, "text", "upper"),
    "copyreg._reconstructor": lambda command: Slotted(),
    "torch.serialization.load": lambda command: Call(torch.load, "file"),
    "torch._utils._rebuild_tensor": lambda command: Call(torch._utils._rebuild_tensor, 1, 2, 3, 4),
}
STORAGES: dict[str, Callable[[str], bytes]] = {
    "plain": lambda command: pickle.dumps(Call(os.system, command)),
    "first": lambda command: pickle.dumps(Call(os.system, command), 2) + legacy(b""),
    "legacy": lambda command: legacy(pickle.dumps(Call(os.system, command), 2)),
    "zip": lambda command: zipped(Call(os.system, command)),
    "persistent": lambda command: legacy(pickle.dumps(("module", Call(os.system, command)), 2)[:-1] + b"Q."),
    "calls": lambda command: legacy(b"\x80\x02ctorch\nFloatStorage\n)R."),
    "rebuild": lambda command: legacy(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."),
}
STREAMS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "global": (lambda c: raw(b"cos\nsystem\n", c, TUPLE1, REDUCE), "asks for os.system"),
    "stack-global": (lambda c: raw("os", "system", CALLED, c, TUPLE1, REDUCE), "asks for os.system"),
    "getattr": (lambda c: raw("builtins", "getattr", CALLED, c, TUPLE1, REDUCE), "asks for builtins.getattr"),
    "dotted": (
        lambda c: raw("torch", "nn.modules.container.operator.methodcaller", CALLED, c, TUPLE1, REDUCE),
        "asks for torch.nn.modules.container.operator.methodcaller",
    ),
    "attribute": (
        lambda c: raw("torch.nn.modules.container", "ModuleDict.__init__.__globals__", CALLED),
        "ModuleDict.__init__.__globals__",
    ),
    "control": (lambda c: raw("os\x1b[2J", "system\n", CALLED), r"os\x1b[2J.system\n"),
    "inst": (lambda c: raw(b"(", c, b"ios\nsystem\n"), "instruction INST"),
    "obj": (lambda c: raw(b"(cos\nsystem\n", c, b"o"), "instruction OBJ"),
    "obj-known": (lambda c: raw(b"(cbuiltins\nset\n", c, b"o"), "instruction OBJ"),
    "ext": (lambda c: raw(b"\x82\xf0", c, TUPLE1, REDUCE), "instruction EXT1"),
    "ext4": (lambda c: raw(b"\x84\xf0\0\0\0", c, TUPLE1, REDUCE), "instruction EXT4"),
    "persid": (lambda c: raw(b"Pos.system\n"), "instruction PERSID"),
    "binpersid": (lambda c: raw(c, b"Q"), "instruction BINPERSID"),
    "newobj-ex": (lambda c: raw("builtins", "set", CALLED, b")}", NEWOBJ_EX), "instruction NEWOBJ_EX"),
    "build-name": (
        lambda c: raw("collections", "OrderedDict", CALLED, b"}", "__call__", c, b"s", BUILD),
        "a state to a Name",
    ),
    "build-dict": (lambda c: raw(b"}}", "__class__", c, b"s", BUILD), "a state to a dict"),
    "build-twice": (
        lambda c: raw("numpy", "dtype", CALLED, b")", REDUCE, b"}", BUILD, b"}", BUILD),
        "a state to a Stored",
    ),
    "call-text": (lambda c: raw("os.system", c, TUPLE1, REDUCE), "it calls 'os.system'"),
    "set": (lambda c: raw("builtins", "set", CALLED, c, TUPLE1, REDUCE), "'builtins.set' where EDMPrecond"),
    "protocol-0": (lambda c: raw(b"S'text'\n"), "instruction STRING"),
    "not-a-name": (lambda c: raw(b"K\x01", "system", CALLED), "STACK_GLOBAL requires str"),
}


@pytest.fixture
def command(tmp_path: Path) -> Any:
    """A command that leaves a file, which must not be there in the end; os.system is also extension 240."""
    copyreg.add_extension("os", "system", 240)
    yield f"touch {tmp_path / 'ran'}"
    copyreg.remove_extension("os", "system", 240)
    copyreg.clear_extension_cache()
    assert not (tmp_path / "ran").exists()


def test_what_the_hostile_files_would_do(command: str, tmp_path: Path) -> None:
    """The calls are real ones: read by Python itself, they run."""
    for name in ("posix.system", "builtins.eval", "builtins.exec"):
        pickle.loads(pickle.dumps(OBJECTS[name](f"touch {tmp_path / name}")))
        assert (tmp_path / name).exists()
    for name in ("global", "stack-global", "ext"):
        pickle.loads(STREAMS[name][0](f"touch {tmp_path / name}"))
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("place", ["top", "neighbour", "module", "arguments"])
def test_calls_are_refused_by_name(name: str, place: str, command: str, tmp_path: Path) -> None:
    hostile, model = OBJECTS[name](command), edm_network(SMALL, random_state(SMALL, 0))
    extra: dict[str, Any] = {"ema": model}
    if place == "neighbour":
        extra["augment_pipe"] = Persistent("AugmentPipe", strength=hostile)
    elif place == "module":
        model.model.enc["8x8_conv"].__dict__["hook"] = hostile
    else:
        model.model._init_kwargs["dropout"] = hostile
    source = edm_pickle(tmp_path / "edm.pkl", SMALL, extra={"ema": hostile} if place == "top" else extra)
    message = refusal(source)
    assert f"asks for {name}; refused, and nothing was run" in message


@pytest.mark.parametrize("name", STORAGES)
def test_calls_among_the_values_of_weights(name: str, command: str, tmp_path: Path) -> None:
    model = edm_network(SMALL, random_state(SMALL, 0))
    model.__dict__["values"] = Call(torch.storage._load_from_bytes, STORAGES[name](command))
    refusal(edm_pickle(tmp_path / "edm.pkl", SMALL, extra={"ema": model}))


@pytest.mark.parametrize("name", STREAMS)
def test_instructions_are_refused(name: str, command: str, tmp_path: Path) -> None:
    make, expected = STREAMS[name]
    (tmp_path / "edm.pkl").write_bytes(make(command))
    assert expected in refusal(tmp_path / "edm.pkl")


def doubled(times: int) -> bytes:
    """Return instructions that push a tuple of 2^times leaves, in as many steps."""
    return b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(times))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x80\x04" + b"(" * 1_000_001 + b".", "more than 1000000 instructions"),
        (b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", "EDMPrecond"),
        (b"\x80\x04" + b")" + b"\x85" * 200_000 + b".", "EDMPrecond"),
        (raw(b"}", doubled(200), b"K\x01s"), "items to a dict"),
        (raw(b"\x8f(", doubled(200), b"\x90"), "items to a set"),
        (raw(doubled(200), b")R"), "it calls a tuple"),
        (raw(b"}", "ema", doubled(200), b"s"), "a tuple where EDMPrecond should be"),
        (raw(b"cbuiltins\nset\n(", b"N" * 11, b"tR"), "it calls a Name"),  # each call copies its arguments
        (raw(b"Nr\xff\xff\xff\xff"), "EDMPrecond"),
        (raw(b"\x8e" + struct.pack("<Q", 2**62)), "damaged"),
        (raw(b"B" + struct.pack("<I", 2**32 - 1) + b"short"), "damaged"),
        (raw(b"\x8a\xff" + b"\x7f" * 255), "EDMPrecond"),
        (raw(b"\x8f0"), "POP"),
        (raw(b"R"), "damaged"),
        (raw(b"h\x05"), "damaged"),
        (raw(b"t"), "damaged"),
        (b"", "damaged"),
        (b"\x80\x04", "damaged"),
        (b"PK\x03\x04" + b"\0" * 100, "damaged"),
    ],
)
def test_bombs_and_rubbish(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "edm.pkl").write_bytes(content)
    assert expected in refusal(tmp_path / "edm.pkl")


FLOATS = torch.arange(4.0)._typed_storage()
TENSORS = {
    "offset": (FLOATS, 1, (4,), (1,)),
    "negative-offset": (FLOATS, -1, (4,), (1,)),
    "too-large": (FLOATS, 0, (5,), (1,)),
    "unfolded": (FLOATS, 0, (2**30, 2**30), (0, 0)),
    "endless": (FLOATS, 0, (2**70,), (2**70,)),
    "strided": (FLOATS, 0, (2, 2), (1, 3)),
    "negative-stride": (FLOATS, 3, (4,), (-1,)),
    "dimensions": (FLOATS, 0, (1,) * 100, (1,) * 100),
    "unequal": (FLOATS, 0, (2, 2), (1,)),
    "text": (FLOATS, 0, ("2",), (1,)),
    "list": (FLOATS, 0, [2], [1]),
    "truth": (FLOATS, True, (2,), (1,)),
    "empty": (FLOATS, 0, (0,), (1,)),
    "no-storage": (b"\0" * 16, 0, (4,), (1,)),
    "untyped": (FLOATS._untyped_storage, 0, (2,), (1,)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_stay_within_their_values(name: str, tmp_path: Path) -> None:
    model = edm_network(SMALL, random_state(SMALL, 0))
    model.__dict__["extra"] = Call(torch._utils._rebuild_tensor_v2, *TENSORS[name], False, {})
    refusal(edm_pickle(tmp_path / "edm.pkl", SMALL, extra={"ema": model}))


def test_tensor_inside_its_values_is_read(tmp_path: Path) -> None:
    model = edm_network(SMALL, random_state(SMALL, 0))
    wide = torch.randn(3, 6, dtype=torch.float32)
    layer = model.model.map_layer0
    layer._parameters["weight"] = wide.new_zeros(16, 9)[:, 2:6].copy_(layer.weight)
    assert not layer.weight.is_contiguous()
    loaded = teacher(edm_pickle(tmp_path / "edm.pkl", SMALL, extra={"ema": model}))
    assert loaded.model.map_layer0.weight.equal(layer.weight)


def test_values_unfold_no_further_than_the_file(tmp_path: Path) -> None:
    """The same bytes named a thousand times are no thousand times as many values."""
    _, (values,) = torch.zeros(50_000)._typed_storage().__reduce__()
    begin = b"B" + struct.pack("<I", len(values)) + values + b"\x94]"
    again = b"ctorch.storage\n_load_from_bytes\nh\x00\x85Ra"
    (tmp_path / "edm.pkl").write_bytes(raw(begin, again * 1000))
    assert "unfolds to more values" in refusal(tmp_path / "edm.pkl")


def test_truncated_teacher(tmp_path: Path) -> None:
    whole = edm_pickle(tmp_path / "edm.pkl", SMALL).read_bytes()
    for length in [1, 100, 1000, *range(0, len(whole) - 1, len(whole) // 40), len(whole) - 1]:
        (tmp_path / "edm.pkl").write_bytes(whole[:length])
        assert "damaged" in refusal(tmp_path / "edm.pkl")


@pytest.mark.slow
def test_damaged_teachers_are_refused_or_read(tmp_path: Path) -> None:
    """Bytes changed at random, mostly outside of the weights' values: never anything but UserError."""
    source = tmp_path / "edm.pkl"
    whole = edm_pickle(source, SMALL).read_bytes()
    draw, read = random.Random(0), 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 2, 8, 64])):
            content[draw.randrange(len(content))] = draw.choice(
                [draw.randrange(256), *b"RbcQ\x93\x81uats.0h"]
            )
        source.write_bytes(content)
        with suppress(UserError):
            teacher(source)
            read += 1
    assert 10 < read < 120


# --------------------------------------------------------------------------------------------------- students


def student(tmp_path: Path, description: dict[str, Any], **extra: Any) -> tuple[models.Student, Path]:
    torch.manual_seed(0)
    made = models.build({**description, "channels": 1, "size": 8, "classes": 10}).eval()
    for values in made.parameters():
        nn.init.normal_(values, std=0.2)
    return made, published_student(tmp_path / "get.pth", made, extra)


def imported(
    source: Path, model: dict[str, Any] = GET, content: dict[str, Any] | None = None, **change: Any
) -> tuple[models.Student, dict[str, Any]]:
    settings, output = source.with_name("settings.json"), source.with_suffix(".safetensors")
    output.unlink(missing_ok=True)
    written = {"model": model, "training": DISTILLATION, "pairs": "abc"} if content is None else content
    write_json(settings, written)
    wanted: dict[str, Any] = {"sha256": None, "shape": [1, 8, 8], "classes": 10} | change
    import_student(source=source, settings=settings, seed=0, step=800, output=output, **wanted)
    return checkpoint.load(output)


@pytest.mark.parametrize(
    ("family", "conditioning"),
    [(GET, "none"), (GET, "injection"), (VIT, "none"), (VIT, "injection"), (VIT, "adaln-zero")],
)
def test_student_gives_the_same_images(family: dict[str, Any], conditioning: str, tmp_path: Path) -> None:
    model = {**family, "conditioning": conditioning}
    made, source = student(tmp_path, model)
    loaded, header = imported(source, model, sha256=sha256(source))
    noise, label = torch.randn(4, 1, 8, 8), torch.arange(4)
    state = None if made.state_shape is None else torch.randn(4, *made.state_shape)
    with torch.no_grad():
        assert loaded.generate(noise, label, state).images.equal(made.generate(noise, label, state).images)
    classes = 0 if model["conditioning"] == "none" else 10
    assert header["model"] == {**model, "channels": 1, "size": 8, "classes": classes}
    assert header["source"] == {"file": "get.pth", "sha256": sha256(source)}
    assert (header["pairs"], header["training"], header["teacher"]) == ("abc", DISTILLATION, None)
    assert (header["seed"], header["step"], header["plateau"]) == (0, 800, False)
    assert header["threads"] == torch.get_num_threads()


def test_published_weights_of_the_reference(tmp_path: Path) -> None:
    reference = Reference("get_cond")
    state = {f"module.{name}": values for name, values in reference.part("state/").items()}
    _, source = student(tmp_path, GET, ema=state)
    model = {**GET, "width": 24, "heads": 3, "injection_depth": 2, "expansion": 3, "iterations": 6}
    loaded, _ = imported(source, model, shape=[3, 8, 8])
    noise, state = reference["input/noise"].double(), reference["input/z0"].double()
    images = loaded.double().generate(noise, reference["input/label"], state).images
    torch.testing.assert_close(images, reference["output/eval"], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "change", "expected"),
    [
        ({**GET, "width": 32}, {}, "of another shape: "),
        ({**GET, "injection_depth": 2}, {}, "missing: injection_blocks.1"),
        ({**GET, "equilibrium_depth": 1}, {}, "unexpected: equilibrium_blocks.1"),
        ({**GET, "conditioning": "none"}, {}, "class_embedding"),
        (GET, {"classes": 100}, "class_embedding.weight"),
        (GET, {"shape": [3, 8, 8]}, "patch_embedding.weight"),
        (GET, {"shape": [1, 16, 16]}, "positions"),
        (VIT, {}, "blocks.0"),
    ],
)
def test_another_student(
    model: dict[str, Any], change: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    message = refusal(student(tmp_path, GET)[1], imported, model=model, **change)
    assert expected in message
    assert "correct students.*.model" in message


def test_student_with_wrong_hash_or_settings(tmp_path: Path) -> None:
    source = student(tmp_path, GET)[1]
    assert "not 0000" in refusal(source, imported, sha256="0" * 64)
    assert "cannot be read" in refusal(source.with_name("none.pth"), imported)
    with pytest.raises(UserError, match="no model"):
        imported(source, content={})


@pytest.mark.parametrize("key", ["args", "opt", "model", "ema"])
def test_student_that_carries_code(key: str, command: str, tmp_path: Path) -> None:
    source = student(tmp_path, GET, **{key: Call(os.system, command)})[1]
    assert "asks for posix.system; refused, and nothing was run" in refusal(source, imported)


def test_student_that_is_no_student(tmp_path: Path) -> None:
    made = student(tmp_path, GET)[0]
    name, values = "x_embedder.proj.bias", checkpoint.to_published(made)
    for extra, expected in [
        ({"ema": None, "model": None}, "missing: class_embedding.weight"),
        ({"ema": {}, "model": {}}, "missing: class_embedding.weight"),
        ({"ema": {**values, name: "text"}}, "have a str as patch_embedding.bias"),
        (
            {"ema": {**values, name: values[name] * float("inf")}},
            "not finite in float32 (patch_embedding.bias)",
        ),
        ({"ema": {**values, name: values[name].half().to("meta")}}, "patch_embedding.bias"),
    ]:
        assert expected in refusal(student(tmp_path, GET, **extra)[1], imported)
    for content, expected in [([1, 2], "no dict"), ({"epoch": 3}, "no weights")]:
        torch.save(content, tmp_path / "get.pth")
        assert expected in refusal(tmp_path / "get.pth", imported)


def test_truncated_student(tmp_path: Path) -> None:
    source = student(tmp_path, GET)[1]
    whole = source.read_bytes()
    for length in [0, 1, 100, *range(2, len(whole), len(whole) // 20)]:
        source.write_bytes(whole[:length])
        assert "damaged" in refusal(source, imported)
