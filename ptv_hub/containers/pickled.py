"""A pickle of ``torch.save``, read as data by a machine that cannot do anything else.

It knows the operations with which numbers, strings, lists, dicts and tensors are pickled, and
``rebuilding`` the closed table of names that a pickle may ask for. Nothing is imported and
nothing of the file is called. Time and memory are linear in the pickle's bytes.

What torch's own data-only reader (``weights_only=True``) takes and this one does not: tensors
that are not plain and strided, attributes, tuples as keys. All else it reads as that does.
"""

from __future__ import annotations

import gc
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptv_hub.containers.bounds import shown
from ptv_hub.containers.rebuilding import MODULES, Rebuilding, as_key
from ptv_hub.containers.tensors import DTYPES, Unusable
from ptv_hub.errors import CheckpointError, TruncatedFile, UnreadableFile, UnsafeFile


def read(data: bytes, rebuilding: Rebuilding, start: int = 0) -> tuple[Any, int]:
    """The value of the pickle that begins at ``start``, and where it ends.

    Raises:
        UnreadableFile: truncated or damaged.
        UnsafeFile: it asks for more than data.
        CheckpointError: tensors that are no weights.
    """
    path = rebuilding.path
    machine = _Machine(data, start, rebuilding)
    try:
        with _without_collecting():
            return machine.run(), machine.at
    except Unusable as error:
        raise CheckpointError(
            "the file holds what is no weights",
            where=path,
            expected=f"plain, strided tensors of {', '.join(DTYPES)}",
            found=error,
            fix="ask whoever made it for a plain state dict",
        ) from error
    except _Unsafe as error:
        raise UnsafeFile(
            "a pickle asks for more than data and was refused; nothing of it was run",
            where=path,
            expected="tensors, numbers, strings, lists and dicts",
            found=error,
            fix=_remedy(str(error)),
        ) from error
    except (IndexError, struct.error) as error:
        raise TruncatedFile(
            "a weights file is truncated or damaged",
            where=path,
            found="no more bytes",
            fix="fetch or copy it again",
        ) from error
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise damaged(path, shown(str(error))) from error


def _remedy(wanted: str) -> str:
    """What to do about a pickle that was refused for what it asks for."""
    if any(name in wanted for name in ("mmengine.", "mmcv.", "mmaction.")):
        return (
            "its 'meta' holds objects of OpenMMLab's packages: where these are installed, save the"
            " weights alone: torch.save({'state_dict': torch.load(FILE,"
            " weights_only=False)['state_dict']}, NEW); or ask for the published file"
        )
    return "ask whoever made it for a plain state dict or safetensors; do not load it otherwise"


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Python looks for cycles whenever there are many new objects; here it would find none, in
    two thirds of the time that reading takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def damaged(path: Path, found: str) -> UnreadableFile:
    return UnreadableFile(
        "a weights file is truncated or damaged",
        where=path,
        found=found,
        fix="fetch or copy it again",
    )


class _Unsafe(Exception):
    """What a pickle asked for."""


_STOP = ord(".")
_UNSIGNED, _SIGNED = struct.Struct("<I"), struct.Struct("<i")
_SHORT, _DOUBLE = struct.Struct("<H"), struct.Struct(">d")


