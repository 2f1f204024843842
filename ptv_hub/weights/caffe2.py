"""Caffe2 files of PySlowFast's first models (``{'blobs': {name: array}}``) -> native keys.

A pickle that Python 2 wrote. It is read by an unpickler that knows three names of numpy, under
the old and the new name of their module, and makes stand-ins of its own for them: no code of
numpy, and none of the file's, takes part in reading it. Arrays of numbers only.

Source of the names: ``slowfast/utils/c2_model_loading.py`` at 287ec007. Upstream warns of blobs
without a home and of shapes that differ; here both are errors.
"""

from __future__ import annotations

import math
import mmap
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ptv_hub.errors import CheckpointError, LayoutError, UnreadableFile, UnsafeFile

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1"})
"""Types of numpy that torch has as well; objects, texts and records are none of them."""


# ---------------------------------------------------------------------------- reading


class _Refused(Exception):
    """What the file asks for that is no data."""


class _Dtype:
    """Stands for a type of numpy's: its name, and the order of its bytes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.order = "="

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) >= 2 and state[1] in ("<", ">", "|", "=")):
            raise _Refused("an array of a type that has parts")
        self.order = "=" if state[1] == "|" else str(state[1])


class _Array:
    """Stands for an array: its shape and bytes, checked against each other."""

    tensor: Tensor

    def __setstate__(self, state: object) -> None:
        import numpy as np
        import torch

        if not (isinstance(state, tuple) and len(state) == 5):
            raise _Refused("an array in an unknown form")
        _, shape, dtype, by_column, data = state
        if isinstance(data, str):  # what Python 2 called a string was bytes
            data = data.encode("latin1")
        if not (isinstance(dtype, _Dtype) and isinstance(data, bytes) and _is_shape(shape)):
            raise _Refused("an array in an unknown form")
        kind = np.dtype(dtype.order + dtype.name)
        if math.prod(shape) * kind.itemsize != len(data):
            raise _Refused(f"an array of shape {shape} with {len(data)} bytes")
        flat = np.frombuffer(data, kind).astype(kind.newbyteorder("="))
        self.tensor = torch.from_numpy(flat.reshape(shape, order="F" if by_column else "C").copy())


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)


class _Name:
    """What a file may name. An object without room: a file can change nothing of it."""

    __slots__ = ()

    def __setstate__(self, _: object) -> NoReturn:
        raise _Refused("a change to what it names")


class _NumpyArray(_Name):
    """``numpy.ndarray``, which is only named, never called."""

    __slots__ = ()


class _NumpyDtype(_Name):
    """``numpy.dtype``: called with the name of a type."""

    __slots__ = ()

    def __call__(self, name: object, *_: object) -> _Dtype:
        if name not in _NUMBERS:
            raise _Refused(f"an array of type {str(name)[:40]!r}")
        return _Dtype(str(name))


class _Reconstruct(_Name):
    """``_reconstruct``: an empty array, which is told what it holds afterwards."""

    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> _Array:
        if not isinstance(kind, _NumpyArray):
            raise _Refused("an array of another class than numpy's own")
        return _Array()


_KNOWN: Mapping[tuple[str, str], _Name] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _NumpyArray(),
    ("numpy", "dtype"): _NumpyDtype(),
}
"""All that a file may name: three things of numpy, one of which has two addresses."""


# The one written in Python: that in C makes room for as many numbers as a file says it has.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, _: object) -> NoReturn:
        raise _Refused("an object that lies outside the file")


def read_blobs(path: Path) -> dict[str, Tensor]:
    """The arrays of a Caffe2 file by the names of its blobs, momentum and counters left out.

    Raises:
        UnsafeFile: it names anything but arrays of numbers; nothing of it was run.
        UnreadableFile: truncated or damaged.
        CheckpointError: no blobs in it, or blobs that are no arrays.
    """
    try:
        # A mapped file gives no more bytes than it has, whatever the pickle says of itself.
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            content = _Unpickler(data, encoding="latin1").load()
    except _Refused as refusal:
        raise UnsafeFile(
            "a pickle asks for more than data and was refused; nothing of it was run",
            where=path,
            expected="blobs: names with arrays of numbers",
            found=str(refusal),
            fix="ask whoever made it for a plain state dict or safetensors;"
            " do not load it otherwise",
        ) from refusal
    except Exception as error:
        # Damaged bytes make an unpickler raise nearly anything.
        raise UnreadableFile(
            "a weights file is truncated or damaged",
            where=path,
            found=(str(error).strip().splitlines() or ["no more bytes"])[0][:200],
            fix="fetch or copy it again",
        ) from error
    blobs = content.get("blobs") if isinstance(content, dict) else None
    if not isinstance(blobs, dict) or not blobs:
        raise CheckpointError(
            "no blobs in a Caffe2 file", where=path, expected="{'blobs': {name: array}}"
        )
    return _arrays(blobs, path)


def _arrays(blobs: Mapping[object, object], path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in blobs.items():
        if not (isinstance(name, str) and name.isascii()):
            raise CheckpointError("a blob without a name", where=path, found=repr(name)[:80])
        if name in ("lr", "model_iter") or name.endswith("_momentum"):
            continue
        if not isinstance(value, _Array) or not hasattr(value, "tensor"):
            raise CheckpointError(
                "a blob is no array",
                where=path,
                expected="numbers",
                found=f"{name}: {type(value).__name__.lstrip('_')}",
            )
        found[name] = value.tensor
    return found


# ------------------------------------------------------------------------------ names

_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
"""``riv`` is a variance in spite of its name: it is copied as it is."""
_WEIGHTS = {"w": "weight", "b": "bias"}

_RULES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (r"(t_)?(?:res_)?conv1_(w|b)", "s1.pathway{0}_stem.conv.{1}", _WEIGHTS),
    (r"()conv1_xy_(w)", "s1.pathway{0}_stem.conv_xy.{1}", _WEIGHTS),
    (r"(t_)?res_conv1_bn_(s|b|rm|riv)", "s1.pathway{0}_stem.bn.{1}", _NORM),
    (r"t_pool1_subsample_(w)", "s1_fuse.conv_f2s.{0}", _WEIGHTS),
    (r"t_pool1_subsample_bn_(s|b|rm|riv)", "s1_fuse.bn.{0}", _NORM),
    # The fusion is named after the last block of its stage, which the key does not name.
    (r"t_res(\d)_\d+_branch2c_bn_subsample_(w)", "s{0}_fuse.conv_f2s.{1}", _WEIGHTS),
    (r"t_res(\d)_\d+_branch2c_bn_subsample_bn_(s|b|rm|riv)", "s{0}_fuse.bn.{1}", _NORM),
    (r"(t_)?res(\d)_(\d+)_branch1_(w)", "s{1}.pathway{0}_res{2}.branch1.{3}", _WEIGHTS),
    (
        r"(t_)?res(\d)_(\d+)_branch1_bn_(s|b|rm|riv)",
        "s{1}.pathway{0}_res{2}.branch1_bn.{3}",
        _NORM,
    ),
    (
        r"(t_)?res(\d)_(\d+)_branch2([abc])_(w)",
        "s{1}.pathway{0}_res{2}.branch2.{3}.{4}",
        _WEIGHTS,
    ),
    (
        r"(t_)?res(\d)_(\d+)_branch2([abc])_bn_(s|b|rm|riv)",
        "s{1}.pathway{0}_res{2}.branch2.{3}_bn.{4}",
        _NORM,
    ),
    (
        r"()res(\d)_(\d+)_branch2b_bn_fc([12])_(w|b)",
        "s{1}.pathway{0}_res{2}.branch2.se.fc{3}.{4}",
        _WEIGHTS,
    ),
    (
        r"nonlocal_conv(\d)_(\d+)_(theta|phi|g|out)_(w|b)",
        "s{0}.pathway0_nonlocal{1}.conv_{2}.{3}",
        _WEIGHTS,
    ),
    (r"nonlocal_conv(\d)_(\d+)_bn_(s|b|rm|riv)", "s{0}.pathway0_nonlocal{1}.bn.{2}", _NORM),
    (r"pred_(w|b)", "head.projection.{0}", _WEIGHTS),
    (r"conv_5_(w)", "head.conv_5.{0}", _WEIGHTS),
    (r"conv_5_bn_(s|b|rm|riv)", "head.conv_5_bn.{0}", _NORM),
    (r"lin_5_(w)", "head.lin_5.{0}", _WEIGHTS),
)
"""A blob's whole name, the native key, and what its last word is called there."""

