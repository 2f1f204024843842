"""The closed table of what a pickle of weights may ask for by name, and what is made of it.

Every call is bounded: what copies its arguments is counted, since a few bytes of a pickle can
have the same thing copied again and again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ptv_hub.containers.bounds import COPIES, TENSORS, require_size, shown
from ptv_hub.containers.tensors import (
    DTYPES,
    OTHER_DTYPES,
    STORAGES,
    UNUSABLE,
    Strided,
    Unusable,
    strided,
)

MODULES = {"__builtin__": "builtins", "torch.cuda": "torch"}
"""Modules of Python 2, which the pickles' protocol is of, and of storages on a GPU."""


class Builder(Protocol):
    """Who makes tensors of what a pickle says; nothing here knows torch."""

    def storage(self, key: str, size: int) -> object:
        """The storage under a key, of so many bytes. Raises UnreadableFile if it is not there."""

    def tensor(self, storage: Any, where: Strided, requires_grad: bool) -> object:
        """The tensor that lies there in a storage of this builder."""

    def parameter(self, tensor: Any, requires_grad: bool) -> object:
        """A parameter of a tensor of this builder. Raises TypeError if it is none."""

    def dtype(self, name: str) -> object:
        """torch's own type, whose ``str`` ends in the name."""

    def device(self, words: str) -> object:
        """torch's own device of these words (``cuda:0``)."""

    def size(self, sizes: tuple[int, ...]) -> object:
        """torch's own tuple of sizes."""