class _Machine:
    """Its methods are the operations, named as in Python's ``pickletools``."""

    def __init__(self, data: bytes, start: int, rebuilding: Rebuilding) -> None:
        self.data, self.at, self.rebuilding = data, start, rebuilding
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        data, table = self.data, OPERATIONS
        while True:
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            operation = table.get(code)
            if operation is None:
                raise _Unsafe(f"pickle operation {code}")
            operation(self)

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise IndexError
        return self.data[self.at - count : self.at]

    def number(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self.data, self.at)
        self.at += form.size
        return value

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def target(self, *kinds: type) -> Any:
        if type(self.stack[-1]) not in kinds:
            raise _Unsafe(f"a change of {shown(self.stack[-1])}")
        return self.stack[-1]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at, self.at + 300)
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    # ------------------------------------------------------------------ the stack

    def proto(self) -> None:
        self.at += 1

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def binput(self) -> None:
        self.memo[self.data[self.at]] = self.stack[-1]
        self.at += 1

    def long_binput(self) -> None:
        self.memo[self.number(_UNSIGNED)] = self.stack[-1]

    def binget(self) -> None:
        self.stack.append(self.memo[self.data[self.at]])
        self.at += 1

    def long_binget(self) -> None:
        self.stack.append(self.memo[self.number(_UNSIGNED)])

    # ------------------------------------------------------------------ values

    def none(self) -> None:
        self.stack.append(None)

    def newtrue(self) -> None:
        self.stack.append(True)

    def newfalse(self) -> None:
        self.stack.append(False)

    def binint(self) -> None:
        self.stack.append(self.number(_SIGNED))

    def binint1(self) -> None:
        self.stack.append(self.data[self.at])
        self.at += 1

    def binint2(self) -> None:
        self.stack.append(self.number(_SHORT))

    def long1(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))

    def binfloat(self) -> None:
        self.stack.append(self.number(_DOUBLE))

    def binunicode(self) -> None:
        self.stack.append(self.take(self.number(_UNSIGNED)).decode("utf-8", "surrogatepass"))

    def short_binstring(self) -> None:
        self.stack.append(self.take(self.take(1)[0]).decode("utf-8"))

    def empty_tuple(self) -> None:
        self.stack.append(())

    def empty_list(self) -> None:
        self.stack.append([])

    def empty_dict(self) -> None:
        self.stack.append({})

    def empty_set(self) -> None:
        self.stack.append(self.rebuilding.empty_set())

    def tuple(self) -> None:
        items = self.since_mark()
        self.stack.append(tuple(items))

    def tuple1(self) -> None:
        self.stack[-1] = (self.stack[-1],)

    def tuple2(self) -> None:
        last = self.stack.pop()
        self.stack[-1] = (self.stack[-1], last)

    def tuple3(self) -> None:
        last, middle = self.stack.pop(), self.stack.pop()
        self.stack[-1] = (self.stack[-1], middle, last)

    def append(self) -> None:
        item = self.stack.pop()
        self.target(list).append(item)

    def appends(self) -> None:
        items = self.since_mark()
        self.target(list).extend(items)

    def setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.target(dict, OrderedDict, Counter)[as_key(key)] = value

    def setitems(self) -> None:
        items = self.since_mark()
        target = self.target(dict, OrderedDict, Counter)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key)] = value

    # ------------------------------------------------------------------ names and calls

    def global_(self) -> None:
        module, name = self.line(), self.line()
        full = f"{MODULES.get(module, module)}.{name}"
        value = self.rebuilding.named(full)
        if value is None:
            raise _Unsafe(shown(full)[1:-1])
        self.stack.append(value)

    def binpersid(self) -> None:
        self.stack.append(self.rebuilding.storage(self.stack.pop()))

    def reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack[-1]
        call = self.rebuilding.call(name)
        if call is None or type(arguments) is not tuple:
            raise _Unsafe(f"a call of {shown(name)}")
        self.stack[-1] = call(*arguments)

    def build(self) -> None:
        # What torch writes behind a state dict, the versions of its modules, has no use here;
        # and an attribute of a dict could hide its methods.
        self.stack.pop()
        self.target(OrderedDict)


OPERATIONS: dict[int, Callable[[_Machine], None]] = {
    ord(code): operation
    for code, operation in {
        "\x80": _Machine.proto,
        "(": _Machine.mark,
        "q": _Machine.binput,
        "r": _Machine.long_binput,
        "h": _Machine.binget,
        "j": _Machine.long_binget,
        "N": _Machine.none,
        "\x88": _Machine.newtrue,
        "\x89": _Machine.newfalse,
        "J": _Machine.binint,
        "K": _Machine.binint1,
        "M": _Machine.binint2,
        "\x8a": _Machine.long1,
        "G": _Machine.binfloat,
        "X": _Machine.binunicode,
        "U": _Machine.short_binstring,
        ")": _Machine.empty_tuple,
        "]": _Machine.empty_list,
        "}": _Machine.empty_dict,
        "\x8f": _Machine.empty_set,
        "t": _Machine.tuple,
        "\x85": _Machine.tuple1,
        "\x86": _Machine.tuple2,
        "\x87": _Machine.tuple3,
        "a": _Machine.append,
        "e": _Machine.appends,
        "s": _Machine.setitem,
        "u": _Machine.setitems,
        "c": _Machine.global_,
        "Q": _Machine.binpersid,
        "R": _Machine.reduce,
        "b": _Machine.build,
    }.items()
}
