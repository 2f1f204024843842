"""Key schemes of one and the same model, as tables of rules.

``official`` is PyTorchVideo's own (``blocks.0.conv.weight``); ``pyslowfast`` is what
PySlowFast writes, whose wrapper around the model puts ``model.`` before every key
(``slowfast/models/ptv_model_builder.py`` upstream). A rule maps a key's beginning in the
layout to its beginning in the official one; a key that no rule names is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ptv_hub.errors import LayoutError, UnknownName

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """Keys that begin with ``own`` in the layout begin with ``official`` in the official one."""

    own: str
    official: str


@dataclass(frozen=True)
class Layout:
    name: str
    rules: tuple[Rule, ...]

    def to_official(self, key: str) -> str | None:
        """The official key, or ``None`` where no rule names this one."""
        return _renamed(key, ((rule.own, rule.official) for rule in self.rules))

    def from_official(self, key: str) -> str | None:
        """This layout's key of an official one, or ``None`` where no rule names it."""
        return _renamed(key, ((rule.official, rule.own) for rule in self.rules))


OFFICIAL = "official"

LAYOUTS: dict[str, Layout] = {
    item.name: item
    for item in (
        Layout(OFFICIAL, (Rule("blocks.", "blocks."),)),
        Layout("pyslowfast", (Rule("model.blocks.", "blocks."),)),
    )
}


def _renamed(key: str, rules: Iterable[tuple[str, str]]) -> str | None:
    for source, target in rules:
        if key.startswith(source):
            return target + key[len(source) :]
    return None


def layout(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UnknownName: there is none.
    """
    if name not in LAYOUTS:
        raise UnknownName("layout", name, LAYOUTS)
    return LAYOUTS[name]


def detect(keys: Iterable[str]) -> str:
    """Name of the one layout that names every key.

    Raises:
        LayoutError: no key, keys of two layouts in one, or keys that no layout names.
    """
    keys = list(keys)
    if not keys:
        raise LayoutError("a state dict without a tensor has no layout")
    named = {n: [k for k in keys if item.to_official(k)] for n, item in LAYOUTS.items()}
    for name, found in named.items():
        if len(found) == len(keys):
            return name
    known = {k for found in named.values() for k in found}
    strangers = [k for k in keys if k not in known]
    if strangers:
        raise LayoutError(
            f"{len(strangers)} of {len(keys)} keys belong to no layout",
            keys=strangers,
            expected=", ".join(f"{r.own}* ({n})" for n, i in LAYOUTS.items() for r in i.rules),
            found=_some(strangers),
            fix="these are no weights of a PyTorchVideo model, or an unknown wrapper has them",
        )
    minority = min((found for found in named.values() if found), key=len)
    raise LayoutError(
        "keys of two layouts in one state dict",
        keys=minority,
        expected="one layout: " + " or ".join(n for n, found in named.items() if found),
        found="; ".join(
            f"{len(found)} {n} ({_some(found, 2)})" for n, found in named.items() if found
        ),
        fix="convert the parts before they are merged",
    )


def to_official(tensors: Mapping[str, T]) -> dict[str, T]:
    """The same values under official keys, whichever layout they come in.

    Raises:
        LayoutError: as ``detect`` and ``convert``.
    """
    return convert(tensors, detect(tensors), OFFICIAL)


def convert(tensors: Mapping[str, T], source: str, target: str) -> dict[str, T]:
    """The same values under the target layout's keys, in the same order.

    Raises:
        LayoutError: a key that the source or the target does not name, or two keys that
            would become one. Nothing is dropped.
        UnknownName: there is no such layout.
    """
    here, there = layout(source), layout(target)
    result: dict[str, T] = {}
    origin: dict[str, str] = {}
    for key, value in tensors.items():
        official = here.to_official(key)
        new = None if official is None else there.from_official(official)
        if new is None:
            raise LayoutError(
                f"no rule from {source} to {target} names a key", keys=(key,), found=key
            )
        if new in result:
            raise LayoutError(
                "two keys would become one",
                keys=(origin[new], key),
                found=f"{origin[new]} and {key} -> {new}",
            )
        result[new], origin[new] = value, key
    return result


def _some(keys: list[str], count: int = 3) -> str:
    more = f", ... ({len(keys) - count} more)" if len(keys) > count else ""
    return ", ".join(keys[:count]) + more
