"""A manifest's data -> its text, as the manifests are written: what fits a line stands in one."""

from __future__ import annotations

import json
from typing import Any

_WIDTH = 96


def manifest_text(content: Any) -> str:
    """JSON, indented by 2; an object or a list that fits a line of 96 characters is in one."""
    return f"{_text(content, 0, '', 0)}\n"


def _text(value: Any, indent: int, head: str, tail: int) -> str:
    """``head`` stands before it in its line, ``tail`` characters behind it."""
    line = json.dumps(value, ensure_ascii=False)
    fits = indent + len(head) + len(line) + tail <= _WIDTH
    if not isinstance(value, (dict, list)) or not value or fits:
        return line
    if isinstance(value, dict):
        opening, closing = "{", "}"
        items = [(f"{json.dumps(key, ensure_ascii=False)}: ", item) for key, item in value.items()]
    else:
        opening, closing = "[", "]"
        items = [("", item) for item in value]
    inner, last = " " * (indent + 2), len(items) - 1
    lines = [
        f"{inner}{key}{_text(item, indent + 2, key, int(place < last))}"
        for place, (key, item) in enumerate(items)
    ]
    return f"{opening}\n" + ",\n".join(lines) + f"\n{' ' * indent}{closing}"
