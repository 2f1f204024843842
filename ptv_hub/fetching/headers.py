"""What an answer's headers say, where they say something that can be: read, never believed."""

from __future__ import annotations

import email.utils
import re
import time
from typing import NamedTuple

LONGEST = 10**18
"""Bytes that stand for every greater length."""
LONGEST_WAIT_S = 1e9
"""Seconds that stand for every longer wait."""


def length(value: str | None) -> int | None:
    """Bytes that a Content-Length states, ``LONGEST`` for all that are more; ``None`` for none."""
    # int() takes digits of all writings, and refuses thousands of them.
    if value is None or not re.fullmatch(r"[0-9]+", value.strip()):
        return None
    digits = value.strip().lstrip("0")
    return int(digits or "0") if len(digits) < 19 else LONGEST


class Range(NamedTuple):
    """A part of a file: its first byte, and the bytes of the whole where they are said."""

    start: int
    total: int | None


def content_range(value: str | None) -> Range | None:
    """What a Content-Range says; ``None`` where it says nothing that can be."""
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", (value or "").strip()
    )
    if found is None:
        return None
    start, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if last < start or (total is not None and last >= total):
        return None
    return Range(start, total)


def retry_after(value: str | None) -> float:
    """Seconds that a Retry-After asks for, given as a number or as a date; 0 for none."""
    if value is None:
        return 0.0
    if re.fullmatch(r"[0-9]+", value.strip()):
        return float(min(int(value.strip()[:18]), LONGEST_WAIT_S))
    try:
        wait = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, IndexError, AttributeError):
        return 0.0
    return min(max(0.0, wait), LONGEST_WAIT_S)


def encoding(value: str | None) -> str:
    """The compressed form that a Content-Encoding names; ``identity`` where it is none."""
    return (value or "").strip().lower() or "identity"
