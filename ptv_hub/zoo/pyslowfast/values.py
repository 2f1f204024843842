"""YAML -> values: defaults, ``_BASE_``, ``KEY VALUE`` pairs, each checked against its default.

A value's type is that of its default, as in PySlowFast (where ``yacs`` says so); a whole number
is taken for a fractional one, and text that spells a number (YAML reads ``1e-4`` as text) for
the number. Keys are written with dots: ``SOLVER.BASE_LR``.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ptv_hub.errors import ConfigError, UsageError
from ptv_hub.files import expanded
from ptv_hub.zoo.documents import flat, read_yaml

BASE = "_BASE_"


@cache
def defaults() -> dict[str, Any]:
    """PySlowFast's defaults by dotted key."""
    text = Path(__file__).with_name("defaults.yaml").read_text(encoding="utf-8")
    return dict(flat(yaml.safe_load(text)))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys -> sections, as YAML has them."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    return tree


class Values(Mapping[str, Any]):
    """All keys of a config, and which of them were looked at."""

    def __init__(self, given: Mapping[str, Any], where: str) -> None:
        self.where = where
        self.given = dict(given)
        """What the file, its bases and the pairs state."""
        self._all = {**defaults(), **given}
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def unread(self) -> list[str]:
        """Keys that were given another value than their default, and that nobody looked at."""
        return [k for k, v in self.given.items() if k not in self._read and v != defaults()[k]]

    def refuse(self, key: str, expected: str, fix: str | None = None) -> NoReturn:
        """Raise the error of a value that has no meaning here."""
        default = "" if key in self.given else " (PySlowFast's default; the config names none)"
        raise ConfigError(
            f"{key} has a value that is not supported here",
            where=self.where,
            expected=expected,
            found=f"{self._all[key]!r}{default}",
            fix=fix,
        )

    def one_of(self, key: str, table: Mapping[Any, Any], fix: str | None = None) -> Any:
        """What the table has for the key's value; else an error that names the table's keys."""
        value = self[key]
        if value not in table:
            self.refuse(key, " or ".join(map(repr, table)), fix)
        return table[value]


def read(path: Path, opts: Sequence[object] = ()) -> Values:
    """The values of a config file, then those of ``KEY VALUE`` pairs.

    Raises:
        ConfigError: not YAML, a key that PySlowFast does not have, a value of another type, a
            ``_BASE_`` that is missing or leads back to itself.
        UsageError: a key without a value.
    """
    return with_pairs(flat(_tree(path, ())), opts, path)


def with_pairs(values: Iterable[tuple[str, Any]], opts: Sequence[object], where: object) -> Values:
    """Dotted keys with values, then those of ``KEY VALUE`` pairs. Raises as ``read``."""
    given = dict(_checked(key, value, where) for key, value in values)
    if len(opts) % 2:
        raise UsageError(
            "the last key has no value",
            expected="KEY VALUE pairs, as in: SOLVER.BASE_LR 0.05 DATA.NUM_FRAMES 16",
            found=" ".join(map(str, opts)),
        )
    for key, value in zip(opts[::2], opts[1::2], strict=True):
        name, checked = _checked(str(key), value, "the command line's pairs")
        given[name] = checked
    return Values(given, str(where))


def _tree(path: Path, on_the_way: tuple[Path, ...]) -> dict[str, Any]:
    """Sections of a file on top of those of its base."""
    path = expanded(path)
    if path.resolve() in on_the_way:
        raise ConfigError(f"{BASE} leads back to the same file", where=path)
    try:
        tree = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "a config cannot be read",
            where=path,
            found=getattr(error, "strerror", None) or error,
            fix="'ptv-hub config NAME' writes one",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise ConfigError(
            "a config is not YAML", where=at, found=getattr(error, "problem", None) or error
        ) from error
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise ConfigError(
            "a config is not YAML with sections", where=path, found=f"a {type(tree).__name__}"
        )
    base = tree.pop(BASE, None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"{BASE} is not a path", where=path, found=base)
    return _merged(_tree(_base(path, base), (*on_the_way, path.resolve())), tree)


def _base(path: Path, base: str) -> Path:
    """The file that a config goes on from. Raises ConfigError if it is none."""
    try:
        found = path.parent / expanded(base)
    except UsageError as error:
        raise ConfigError(f"{BASE} is not a path", where=path, found=error.found) from error
    if found.exists() and not found.is_file():  # a device would be read without end
        raise ConfigError(f"{BASE} is not a file", where=path, found=found)
    return found


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _merged(below, value)
        result[key] = value
    return result


def _checked(key: str, value: object, where: object) -> tuple[str, Any]:
    """The key, and the value as its default's type."""
    known = defaults()
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
        section = any(name.startswith(f"{key}.") for name in known)
        raise ConfigError(
            f"PySlowFast has no key {key!r}" if not section else f"{key} is a section, not a key",
            where=where,
            found=f"{key} = {value!r}",
            fix=f"did you mean {' or '.join(near)}?" if near else None,
        )
    default = known[key]
    for candidate in (value, _spelled(value)):
        if _number(default) and type(candidate) is int and abs(candidate) < 2**1000:
            return key, float(candidate)
        if _same_type(default, candidate):
            return key, list(candidate) if isinstance(candidate, tuple) else candidate
    raise ConfigError(
        f"{key} is not {_kind(default)}",
        where=where,
        expected=f"as its default: {default!r}",
        found=repr(value),
    )


def _kind(default: object) -> str:
    """What a key holds, in words."""
    if isinstance(default, list) and default:
        depth, leaf = next(_leaves(default), (1, None))
        leaves = "texts" if isinstance(leaf, str) else "numbers"
        return f"a list of {'lists of ' * (depth - 1)}{leaves}"
    kinds: dict[type, str] = {
        int: "a whole number",
        bool: "True or False",
        str: "text",
        list: "a list",
    }
    return kinds.get(type(default), "a number")


def _number(default: object) -> bool:
    return default is None or isinstance(default, float)  # null: a limit that is not set


def _same_type(default: object, value: object) -> bool:
    if isinstance(default, list):
        return isinstance(value, (list, tuple)) and _of_kind(default, value)
    return type(value) is type(default) or (default is None and isinstance(value, float))


def _of_kind(default: Sequence[object], value: Sequence[object]) -> bool:
    """Whether a list holds what its default does, numbers or texts, as deep; an empty one says
    nothing of it."""
    known, found = list(_leaves(default)), list(_leaves(value))
    kinds = (str,) if any(isinstance(leaf, str) for _, leaf in known) else (int, float)
    depths = {depth for depth, _ in known}
    return not known or all(type(leaf) in kinds and depth in depths for depth, leaf in found)


def _leaves(value: Sequence[object], depth: int = 1) -> Iterator[tuple[int, object]]:
    """What lists of lists hold, and in how many of them it lies."""
    for item in value:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item, depth + 1)
        else:
            yield depth, item


def _spelled(value: object) -> object:
    """What a text spells in Python's or YAML's way, else the text itself."""
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "null": None}
    try:
        return words[value] if value in words else ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
