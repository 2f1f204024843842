"""One scheme of keys of one family of networks, as a table: rules that rename, and named steps.

A rule says how keys begin in the scheme and in the official layout; ``*`` stands for a number,
which is kept. What a rule does not say is the last word of a key (``weight``, ``running_mean``).
A wrapper's rule keeps all that follows it.
A key that no rule names is an error, and nothing is dropped but by a step that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from ptv_hub.errors import LayoutError
from ptv_hub.weights.transformations import Transformation

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """Keys that begin with ``own`` in the scheme begin with ``official`` in the official layout.

    Without a point at their ends they are whole keys.
    """

    own: str
    official: str


Shapes = Mapping[str, tuple[int, ...]]


def _any(_: Shapes) -> bool:
    return True


@dataclass(frozen=True)
class Scheme:
    """How one family of networks is named in one layout."""

    layout: str
    family: str
    """What it is, in words: ``a ResNet with a pool in time``."""
    rules: tuple[Rule, ...]
    steps: tuple[Transformation, ...] = ()
    """What is done to the tensors after renaming, on the way to the official layout."""
    fits: Callable[[Shapes], bool] = _any
    """Whether shapes, under official names, can be of this family: keys alone do not tell all."""
    whole: bool = False
    """Whether a rule keeps all that follows it (a wrapper's prefix), not the last word alone."""
    mark: str | None = None
    """What a key of this family must begin with under official names: another family has all
    its other keys. ``None`` where a rule's keys are enough."""
    refusal: str | None = None
    """Why this family is known and not served; ``None`` for those that are."""

    @property
    def takes_boxes(self) -> bool:
        """Whether it is of networks with a head for boxes."""
        return self.from_official("detection_head.proj.weight") is not None

    def reads(self, keys: Iterable[str]) -> bool:
        """Whether it names every key, and the family's mark is among them."""
        # Ends with the first key that it does not name: most tables are not a file's.
        official = []
        for key in keys:
            found = self.to_official(key)
            if found is None:
                return False
            official.append(found)
        return not official or self._marked(official)

    def writes(self, official: Iterable[str]) -> bool:
        """As ``reads``, of official keys."""
        keys = list(official)
        return all(self.from_official(key) is not None for key in keys) and self._marked(keys)

    def of(self, keys: Iterable[str]) -> list[str]:
        """Of the keys those that it names; none where its mark is not among them."""
        named = {key: self.to_official(key) for key in keys}
        found = {key: official for key, official in named.items() if official is not None}
        return list(found) if self._marked(found.values()) else []

    def _marked(self, official: Iterable[str]) -> bool:
        return self.mark is None or any(key.startswith(self.mark) for key in official)

    def to_official(self, key: str) -> str | None:
        """The official key, or ``None`` where no rule names this one."""
        return _prefixed(key, self._forward) if self.whole else _renamed(key, self._forward)

    def from_official(self, key: str) -> str | None:
        """The scheme's key of an official one, or ``None`` where no rule names it."""
        return _prefixed(key, self._back) if self.whole else _renamed(key, self._back)

    @cached_property
    def _forward(self) -> dict[str, str]:
        return {rule.own: rule.official for rule in self.rules}

    @cached_property
    def _back(self) -> dict[str, str]:
        return {rule.official: rule.own for rule in self.rules}


def _prefixed(key: str, table: Mapping[str, str]) -> str | None:
    for source, target in table.items():
        if key.startswith(source):
            return target + key[len(source) :]
    return None


_NUMBER = re.compile(r"\d+")


def _renamed(key: str, table: Mapping[str, str]) -> str | None:
    """The key under the table's other name: its numbers are tried as stars, last ones first."""
    if key in table and "*" not in key:
        return table[key]
    beginning, _, leaf = key.rpartition(".")
    numbers = list(_NUMBER.finditer(beginning + "."))
    # A rule has at most one star: the number of the block within its stage.
    for found in (None, *numbers):
        pattern = f"{beginning}."
        if found is not None:
            pattern = f"{pattern[: found.start()]}*{pattern[found.end() :]}"
        target = table.get(pattern)
        if target is not None:
            return target.replace("*", found[0] if found is not None else "*") + leaf
    return None


def rename(tensors: Mapping[str, T], table: Scheme, *, back: bool = False) -> dict[str, T]:
    """The same values under official names, or ``back`` from these, in the same order.

    Raises:
        LayoutError: a key that no rule names, or two keys that would become one.
    """
    result: dict[str, T] = {}
    origin: dict[str, str] = {}
    for key, value in tensors.items():
        new = table.from_official(key) if back else table.to_official(key)
        if new is None:
            here, there = ("official", table.layout) if back else (table.layout, "official")
            raise LayoutError(
                f"no rule from {here} to {there} names a key",
                keys=(key,),
                expected=f"keys of {table.family}",
                found=key,
            )
        if new in result:
            raise LayoutError(
                "two keys would become one",
                keys=(origin[new], key),
                found=f"{origin[new]} and {key} -> {new}",
            )
        result[new], origin[new] = value, key
    return result
