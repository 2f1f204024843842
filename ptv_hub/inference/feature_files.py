"""Features of one video -> a file, in the formats that downstream code reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from ptv_hub.errors import MissingExtra, UsageError, WriteError
from ptv_hub.files import atomic_write
from ptv_hub.inference.features import Features
from ptv_hub.inference.outputs import MAPS
from ptv_hub.weights import checkpoint

FileFormat = Literal["npz", "npy", "safetensors", "parquet"]
FileDtype = Literal["fp32", "fp16"]
FORMATS: tuple[str, ...] = get_args(FileFormat)
_DTYPES = {"fp32": np.float32, "fp16": np.float16}
KEY = "features"
"""Name of the first output in a file; the others have their own."""


@dataclass(frozen=True)
class FileKind:
    """How features are written."""

    format: FileFormat = "npz"
    dtype: FileDtype = "fp32"
    key: str = KEY
    """What the first output is called, where files have names for arrays."""

    def check(self) -> None:
        """That such files can be written here.

        Raises:
            UsageError: no such format or type.
            MissingExtra: pyarrow is not installed.
        """
        if self.format not in FORMATS or self.dtype not in _DTYPES:
            raise UsageError(
                "features are written in other formats",
                expected=f"{', '.join(FORMATS)}; {', '.join(_DTYPES)}",
                found=f"{self.format}, {self.dtype}",
            )
        if self.format == "parquet":
            _pyarrow()


def save_features(
    found: Features,
    path: str | os.PathLike[str],
    *,
    dtype: FileDtype = "fp32",
    key: str = KEY,
) -> None:
    """Write features, whole or not at all, in the format that the name ends in.

    ``.npz``, ``.safetensors``: arrays ``features`` (the first output), the other outputs by
    their names; a row each of ``start``, ``end``, ``centre`` (seconds), ``start_frame``,
    ``end_frame``, ``centre_frame`` (at ``rate``) and ``frames`` (those seen, by their number);
    and words: in a safetensors file as its metadata, in an npz as arrays of one string.
    ``.npy``: the rows of one output alone. ``.parquet``: a line a row (the extra ``parquet``).

    Raises:
        UsageError: another suffix, or type; several outputs in an ``.npy``.
        WriteError: a file cannot be written.
        MissingExtra: pyarrow is not installed.
    """
    path = Path(path)
    suffix = path.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise UsageError(
            f"features are written in {len(FORMATS)} formats",
            where=path,
            expected=f"a name that ends in {', '.join(f'.{name}' for name in FORMATS)}",
        )
    if dtype not in _DTYPES:
        raise UsageError("no such type", expected=", ".join(_DTYPES), found=repr(dtype))
    outputs = _outputs(found, dtype, key)
    _WRITERS[suffix](found, outputs, path)


def _outputs(found: Features, dtype: str, key: str) -> dict[str, np.ndarray[Any, Any]]:
    outputs = {}
    for number, (name, values) in enumerate(found.outputs.items()):
        array = values.numpy()
        if dtype == "fp16" and len(array) and np.abs(array).max() > np.finfo(np.float16).max:
            raise WriteError(
                "a number is too large for fp16",
                where=found.video,
                found=f"{np.abs(array).max():.3g} in {name}",
                fix="write fp32",
            )
        own = key if number == 0 else name.replace(MAPS, "_maps")
        outputs[own] = array.astype(_DTYPES[dtype])
    return outputs


def times_of(found: Features) -> dict[str, np.ndarray[Any, Any]]:
    """A number a row: seconds, and the same in frames at ``found.rate``."""
    start, end = np.asarray(found.start, np.float64), np.asarray(found.end, np.float64)
    seconds = {"start": start, "end": end, "centre": (start + end) / 2}
    # Of whole frames exactly: their seconds are rounded.
    frames = {f"{name}_frame": np.round(at * found.rate, 6) for name, at in seconds.items()}
    return {**seconds, **frames}


def _words(found: Features) -> dict[str, str]:
    return {
        "video": found.video,
        "model": found.model,
        "stage": found.stage,
        "views": found.views,
        "notes": "\n".join(found.notes),
        "rate": f"{found.rate:g}",
        "duration": f"{found.duration!r}",
    }


def _arrays(found: Features) -> dict[str, np.ndarray[Any, Any]]:
    count = len(found.frames[0]) if found.frames else 0
    frames = np.asarray(found.frames, np.int64).reshape(len(found.start), count)
    return {**times_of(found), "frames": frames}


def _write_npz(found: Features, outputs: dict[str, Any], path: Path) -> None:
    words = {key: np.asarray(value) for key, value in _words(found).items()}
    arrays: dict[str, Any] = {**outputs, **_arrays(found), **words}
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _write_safetensors(found: Features, outputs: dict[str, Any], path: Path) -> None:
    arrays = {**outputs, **_arrays(found)}
    tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
    checkpoint.write(path, tensors, metadata=_words(found))


def _write_rows(found: Features, outputs: dict[str, Any], path: Path) -> None:
    if len(outputs) > 1:
        raise UsageError(
            "a file of rows alone holds one output", where=path, found=", ".join(found.outputs)
        )
    (rows,) = outputs.values()
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, rows)


def _write_parquet(found: Features, outputs: dict[str, Any], path: Path) -> None:
    """Maps as flat lists, with their shape in the field's metadata."""
    pyarrow = _pyarrow()
    import pyarrow.parquet as parquet

    rows = len(found.start)
    columns: dict[str, Any] = {
        "video": pyarrow.array([found.video] * rows, pyarrow.string()),
        "window": pyarrow.array(range(rows), pyarrow.int32()),
        **{key: pyarrow.array(values) for key, values in times_of(found).items()},
    }
    fields = [pyarrow.field(name, column.type) for name, column in columns.items()]
    for name, values in outputs.items():
        flat = np.ascontiguousarray(values).reshape(rows, -1) if rows else values
        width = flat.shape[1]
        columns[name] = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(flat.reshape(-1)), width
        )
        shape = " ".join(map(str, values.shape[1:]))
        fields.append(pyarrow.field(name, columns[name].type, metadata={"shape": shape}))
    schema = pyarrow.schema(fields, metadata={"model": found.model, "views": found.views})
    table = pyarrow.Table.from_arrays(list(columns.values()), schema=schema)
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet", needed_for="a Parquet file") from error
    return pyarrow


_WRITERS: dict[str, Callable[[Features, dict[str, Any], Path], None]] = {
    "npz": _write_npz,
    "npy": _write_rows,
    "safetensors": _write_safetensors,
    "parquet": _write_parquet,
}
