"""JSON and YAML that others wrote, as plain data, in time and space that their size explains."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

MOST_JSON = 64 << 20
"""Bytes of a manifest or a config, at most."""
MOST_YAML = 1 << 20
"""Characters of a YAML text, at most: its reader takes seconds for more."""
_MOST_VALUES = 200_000
"""Values of a YAML text, each counted as often as an alias repeats it."""


def read_json(path: Path) -> Any:
    """The data of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON (``JSONDecodeError`` says where), not UTF-8, nested too deep, of
            more digits than a number has, or too long.
    """
    text = _text(path, MOST_JSON)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _text(path: Path, most: int) -> str:
    # Not by the size that the system states: a pipe's and a device's is 0.
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"a file of more than {most} bytes, which are read at most")
    return data.decode("utf-8-sig")


def read_yaml(path: Path) -> Any:
    """The data of a YAML file. Raises OSError if it cannot be read, and as ``parse_yaml``."""
    return parse_yaml(_text(path, 4 * MOST_YAML))


def parse_yaml(text: str) -> Any:
    """The data of a YAML text: no objects, no loops, no aliases that multiply.

    Raises:
        yaml.YAMLError: it is no YAML of plain data.
        ValueError: too long, nested too deep, or a value that none of its type is.
    """
    import yaml

    if len(text) > MOST_YAML:
        raise ValueError(f"{len(text)} characters; at most {MOST_YAML} are read")
    try:
        data = yaml.load(text, _loader())  # a SafeLoader
        _count(data, {})
    except RecursionError:
        raise ValueError("nested too deep") from None
    except (ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # What PyYAML's own constructors let through: a date, or a number of base 60, say.
        raise ValueError(f"a value that cannot be read: {error}") from error
    return data


def flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Values within values by their keys, joined with points."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


@cache
def _loader() -> Any:
    """PyYAML's safe loader, whose merge keys do not multiply either."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MOST_VALUES:
                raise ValueError(f"merge keys that repeat more than {_MOST_VALUES} values")

    return Loader


def _count(value: object, known: dict[int, int | None]) -> int:
    """How many values it is, written out without aliases. Raises ValueError where too many."""
    if isinstance(value, dict):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set)):
        children = list(value)
    else:
        return 1
    if id(value) not in known:
        known[id(value)] = None
        known[id(value)] = 1 + sum(_count(child, known) for child in children)
    count = known[id(value)]
    if count is None:
        raise ValueError("an alias that leads back to itself")
    if count > _MOST_VALUES:
        raise ValueError(f"aliases that repeat more than {_MOST_VALUES} values")
    return count
