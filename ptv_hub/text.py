"""Text that others wrote, for a terminal, a log and code to copy: shown, and never obeyed.

Markdown's own place is ``markdown``, HTML's is ``pages.page``; both begin with ``visible``.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Callable, Iterable

_COMMANDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn the direction of writing, end a line or
are not to be seen: control (also 0x80 to 0x9f), format, lone surrogates, separators."""


def visible(text: str, *, keep: str = "") -> str:
    """The text with every character that commands and shows nothing written out: ``\\x1b``.

    ``keep`` are those of them that stay: ``"\\n"`` where lines are meant.
    """
    return _with(text, keep, lambda c: c.encode("unicode_escape").decode("ascii"))


def json_text(text: str) -> str:
    """A JSON document, indented, that commands no terminal: such characters in JSON's escapes."""
    return _with(text, "\n", lambda c: json.dumps(c)[1:-1])


def _with(text: str, keep: str, written: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(written(c) if _commands(c) and c not in keep else c for c in text)


def _commands(character: str) -> bool:
    return unicodedata.category(character) in _COMMANDS


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and how much more there is."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most} more characters)"


class Lines(str):
    """A fact of several lines, said by the one who builds it: a stranger's newline makes none."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, parts: Iterable[str]) -> Lines:
        parts = tuple(parts)
        lines = cls("\n".join(parts))
        lines.parts = parts
        return lines

    def __str__(self) -> str:
        return self


def python_literal(text: str) -> str:
    """The text as a literal of Python, all ASCII, in double quotes where it is plain."""
    if text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}:
        return f'"{text}"'
    return ascii(text)


def shell_word(text: str) -> str:
    """The text as one word of a shell."""
    import shlex  # the rooms of every start have no need of it

    return shlex.quote(visible(text))


class OneLine(logging.Filter):
    """Makes one line of every message of a logger, whatever it was made of."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = visible(record.getMessage()), None
        return True