class _Unfinished:
    """What a pickle holds while it is read; left over in the result, it cannot be written."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a name or a storage stands in place of a value")


@dataclass(frozen=True)
class _Name(_Unfinished):
    name: str


@dataclass(frozen=True)
class Stored(_Unfinished):
    """A storage: what the pickle says of it, and what the builder made of that."""

    dtype: str
    size: int
    """Bytes."""
    made: object


class Nobody:
    """A builder that makes nothing: for looking at a file without torch."""

    def storage(self, key: str, size: int) -> object:
        return None

    def tensor(self, storage: object, where: Strided, requires_grad: bool) -> object:
        return None

    def parameter(self, tensor: object, requires_grad: bool) -> object:
        return None

    def dtype(self, name: str) -> object:
        return name

    def device(self, words: str) -> object:
        return words

    def size(self, sizes: tuple[int, ...]) -> object:
        return sizes


class Rebuilding:
    """Of one file: its storages, and how much was made so far."""

    def __init__(self, path: Path, builder: Builder) -> None:
        self.path, self._builder = path, builder
        self.storages: dict[str, Stored] = {}
        """By the key that the pickle gives them."""
        self._dtypes: dict[str, object] = {}
        """The builder's types of elements that were named, by their names."""
        self._tensors = self._copied = 0

    def named(self, name: str) -> object | None:
        """What a name stands for; ``None`` where it is not in the table.

        Raises:
            Unusable: tensors of a kind that are no weights.
        """
        if name in UNUSABLE:
            raise Unusable(UNUSABLE[name])
        if name in _CALLS or _element_type(name) is not None:
            return _Name(name)
        module, _, dtype = name.rpartition(".")
        if module == "torch" and (dtype in DTYPES or dtype in OTHER_DTYPES):
            if dtype not in self._dtypes:
                self._dtypes[dtype] = self._builder.dtype(dtype)
            return self._dtypes[dtype]
        return None

    def call(self, name: object) -> Callable[..., object] | None:
        """What is called by a name; ``None`` where it is not in the table."""
        method = _CALLS.get(name.name) if isinstance(name, _Name) else None
        return None if method is None else method.__get__(self)

    def storage(self, words: Any) -> object:
        """The storage that a pickle points to: ('storage', type, key, device, elements).

        Raises:
            Unusable: no storage of its own, or one that was told otherwise before.
            CheckpointError: not in the file, or not as long.
        """
        kind, of_type, key, _, count, *view = words
        dtype = _element_type(of_type.name) if isinstance(of_type, _Name) else None
        if kind != "storage" or dtype is None or type(key) is not str:
            raise Unusable("what is no storage in place of one")
        if view not in ([], [None]):
            raise Unusable("a storage that is a part of another (torch before 0.4)")
        if type(count) is not int or not 0 <= count < 1 << 60:
            raise Unusable(f"a storage of {shown(count)} elements")
        size = count * DTYPES[dtype]
        if key not in self.storages:
            self.storages[key] = Stored(dtype, size, self._builder.storage(key, size))
        stored = self.storages[key]
        if (stored.dtype, stored.size) != (dtype, size):
            raise Unusable("two storages under one name")
        return stored

    def _spend(self, elements: int) -> None:
        self._copied += 1 + elements
        require_size("copies of data", self._copied, COPIES, self.path)

    # ------------------------------------------------------------------ tensors

    def _v2(
        self,
        storage: object,
        offset: object,
        shape: object,
        stride: object,
        requires_grad: object,
        hooks: object = None,
        metadata: object = None,
    ) -> object:
        if not isinstance(storage, Stored):
            raise Unusable("a tensor without a storage")
        where = strided(storage.dtype, offset, shape, stride, storage.size)
        return self._tensor(storage, where, requires_grad, metadata)

    def _v3(
        self,
        storage: object,
        offset: object,
        shape: object,
        stride: object,
        requires_grad: object,
        hooks: object,
        dtype: object,
        metadata: object = None,
    ) -> object:
        if not isinstance(storage, Stored):
            raise Unusable("a tensor without a storage")
        # One that was named, and nothing that looks like it: to write out what else may stand here
        # could take for ever.
        named = next((name for name, made in self._dtypes.items() if made is dtype), None)
        if named is None:
            raise Unusable("a tensor of no type")
        where = strided(named, offset, shape, stride, storage.size)
        return self._tensor(storage, where, requires_grad, metadata)

    def _tensor(
        self, storage: Stored, where: Strided, requires_grad: object, metadata: object
    ) -> object:
        if metadata:
            raise Unusable("a conjugate or negative view of a tensor")
        self._tensors += 1
        require_size("tensors", self._tensors, TENSORS, self.path)
        return self._builder.tensor(storage.made, where, requires_grad is True)

    def _parameter(self, tensor: object, requires_grad: object, hooks: object = None) -> object:
        self._tensors += 1
        require_size("tensors", self._tensors, TENSORS, self.path)
        return self._builder.parameter(tensor, requires_grad is True)

    # ------------------------------------------------------------------ plain data

    def _ordered(self, items: Any = ()) -> object:
        pairs = list(_sized(items, list, tuple))
        self._spend(len(pairs))
        return OrderedDict((as_key(key), value) for key, value in pairs)

    def _counter(self, counts: Any = None) -> object:
        # Of a dict alone, as Counters are pickled: its keys have been through ``as_key``.
        counts = {} if counts is None else _sized(counts, dict)
        self._spend(len(counts))
        result: Counter[Any] = Counter()
        dict.update(result, counts)
        return result

    def empty_set(self) -> object:
        """A set of a single operation: counted, since it is two hundred bytes of one.

        Raises:
            UnreadableFile: there are too many.
        """
        self._spend(0)
        return set()

    def _set(self, items: Any = ()) -> object:
        items = _sized(items, list, tuple)
        self._spend(len(items))
        return {as_key(item) for item in items}

    def _bytes(self) -> object:  # how Python pickles none
        return b""

    def _bytearray(self, content: Any = b"") -> object:
        content = _sized(content, bytes)
        self._spend(len(content))
        return bytearray(content)

    def _encode(self, text: Any, encoding: object) -> object:
        if encoding != "latin1":  # Python's own way of pickling bytes
            raise ValueError("bytes in an unknown encoding")
        text = _sized(text, str)
        self._spend(len(text))
        return text.encode("latin-1")

    def _complex(self, real: object, imaginary: object) -> object:
        if type(real) is not float or type(imaginary) is not float:
            raise ValueError("a complex number of other parts than two numbers")
        return complex(real, imaginary)

    def _size(self, sizes: Any = ()) -> object:
        sizes = _sized(sizes, tuple, list)
        self._spend(len(sizes))
        if not all(type(size) is int and abs(size) < 1 << 62 for size in sizes):
            raise ValueError("a size that is no number")
        return self._builder.size(tuple(sizes))

    def _device(self, kind: object, index: object = None) -> object:
        if type(kind) is not str or type(index) not in (int, type(None)):
            raise ValueError("a device of no name")
        return self._builder.device(kind if index is None else f"{kind}:{index}")


def _sized(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise ValueError(f"a call with {shown(value)}")
    return value


def as_key(value: Any) -> Any:
    """The value, if it can be a key: of a kind of which no two thousand have one hash.

    Raises:
        TypeError: it cannot.
    """
    large = type(value) is int and value.bit_length() >= 64
    if not large and (value is None or type(value) in (str, int, float, bool, bytes)):
        return value
    raise TypeError(f"a key that is {shown(value)}")


_CALLS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor_v2": Rebuilding._v2,
    "torch._utils._rebuild_tensor_v3": Rebuilding._v3,
    "torch._utils._rebuild_parameter": Rebuilding._parameter,
    "torch.Size": Rebuilding._size,
    "torch.device": Rebuilding._device,
    "collections.OrderedDict": Rebuilding._ordered,
    "collections.Counter": Rebuilding._counter,
    "builtins.set": Rebuilding._set,
    "builtins.bytes": Rebuilding._bytes,
    "builtins.bytearray": Rebuilding._bytearray,
    "builtins.complex": Rebuilding._complex,
    "_codecs.encode": Rebuilding._encode,
}


def _element_type(name: str) -> str | None:
    """The type of a storage's elements, by the storage's name."""
    module, _, kind = name.rpartition(".")
    return STORAGES.get(kind) if module in ("torch", "torch.storage") else None
