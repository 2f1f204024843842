"""The header of a safetensors file: names, types, shapes and places of its tensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ptv_hub.containers.bounds import HEADER_BYTES, TENSORS, require_key, require_size, shown
from ptv_hub.containers.tensors import DTYPES, is_countable
from ptv_hub.errors import CheckpointError, TruncatedFile, UnreadableFile

_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""The format's names of types -> torch's, of those that are weights."""


@dataclass(frozen=True)
class Header:
    keys: tuple[str, ...]
    """In the order of their bytes."""
    metadata: Mapping[str, str]


def begins(head: bytes) -> bool:
    """Whether a file that begins so is of this format: a length of under 4 GB, then JSON."""
    return head[4:9] == b"\0\0\0\0{"


def text_of(path: Path) -> bytes:
    """The header as it stands in the file. Raises as ``read``."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > size - 8:
            raise TruncatedFile(
                "a safetensors file is truncated",
                where=path,
                expected=f"a header of {length} bytes",
                found=f"{size} bytes in all",
                fix="fetch or copy it again",
            )
        require_size("bytes of its header", length, HEADER_BYTES, path)
        return file.read(length)


def read(path: Path) -> Header:
    """The header, held against the file: its tensors lie one after another, and fill it.

    Raises:
        UnreadableFile: truncated, damaged, or larger than any weights file's.
        CheckpointError: tensors that are no weights.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    text = text_of(path)
    rows = _parsed(text, path)
    metadata = rows.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(map(_is_text, (*metadata, *metadata.values()))):
        raise _damaged(path, "metadata that are no strings")
    require_size("tensors", len(rows), TENSORS, path)
    places = [(*_place(key, row, path), key) for key, row in rows.items()]
    end = 0
    for start, stop, _ in sorted(places):
        if start != end:
            raise _damaged(path, "tensors that overlap, or bytes between them")
        end = stop
    there = size - 8 - len(text)
    if end > there:
        raise TruncatedFile(
            "a safetensors file is damaged: not all tensors are there",
            where=path,
            expected=f"{end:,} bytes of tensors",
            found=f"{there:,}",
            fix="fetch or copy it again",
        )
    if end < there:
        raise _damaged(path, f"{there - end:,} bytes after the last tensor")
    return Header(tuple(key for *_, key in sorted(places)), metadata)


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        # UTF-8: Python would also take other writings for JSON.
        rows = json.loads(
            text.decode(),
            parse_constant=_no_number,
            parse_int=_number,
            object_pairs_hook=_without_doubles,
        )
    except (ValueError, RecursionError) as error:
        found = "brackets within brackets" if isinstance(error, RecursionError) else error
        raise _damaged(path, shown(str(found))) from error
    if not isinstance(rows, dict):
        raise _damaged(path, "a header that is no object")
    return rows


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of what stands there twice Python keeps the last, and others the first.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands there twice")
    return found


def _number(text: str) -> int:
    if text.startswith("-"):
        raise ValueError("a number below 0")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _place(key: str, row: Any, path: Path) -> tuple[int, int]:
    """Where a tensor's bytes begin and end, behind the header."""
    require_key(key, path)
    if not isinstance(row, dict) or row.keys() != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"an unknown entry for {key}")
    dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
    if type(dtype) is not str:
        raise _damaged(path, f"{key}: no type")
    if dtype not in _NAMES:
        raise CheckpointError(
            "the file holds tensors that are no weights",
            where=path,
            expected=f"one of {', '.join(_NAMES)}",
            found=f"{key}: {shown(dtype)}",
            fix="ask whoever made it for a plain state dict",
        )
    if not (_is_sizes(shape) and _is_sizes(offsets) and len(offsets) == 2 and is_countable(shape)):
        raise _damaged(path, f"{key}: no shape, or no place")
    size = DTYPES[_NAMES[dtype]]
    for length in shape:
        size *= length
    start, stop = offsets
    if stop - start != size or size >= 1 << 62:
        raise _damaged(path, f"{key}: {stop - start:,} bytes of a tensor of {shown(size)}")
    return start, stop


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, in JSON's escapes
        return False
    return True


def _is_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in value)


def _damaged(path: Path, found: str) -> UnreadableFile:
    return UnreadableFile(
        "a safetensors file is damaged", where=path, found=found, fix="fetch or copy it again"
    )
