"""Weights files that try to hurt, and odd ones that are legal: each a row, made when asked for.

A row says what the file is and what must come of it: ``REFUSED`` with an error of ours,
``SAME`` as ``torch.load(weights_only=True)`` (of safetensors: their own reader) reads it, bit for
bit, or ``EITHER``. All of them within ``seconds`` and a memory that their size explains.
"""

from __future__ import annotations

import codecs
import collections
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

REFUSED, SAME, EITHER = "refused", "the same", "either"
W = "blocks.0.w"
one = torch.ones(1)


@dataclass(frozen=True)
class Row:
    name: str
    must: str
    make: Callable[[], bytes]
    seconds: float = 10.0
    says: str = ""
    """Words that the error must have."""
    slow: bool = False


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


@dataclass(frozen=True)
class Storage:
    """Pickled as a pointer to a storage of so many elements."""

    key: str
    count: int
    kind: type = torch.FloatStorage
    device: str = "cpu"
    more: tuple[object, ...] = ()


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: object) -> object:
        if isinstance(thing, Storage):
            return ("storage", thing.kind, thing.key, thing.device, thing.count, *thing.more)
        return None


def pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(content)
    return buffer.getvalue()


def zipped(
    pickle_bytes: bytes,
    records: Mapping[str, bytes] | None = None,
    *,
    method: int = zipfile.ZIP_STORED,
    root: str = "archive",
    order: str = "little",
    more: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    """A checkpoint around a pickle, by an ordinary zip tool."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        members = {"data.pkl": pickle_bytes, "version": b"3\n", "byteorder": order.encode()}
        members |= {f"data/{key}": content for key, content in (records or {}).items()}
        for name, content in members.items():
            archive.writestr(f"{root}/{name}", content)
        for name, content in more:
            archive.writestr(name.format(root=root), content)
    return buffer.getvalue()


def saved(content: object, *, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def tensor(storage: object, offset: object, shape: object, stride: object, *more: object) -> Call:
    hooks = more or (False, collections.OrderedDict())
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, *hooks)


def by_hand(
    storage: Storage, offset: object, shape: object, stride: object, *more: object
) -> bytes:
    """One tensor as the arguments say, over four floats."""
    floats = struct.pack("<4f", 1, 2, 3, 4)
    return zipped(pickled({W: tensor(storage, offset, shape, stride, *more)}), {"0": floats})


FOUR = Storage("0", 4)


def safetensors(header: object, body: bytes = bytes(4), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def place(
    start: int = 0, end: int = 4, shape: tuple[int, ...] = (1,), dtype: str = "F32"
) -> object:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def shared(depth: int, width: int) -> object:
    """Lists of the same list: small in a file, endless to walk."""
    value: list[Any] = [0]
    for _ in range(depth):
        value = [value] * width
    return value


def cyclic() -> object:
    value: list[Any] = []
    value.append(value)
    return value


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def flipped(content: bytes, mark: bytes) -> bytes:
    """One bit of the bytes behind a mark turned."""
    damaged = bytearray(content)
    damaged[content.index(mark) + len(mark)] ^= 0x40
    return bytes(damaged)


def copies(function: object, argument: object, times: int) -> bytes:
    """The same call again and again: five bytes each, the argument is pickled once."""
    calls = [Call(function, argument) for _ in range(times)]
    return saved({"model_state": {W: one}, "extra": calls})


def doubled(content: bytes) -> bytes:
    """Both entries of the directory point at the first of two members."""
    start = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", start + 4)
    return content[: second + 42] + content[start + 42 : start + 46] + content[second + 46 :]


def of_another_sum(content: bytes, name: bytes) -> bytes:
    """A member whose entry in the directory states another checksum; its bytes are as written."""
    entry = content.index(name, content.index(b"PK\x01\x02")) - 46
    return content[: entry + 16] + b"\1\2\3\4" + content[entry + 20 :]


def further_on(content: bytes, name: bytes) -> bytes:
    """A member whose own header says that its bytes begin 64 later than they do."""
    header = content.index(name) - 30
    return content[: header + 28] + struct.pack("<H", 64) + content[header + 30 :]


def bomb(size: int) -> bytes:
    """A pickle of so many bytes, a thousandth of them in the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as file:
            file.write(b"\x80\x02}X\x01\x00\x00\x00k(")
            while size > 0:
                file.write(b"X" + struct.pack("<I", 1 << 24) + b"a" * (1 << 24))
                size -= 1 << 24
            file.write(b"ls.")
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def _attributed(state: Mapping[str, object]) -> bytes:
    plain = (FOUR, 0, (4,), (1,), False, collections.OrderedDict())
    rebuilt = Call(
        torch._tensor._rebuild_from_type_v2,
        torch._utils._rebuild_tensor_v2,
        torch.Tensor,
        plain,
        dict(state),
    )
    return zipped(pickled({W: rebuilt}), {"0": bytes(16)})


def _ordered_with_attributes() -> bytes:
    state = collections.OrderedDict({W: torch.ones(2)})
    state.__dict__.update(get=5, keys=5, values=5, _metadata={"": {"version": 1}})
    return saved(state)


# ------------------------------------------------------------------------------ the tables


def tensors() -> Iterator[Row]:
    """What is no weights, and what is, however oddly it lies."""
    refused: dict[str, Callable[[], object]] = {
        "sparse": lambda: torch.eye(3).to_sparse(),
        "sparse of 2**60 elements": lambda: torch.sparse_coo_tensor(
            [[0], [0]], [1.0], (1 << 30,) * 2
        ),
        "sparse in rows": lambda: torch.eye(3).to_sparse_csr(),
        "quantized": lambda: torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 0, torch.qint8),
        "quantized by channel": lambda: torch.quantize_per_channel(
            torch.randn(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8
        ),
        "meta": lambda: torch.empty(4, device="meta"),
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "complex64": lambda: torch.randn(4, dtype=torch.complex64),
        "complex128": lambda: torch.randn(4, dtype=torch.complex128),
        "conjugate": lambda: torch.randn(4, dtype=torch.complex64).conj(),
        "negative": lambda: torch.randn(4, dtype=torch.complex64).conj().imag,
        "uint16": lambda: torch.zeros(4, dtype=torch.uint16),
        "uint64": lambda: torch.zeros(4, dtype=torch.uint64),
        "2**40 elements over one": lambda: one.expand(1 << 40),
        "3 GB over four bytes": lambda: one.expand(3 << 28),
        "a storage": lambda: torch.zeros(4).untyped_storage(),
    }
    for name, thing in refused.items():
        yield Row(name, REFUSED, lambda thing=thing: saved({W: thing()}))
    same: dict[str, Callable[[], object]] = {
        "parameter": lambda: torch.nn.Parameter(torch.randn(3)),
        "parameter of whole numbers": lambda: torch.nn.Parameter(torch.ones(3).int(), False),
        "wants a gradient": lambda: torch.randn(3, requires_grad=True),
        "no elements": lambda: torch.zeros(0, 5),
        "no dimension": lambda: torch.tensor(5),
        "transposed": lambda: torch.randn(3, 5).t(),
        "every other element": lambda: torch.randn(3, 5)[:, ::2],
        "one for many": lambda: torch.randn(1).expand(4, 5),
    }
    for name, thing in same.items():
        for old in (False, True):
            form = "old format" if old else "zip"
            yield Row(f"{name}, {form}", SAME, lambda t=thing, o=old: saved({W: t()}, old=o))
    kinds = [
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ]
    kinds += [k for k in dir(torch) if k.startswith("float8_")]
    for kind in kinds:
        data = torch.arange(64, dtype=torch.uint8)
        made = data.view(getattr(torch, kind)) if kind != "bool" else data > 3
        yield Row(f"{kind}", SAME, lambda made=made: saved({W: made, "blocks.0.v": made[1:3]}))


def _type_by_hand(dtype: object) -> bytes:
    floats = struct.pack("<4f", 1, 2, 3, 4)
    rest = (FOUR, 0, (4,), (1,), False, collections.OrderedDict(), dtype)
    return zipped(pickled({W: Call(torch._utils._rebuild_tensor_v3, *rest)}), {"0": floats})


def strides() -> Iterator[Row]:
    """Tensors whose numbers were written by hand."""
    wild: dict[str, tuple[object, ...]] = {
        "negative stride": (FOUR, 3, (4,), (-1,)),
        "negative offset": (FOUR, -1, (2,), (1,)),
        "negative size": (FOUR, 0, (-2,), (1,)),
        "offset beyond": (FOUR, 4, (1,), (1,)),
        "one too many": (FOUR, 1, (4,), (1,)),
        "stride beyond": (FOUR, 0, (2,), (4,)),
        "sizes that overflow": (FOUR, 0, (1 << 40, 1 << 40), (1, 1)),
        "strides that overflow": (FOUR, 0, (2, 2), (1 << 62, 1 << 62)),
        "True as a size": (FOUR, 0, (True,), (1,)),
        "a float as a size": (FOUR, 0, (2.0,), (1,)),
        "fewer strides": (FOUR, 0, (2, 2), (1,)),
        "65 dimensions": (FOUR, 0, (1,) * 65, (1,) * 65),
        "a list in place of sizes": (FOUR, 0, None, (1,)),
        "longer than its record": (Storage("0", 5), 0, (5,), (1,)),
        "a record that is not there": (Storage("1", 4), 0, (4,), (1,)),
        "of 2**62 elements": (Storage("0", 1 << 62), 0, (4,), (1,)),
        "of -4 elements": (Storage("0", -4), 0, (4,), (1,)),
        "a number as key": (Storage(0, 4), 0, (4,), (1,)),  # type: ignore[arg-type]
        "no storage": (5, 0, (4,), (1,)),
        "sizes beside a 0 that overflow": (FOUR, 0, (1 << 61, 1 << 61, 0), (1, 1, 1)),
    }
    for name, arguments in wild.items():
        yield Row(name, REFUSED, lambda a=arguments: by_hand(*a))
    yield Row(
        "a record longer than its storage", REFUSED, lambda: by_hand(Storage("0", 2), 0, (2,), (1,))
    )
    yield Row("from a GPU", SAME, lambda: by_hand(Storage("0", 4, device="cuda:7"), 0, (4,), (1,)))
    yield Row(
        "a huge shape of no elements", SAME, lambda: by_hand(FOUR, 0, (0, 1 << 40), (1 << 40, 1))
    )
    types = {"a text": "float32", "lists of lists": shared(40, 10), "deep": shared(150, 1)}
    for name, dtype in types.items():
        yield Row(f"{name} as a type", REFUSED, lambda d=dtype: _type_by_hand(d))
    yield Row("a type by its name", SAME, lambda: _type_by_hand(torch.float32))
    twice = {W: tensor(FOUR, 0, (4,), (1,)), "blocks.0.v": tensor(Storage("0", 3), 0, (3,), (1,))}
    yield Row("one key, two lengths", REFUSED, lambda: zipped(pickled(twice), {"0": bytes(16)}))
    hooks = (True, collections.OrderedDict({0: "hook"}))
    yield Row("hooks", SAME, lambda: by_hand(FOUR, 0, (4,), (1,), *hooks))
    for name, state in {
        "detach": {"detach": 5},
        "detach, a class": {"detach": torch.Size},
        "shape": {"shape": 5, "numel": 3, "dtype": 7},
        "class": {"__class__": dict},
        "data": {"data": 5},
    }.items():
        yield Row(f"sets the attribute {name}", REFUSED, lambda s=state: _attributed(s))


def pickles() -> Iterator[Row]:
    """Operations by hand, and calls of what is no data."""
    deep = b"\x80\x02}X\x01\x00\x00\x00e" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"s."
    raw = {
        "a name of the system": b"\x80\x02cos\nsystem\n(X\x02\0\0\0idtR.",
        "an instance": b"\x80\x02(S'id'\nios\nsystem\n.",
        "a name from the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        "nothing behind it": b"\x80\x02",
        "an empty stack": b"\x80\x02.",
        "an extension": b"\x80\x02\x82\x01.",
        "a persistent text": b"\x80\x02Pabc\n.",
        "a change of a dict": b"\x80\x02}}b.",
        "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f",
        "bytes of 8 EB": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f",
        "a string of 2 GB": b"\x80\x02X\xff\xff\xff\x7fabc",
        "a memory of 4 G places": b"\x80\x02Nr\xff\xff\xff\xff.",
        "a memory that is empty": b"\x80\x02h\x05.",
        "a million marks": b"\x80\x02" + b"(" * 10**6 + b".",
        "a million lists in one another": deep,
        "a call of a list": b"\x80\x02])R.",
        "items of a tuple": b"\x80\x02)K\x01a.",
        "a line without end": b"\x80\x02c" + b"a" * 10**6,
        "a key that is a list": b"\x80\x02}]K\x01s.",
        "a key that is a large number": b"\x80\x02}\x8a\x09" + b"\1" * 9 + b"K\x01s.",
        "tuples in tuples": b"\x80\x02)" + b"\x85" * 10**6 + b".",
        "floats cut off": b"\x80\x02G\0\0",
    }
    for name, content in raw.items():
        yield Row(f"{name}, zip", REFUSED, lambda c=content: zipped(c))
        yield Row(f"{name}, no archive", REFUSED, lambda c=content: c)
    for name, thing in {
        "os.system": Call(os.system, "true"),
        "eval": Call(eval, "1"),
        "getattr": Call(getattr, str, "upper"),
        "a module": torch.nn.Linear(1, 1),
        "torch.load": Call(torch.load, "x"),
    }.items():
        for beside in (False, True):
            content = {"model_state": {W: one}, "x": thing} if beside else {W: one, "x": thing}
            for old in (False, True):
                title = f"{name}{' beside' if beside else ''}, {'old' if old else 'zip'}"
                yield Row(
                    title, REFUSED, lambda c=content, o=old: saved(c, old=o), says="not|nothing"
                )
    data = {
        "set": {1},
        "bytearray": bytearray(9),
        "bytes": b"abc",
        "complex": 1j,
        "dtype": torch.float32,
        "size": torch.Size([2]),
        "device": torch.device("cuda", 1),
        "counter": collections.Counter("a"),
        "ordered": collections.OrderedDict(a=1),
        "deep": shared(150, 1),
        "shared": shared(40, 10),
        "cyclic": cyclic(),
        "surrogate": "\ud800",
        "large number": 1 << 900,
        "float": float("nan"),
        "big": 1 << 31,
    }
    for name, thing in data.items():
        for old in (False, True):
            content = {"model_state": {W: one}, "extra": thing}
            title = f"{name} in training state, {'old' if old else 'zip'}"
            yield Row(title, SAME, lambda c=content, o=old: saved(c, old=o))
    pairs: Any = (0,)
    for _ in range(40):
        pairs = (pairs, pairs)
    alike = tuple((k * ((1 << 61) - 1), 1) for k in range(1, 40_000))
    for name, counts in {"tuples of tuples": ((pairs, 1),), "one hash": alike}.items():
        content = {"model_state": {W: one}, "x": Call(collections.Counter, counts)}
        yield Row(f"counted: {name}", REFUSED, lambda c=content: saved(c))
    sets = b"\x80\x04" + b"\x8f" * 7_900_000 + b"."
    yield Row("empty sets, a byte each", REFUSED, lambda: zipped(sets), says="copies of data")
    many = list(range(100_000))
    yield Row("the same set, 20,000 times", REFUSED, lambda: copies(set, many, 20_000))
    text = "a" * 100_000
    yield Row("the same bytes", REFUSED, lambda: copies(codecs.encode, text, 1))
    yield Row("a bytearray of 2 GB", REFUSED, lambda: copies(bytearray, 1 << 31, 1))


def keys() -> Iterator[Row]:
    for name, content in {
        "half a character": {"blocks.0.\ud800": one},
        "terminal commands": {"blocks.0.\x1b]0;title\x07": one},
        "a line's end": {"blocks.0.w float32 1\nx": one},
        "a space": {"blocks.0 w": one},
        "no letter": {"": one},
        "two million letters": {"module." * 400_000 + W: one},
        "a number": {1: one, "1": one},
        "some wrapped": {W: one, "module.blocks.0.v": one},
        "some wrapped twice": {"module." + W: one, "module.module.blocks.0.v": one},
    }.items():
        yield Row(f"key: {name}", REFUSED, lambda c=content: saved(c))
    strange = {**{f"blocks.{i}": one for i in range(60_000)}, "x": one}
    yield Row("60,000 keys and a stranger", SAME, lambda: saved(strange))
    million = {f"blocks.{i}": one for i in range(10**6)}
    yield Row("a million keys", REFUSED, lambda: saved(million), slow=True)
    yield Row("attributes of an ordered dict", SAME, _ordered_with_attributes)


def old_format_with(keys: object) -> bytes:
    """A file of torch before 1.6 whose last pickle is of these keys."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, machine)]
    storage = Storage("0", 4, more=(None,))
    parts += [pickled({W: tensor(storage, 0, (4,), (1,))}), pickle.dumps(keys, 2)]
    return b"".join([*parts, struct.pack("<q4f", 4, 1, 2, 3, 4)])


def with_another_directory(first: bytes, second: bytes) -> bytes:
    """Two archives one behind the other: the small end names the first's directory, the large
    end that stands before it the second's."""
    one, two = (content[: content.rindex(b"PK\x05\x06")] for content in (first, second))
    start, at = one.index(b"PK\x01\x02"), two.index(b"PK\x01\x02")
    entries, count = bytearray(two), 0
    while at < len(entries):
        count += 1
        (header,) = struct.unpack_from("<L", entries, at + 42)
        struct.pack_into("<L", entries, at + 42, header + len(one))
        at += 46 + sum(struct.unpack_from("<3H", entries, at + 28))
    begins = two.index(b"PK\x01\x02")
    size, where = len(two) - begins, len(one) + begins
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, where)
    body = one + bytes(entries)
    large += struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(one) - start, start, 0)
    return body + large + small