_COMPILED = tuple((re.compile(pattern), key, words) for pattern, key, words in _RULES)


def native_key(blob: str) -> str | None:
    """The native key of a blob, or ``None`` where no rule names it."""
    for pattern, key, words in _COMPILED:
        if found := pattern.fullmatch(blob):
            *places, word = found.groups()
            ways = ["1" if place == "t_" else place or "0" for place in places]
            return key.format(*ways, words[word])
    return None


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a Caffe2 file under native keys, batch norms with a counter at zero.

    Raises:
        UnsafeFile, UnreadableFile, CheckpointError: as ``read_blobs``.
        LayoutError: blobs that no rule names, or two that would become one.
    """
    import torch

    blobs = read_blobs(path)
    homeless = [blob for blob in blobs if native_key(blob) is None]
    if homeless:
        raise LayoutError(
            f"{len(homeless)} of {len(blobs)} blobs have no home",
            keys=homeless,
            where=path,
            expected="the names that PySlowFast's converter knows",
            found=", ".join(homeless[:3]),
        )
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for blob, tensor in blobs.items():
        key = native_key(blob) or blob
        if key in result:
            raise LayoutError(
                "two blobs would become one",
                keys=(origin[key], blob),
                where=path,
                found=f"{origin[key]} and {blob} -> {key}",
            )
        result[key], origin[key] = _with_axes(key, tensor), blob
        if key.endswith(".running_var"):
            result[key.removesuffix("running_var") + "num_batches_tracked"] = torch.tensor(0)
    return result


def _with_axes(key: str, tensor: Tensor) -> Tensor:
    """A kernel that Caffe2 kept as a matrix gets the axes of time and space."""
    if tensor.dim() == 2 and re.search(r"(branch\d|\.[abc]|conv_5|lin_5|fc\d)\.weight$", key):
        return tensor.reshape(*tensor.shape, 1, 1, 1)
    return tensor
