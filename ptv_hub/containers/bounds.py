"""How much a file may ask for: what it says of itself is held against its own size, before.

A weights file's cost follows from its bytes. Real ones stay far below these bounds: the zoo's
largest has 1,900 tensors, a pickle of 0.3 MB and keys of 60 characters.
"""

from __future__ import annotations

import re
from pathlib import Path

from ptv_hub.errors import CheckpointError, UnreadableFile

PICKLE_BYTES = 8_000_000
"""Of the pickle that says which tensors there are; reading it takes seconds and 1 GB at most."""

HEADER_BYTES = 8_000_000
"""Of a safetensors header."""

TENSORS = 200_000
MEMBERS = 300_000
"""Of an archive."""

COPIES = 1_000_000
"""Elements of sets, bytes and sizes that a pickle makes by a call, in all."""

_KEY = re.compile(r"[!-~]{1,300}")


def expanded_bytes(file_bytes: int) -> int:
    """Bytes that may come out of a file: of members that are compressed, or of tensors that
    share or repeat what is stored. No weights are a quarter as long as they are large."""
    return 4 * file_bytes + 64_000_000


def is_key(key: object) -> bool:
    """Whether this can be a tensor's name: printable ASCII without spaces.

    Nothing else is: the digest's lines are only unambiguous, and a name can only be shown, if
    it holds no space, no line's end and no control character.
    """
    return isinstance(key, str) and _KEY.fullmatch(key) is not None


def require_key(key: object, where: object) -> None:
    """Raise CheckpointError unless ``is_key``."""
    if not is_key(key):
        raise CheckpointError(
            "a tensor's key is no name",
            where=where,
            expected="1 to 300 printable ASCII characters without spaces",
            found=shown(key),
        )


def require_size(what: str, size: int, most: int, where: Path) -> None:
    """Raise UnreadableFile if something is larger than any weights file has it."""
    if size > most:
        raise UnreadableFile(
            f"a weights file asks for too much: {what}",
            where=where,
            expected=f"at most {most:,}",
            found=f"{size:,}",
            fix="ask whoever made it for the weights alone, uncompressed, or as safetensors",
        )


def shown(value: object, most: int = 80) -> str:
    """A stranger's value in a few printable characters; of containers the type alone."""
    if isinstance(value, (str, bytes)):
        text = ascii(value[: most + 1])
    elif isinstance(value, (bool, float)) or value is None:
        text = repr(value)
    elif isinstance(value, int):
        text = repr(value) if value.bit_length() < 200 else "a very large number"
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= most + 2 else f"{text[:most]}..."