def archives() -> Iterator[Row]:
    weights = {W: torch.arange(1000.0), "blocks.0.v": torch.arange(7).short()}
    floats = weights[W].numpy().tobytes()
    parts = {"0": floats, "1": weights["blocks.0.v"].numpy().tobytes()}
    content = pickled(
        {
            W: tensor(Storage("0", 1000), 0, (1000,), (1,)),
            "blocks.0.v": tensor(Storage("1", 7, torch.ShortStorage), 0, (7,), (1,)),
        }
    )
    plain = zipped(content, parts)
    large = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2
    yield Row("stored at odd places", SAME, lambda: plain)
    yield Row("compressed", SAME, lambda: zipped(content, parts, method=large[0]))
    yield Row(
        "compressed by another method", REFUSED, lambda: zipped(content, parts, method=large[1])
    )
    yield Row("another root", SAME, lambda: zipped(content, parts, root="a b"))
    yield Row("big-endian", REFUSED, lambda: zipped(content, parts, order="big"))
    yield Row("no byte order that there is", REFUSED, lambda: zipped(content, parts, order="x"))
    more = ("{root}/data/0", bytes(4000))
    yield Row("a record twice", REFUSED, lambda: zipped(content, parts, more=(more,)))
    more2 = ("{root}/data.pkl", pickled({"x": 1}))
    yield Row("two pickles", REFUSED, lambda: zipped(content, parts, more=(more2,)))
    more3 = ("{root}/constants.pkl", b"x")
    yield Row(
        "a program", REFUSED, lambda: zipped(content, parts, more=(more3,)), says="TorchScript"
    )
    yield Row(
        "a flipped bit of a weight", REFUSED, lambda: flipped(plain, floats[:2000]), says="damaged"
    )
    packed = zipped(content, parts, method=large[0])
    yield Row(
        "a flipped bit of a compressed weight", REFUSED, lambda: flipped(packed, b"data/0..."[:6])
    )
    name = b"archive/data/0"
    yield Row(
        "a compressed weight of another checksum",
        REFUSED,
        lambda: of_another_sum(packed, name),
        says="not those that were written",
    )
    yield Row(
        "a member that begins further on",
        REFUSED,
        lambda: further_on(plain, name),
        says="reaches into what follows",
    )
    yield Row("bytes behind it", REFUSED, lambda: plain + b"junk" * 100)
    yield Row("its end cut off", REFUSED, lambda: plain[:-30])
    yield Row(
        "encrypted",
        REFUSED,
        lambda: changed(plain, b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0"),
    )
    yield Row("two entries for one member", REFUSED, lambda: doubled(plain))
    yield Row(
        "its own header of another",
        REFUSED,
        lambda: plain.replace(b"archive/data/0", b"archive/data/9", 1),
    )
    yield Row("a short record", REFUSED, lambda: zipped(content, {**parts, "0": floats[:4]}))
    zeros = {"0": bytes(200_000_000), "1": parts["1"]}
    yield Row(
        "zeros, a thousandth in the file", REFUSED, lambda: zipped(content, zeros, method=large[0])
    )
    many = pickled({W: tensor(Storage("0", 50_000_000), 0, (50_000_000,), (1,))})
    yield Row(
        "weights of zeros, a thousandth in the file",
        REFUSED,
        lambda: zipped(many, {"0": bytes(200_000_000)}, method=large[0]),
        says="bytes of compressed members",
    )
    wordy = pickled({W: tensor(Storage("0", 1000), 0, (1000,), (1,)), "x": "a" * 9_000_000})
    yield Row(
        "a pickle of 9 MB",
        REFUSED,
        lambda: zipped(wordy, parts, method=large[0]),
        says="bytes of its pickle",
    )
    yield Row("a pickle of 64 MB", REFUSED, lambda: bomb(1 << 26))
    yield Row("a pickle of 3 GB", REFUSED, lambda: bomb(3 << 30), slow=True)
    yield Row("as torch writes it, zip64 and all", SAME, lambda: saved(weights))
    yield Row("as torch wrote it once", SAME, lambda: saved(weights, old=True))
    more4 = ("{root}/DATA/0", bytes(4000))
    yield Row(
        "a record twice, but for case", REFUSED, lambda: zipped(content, parts, more=(more4,))
    )
    changed_parts = {**parts, "0": bytes(4000)}
    yield Row(
        "two directories, a small end and a large one",
        REFUSED,
        lambda: with_another_directory(plain, zipped(content, changed_parts)),
        says="two directories",
    )
    yield Row("the old format by hand", SAME, lambda: old_format_with(["0"]))
    for title, listed in {"a number": [0], "a list": [[1]], "lists": [shared(40, 10)]}.items():
        yield Row(f"the old format, {title} as key", REFUSED, lambda k=listed: old_format_with(k))
    yield Row("the old format, cut", REFUSED, lambda: saved(weights, old=True)[:-1])
    yield Row("the old format and more", REFUSED, lambda: saved(weights, old=True) + b"x")


def tensors_of_safetensors() -> Iterator[Row]:
    row = b'"blocks.0.w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    refused = {
        "a header of 4 GB, it says": safetensors({W: place()}, length=(1 << 32) - 1),
        "a header of 8 EB, it says": safetensors({W: place()}, length=1 << 63),
        "overlapping": safetensors({W: place(0, 8, (2,)), "b": place(4, 8)}, bytes(8)),
        "a hole": safetensors({W: place(4, 8)}, bytes(8)),
        "a hole between": safetensors({W: place(), "b": place(8, 12)}, bytes(12)),
        "bytes behind": safetensors({W: place()}, bytes(8)),
        "not all": safetensors({W: place(0, 8, (2,))}, bytes(4)),
        "a negative place": safetensors({W: place(0, -4)}, b""),
        "a place of another size": safetensors({W: place(0, 4, (2,))}),
        "a key twice": safetensors(b"{" + row + b"," + row + b"}"),
        "a key twice, the second's fields in escapes": safetensors(
            b"{" + row + b"," + row.replace(b"data_", b"data\\u005f") + b"}"
        ),
        "a field twice": safetensors(
            b"{" + row.replace(b'"dtype"', b'"dtype":"I32","dtype"') + b"}"
        ),
        "a list as a type": safetensors({W: {**place(), "dtype": ["F32"]}}),  # type: ignore[dict-item]
        "a place of -0": safetensors(b"{" + row.replace(b"[0,", b"[-0,") + b"}"),
        "half a character in the metadata": safetensors(
            b'{"__metadata__":{"a":"\\ud800"},' + row + b"}"
        ),
        "sizes beside a 0 that overflow": safetensors({W: place(0, 0, (1 << 61, 1 << 61, 0))}, b""),
        "two metadata": safetensors(b'{"__metadata__":{},"__metadata__":{"a":"b"},' + row + b"}"),
        "NaN in the metadata": safetensors(b'{"__metadata__":{"a":NaN},' + row + b"}"),
        "a number in the metadata": safetensors({"__metadata__": {"a": 1}, W: place()}),
        "a list as metadata": safetensors(b'{"__metadata__":[],' + row + b"}"),
        "100,000 brackets": safetensors(b'{"__metadata__":' + b"[" * 100_000, b""),
        "half a character": safetensors(b"{" + row.replace(b"0.w", b"0.\\ud800") + b"}"),
        "no tensor": safetensors({}, b""),
        "a list": safetensors(b"[]", b""),
        "unknown fields": safetensors({W: {"dtype": "F32"}}),
        "True as a size": safetensors({W: {**place(), "shape": [True]}}),  # type: ignore[dict-item]
        "a huge shape": safetensors({W: place(0, 4, (1 << 61, 1 << 61))}),
        "complex": safetensors({W: place(0, 8, (1,), "C64")}, bytes(8)),
        "of 16 bits without a sign": safetensors({W: place(0, 2, (1,), "U16")}, bytes(2)),
        "of half a byte": safetensors({W: place(0, 1, (2,), "F4")}, bytes(1)),
        "an unknown type": safetensors({W: place(0, 4, (1,), "F99")}),
    }
    for name, content in refused.items():
        yield Row(f"safetensors: {name}", REFUSED, lambda c=content: c)
    words = {"__metadata__": {"entry": "x" * 20_000_000}, W: place()}
    yield Row("safetensors: 20 MB of metadata", REFUSED, lambda: safetensors(words))
    unordered = {"b": place(4, 8), W: place(0, 4)}
    yield Row("safetensors: in another order", SAME, lambda: safetensors(unordered, bytes(8)))
    yield Row("safetensors: no elements", SAME, lambda: safetensors({W: place(0, 0, (0,))}, b""))
    huge = {W: place(0, 0, (0, 1 << 40))}
    yield Row("safetensors: none of many", EITHER, lambda: safetensors(huge, b""))
    for kind in ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL"):
        some = {W: place(0, 8, (8 // {"64": 8, "32": 4, "16": 2}.get(kind[-2:], 1),), kind)}
        yield Row(f"safetensors: {kind}", SAME, lambda s=some: safetensors(s, bytes([0, 1] * 4)))


def rows() -> list[Row]:
    tables = (tensors, strides, pickles, keys, archives, tensors_of_safetensors)
    return [row for table in tables for row in table()]
