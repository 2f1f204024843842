"""Which tensors are weights: plain and strided, of a listed type, inside what is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from ptv_hub.containers.bounds import shown

DTYPES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
"""Bytes of an element. Complex and quantized numbers, and those of half a byte, are no weights of
any model here; each of the listed types is hashed, compared and written bit for bit."""

OTHER_DTYPES = frozenset({"complex32", "complex64", "complex128", "uint16", "uint32", "uint64"})
"""That a pickle may name beside its weights, though no tensor may be of them."""

STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
"""torch's names of typed storages -> type of their elements."""

UNUSABLE = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without data (meta)",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of another device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor of another device",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
    "torch._utils._rebuild_parameter_with_state": "a parameter with attributes",
    "torch._utils._rebuild_tensor": "a tensor of torch before 0.4",
    "torch._tensor._rebuild_from_type_v2": "a tensor with attributes, or of a class of its own",
    "torch.Tensor": "a tensor of torch before 0.4, or a class in place of one",
    "torch.nn.parameter.Parameter": "a parameter of torch before 0.4, or a class in place of one",
    "torch.storage.TypedStorage": "a storage that is no tensor",
    "torch.serialization._get_layout": "a tensor's layout: one that is not strided",
    "torch.ComplexFloatStorage": "complex numbers (complex64)",
    "torch.ComplexDoubleStorage": "complex numbers (complex128)",
    "torch.QInt8Storage": "quantized numbers (qint8)",
    "torch.QUInt8Storage": "quantized numbers (quint8)",
    "torch.QInt32Storage": "quantized numbers (qint32)",
    "torch.QUInt4x2Storage": "quantized numbers (quint4x2)",
    "torch.QUInt2x4Storage": "quantized numbers (quint2x4)",
}
"""What torch would rebuild from data alone, and what it is: not weights, but no harm either."""


class Unusable(ValueError):
    """A tensor that is no weights, in words."""


@dataclass(frozen=True)
class Strided:
    """Where a tensor's elements lie in its storage. Unless they do, there is no such object."""

    dtype: str
    offset: int
    """Elements before the first."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of its elements, each counted even where several are one."""
        count = DTYPES[self.dtype]
        for size in self.shape:
            count *= size
        return count


def strided(
    dtype: str, offset: object, shape: object, stride: object, stored_bytes: int
) -> Strided:
    """The description, checked against the storage's bytes.

    Raises:
        Unusable: no type of ``DTYPES``, no shape, or elements outside the storage.
    """
    if dtype not in DTYPES:
        raise Unusable(f"a tensor of {dtype}")
    width = DTYPES[dtype]
    if type(offset) is not int or not _is_sizes(shape) or not _is_sizes(stride):
        raise Unusable("a tensor whose shape, strides or offset are no numbers")
    if len(shape) != len(stride) or offset < 0 or min((*shape, *stride), default=0) < 0:
        raise Unusable(f"a tensor of shape {_told(shape)} and strides {_told(stride)}")
    if max((*shape, *stride, offset), default=0) >= 1 << 62 or not is_countable(shape):
        raise Unusable(f"a tensor of shape {_told(shape)}")
    if 0 not in shape:
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if (last + 1) * width > stored_bytes:
            raise Unusable(
                f"a tensor of shape {_told(shape)} that reaches beyond its {stored_bytes:,} bytes"
            )
    return Strided(dtype, offset, shape, stride)


def is_countable(shape: Sequence[int]) -> bool:
    """Whether torch can count the elements, in whatever order it multiplies: also of sizes beside
    a 0."""
    return len(shape) <= 64 and math.prod(size or 1 for size in shape) < 1 << 58


def _is_sizes(value: object) -> TypeGuard[tuple[int, ...]]:
    # Not isinstance: True is no size.
    return isinstance(value, tuple) and all(type(size) is int for size in value)


def _told(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(shown, sizes[:8]))}{', ...' if len(sizes) > 8 else ''})"
