"""Key schemes of one and the same model, as tables.

``official`` is PyTorchVideo's own (``blocks.0.conv.weight``); ``pyslowfast`` is what
PySlowFast's wrapper around these models writes, which puts ``model.`` before every key
(``slowfast/models/ptv_model_builder.py`` upstream); ``native`` is that of PySlowFast's own
networks, ``mmaction2`` that of MMAction2. Each is one table, or one for each family of networks
(``native.py``, ``mmaction2.py``); a key that no rule names is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ptv_hub.errors import LayoutError, Undecided, UnknownName
from ptv_hub.weights import mmaction2, native, official
from ptv_hub.weights.refusals import refuse_known, refused
from ptv_hub.weights.rules import Scheme, rename
from ptv_hub.weights.shapes import num_classes
from ptv_hub.weights.transformations import Tensors, Transformation, apply
from ptv_hub.zoo.manifest import known

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

OFFICIAL = official.OFFICIAL


@dataclass(frozen=True)
class Layout:
    name: str
    schemes: tuple[Scheme, ...]
    """Of each family of networks that it knows."""

    @property
    def wraps(self) -> bool:
        """Whether it only puts a beginning before the official keys."""
        return all(scheme.whole for scheme in self.schemes)

    def writes(self, official: Iterable[str]) -> bool:
        """Whether one of its tables names all these official keys."""
        keys = list(official)
        return any(scheme.writes(keys) for scheme in self.schemes)

    def of(self, keys: list[str]) -> list[str]:
        """Of the keys those that one of its tables names."""
        named = {key for scheme in self.schemes for key in scheme.of(keys)}
        return [key for key in keys if key in named]


LAYOUTS: dict[str, Layout] = {
    item.name: item
    for item in (
        Layout(OFFICIAL, official.SCHEMES),
        Layout(official.PYSLOWFAST, official.WRAPPED),
        Layout(native.NATIVE, native.SCHEMES),
        Layout(mmaction2.MMACTION2, mmaction2.SCHEMES),
    )
}


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
        Inexpressible: keys of a network that is known and not served.
        LayoutError: no key, keys of two layouts in one, or keys that no layout names.
    """
    keys = list(keys)
    if not keys:
        raise LayoutError("a state dict without a tensor has no layout")
    refuse_known(keys)
    for name, item in LAYOUTS.items():
        if _naming(item, keys):
            return name
    raise _unnamed(keys)


def _naming(item: Layout, keys: list[str]) -> list[Scheme]:
    """The tables of a layout that name every key."""
    return [s for s in item.schemes if s.reads(keys)]


def _unnamed(keys: list[str]) -> LayoutError:
    strangers = _strangers(keys)
    if strangers:
        return LayoutError(
            f"{len(strangers)} of {len(keys)} keys belong to no layout",
            keys=strangers,
            expected=", ".join(
                f"{item.schemes[0].rules[0].own}* ({name})" for name, item in LAYOUTS.items()
            ),
            found=_some(strangers),
            fix="these are no weights of a PyTorchVideo model, or an unknown wrapper has them",
        )
    named = {name: item.of(keys) for name, item in LAYOUTS.items()}
    minority = min((found for found in named.values() if found), key=len)
    several = [name for name, found in named.items() if found]
    if len(several) == 1:
        return LayoutError(
            f"keys of two networks of the {several[0]} layout in one state dict",
            keys=minority,
            expected=" or ".join(s.family for s in LAYOUTS[several[0]].schemes),
            found=_some(minority),
        )
    return LayoutError(
        "keys of two layouts in one state dict",
        keys=minority,
        expected="one layout: " + " or ".join(several),
        found="; ".join(
            f"{len(found)} {n} ({_some(found, 2)})" for n, found in named.items() if found
        ),
        fix="convert the parts before they are merged",
    )


def _strangers(keys: list[str]) -> list[str]:
    """The keys that no table names; the tables that name most of the first are asked first."""
    every = [scheme for item in LAYOUTS.values() for scheme in item.schemes]
    plain = [scheme for scheme in every if scheme.mark is None]
    plain.sort(key=lambda scheme: -len(scheme.of(keys[:100])))
    rest = [k for k in keys if all(scheme.to_official(k) is None for scheme in plain)]
    # A table with a mark names nothing where that is missing: it looks at all keys.
    marked = (scheme.of(keys) for scheme in every if scheme.mark is not None and rest)
    named = {key for found in marked for key in found}
    return [key for key in rest if key not in named]


# ------------------------------------------------------------------ which table of a layout


def schemes(tensors: Mapping[str, Tensor], name: str | None = None) -> tuple[Scheme, ...]:
    """The tables that can read these tensors: by keys one layout's, by shapes mostly one.

    Args:
        name: of their layout, as ``detect`` told it.

    Raises:
        Inexpressible, LayoutError: as ``detect``, or shapes that are of none of its families.
    """
    item = LAYOUTS[name or detect(tensors)]
    named = _naming(item, list(tensors))
    if item.wraps or item.name == OFFICIAL:
        return tuple(named)  # keys alone tell all of these
    found = tuple(s for s in named if s.fits(_official_shapes(tensors, s)))
    if not found:
        raise _misshaped(item.name, named)
    return found


def _official_shapes(tensors: Mapping[str, Tensor], scheme: Scheme) -> dict[str, tuple[int, ...]]:
    return {key: tuple(t.shape) for key, t in rename(tensors, scheme).items()}


def _misshaped(name: str, named: list[Scheme]) -> LayoutError:
    return LayoutError(
        f"the shapes are those of no network of the {name} layout",
        expected=" or ".join(s.family for s in named) or f"a network of the {name} layout",
        fix="'ptv-hub identify FILE' says what the file is",
    )


def of_its_classes(found: tuple[Scheme, ...], tensors: Mapping[str, Tensor]) -> tuple[Scheme, ...]:
    """The tables without those with a head for boxes, if as many classes as the tensors have are
    those of whole videos alone. A number that detectors have, or nobody, tells nothing."""
    if len(found) < 2:
        return found
    classes = num_classes(_official_shapes(tensors, found[0]))
    heads = {item.head.takes_boxes for item in known() if item.num_classes == classes}
    return tuple(s for s in found if not s.takes_boxes) if heads == {False} else found


def one_scheme(found: tuple[Scheme, ...]) -> Scheme:
    """The one table of those that can read a file, if it is one and served.

    Raises:
        Undecided: there are several, whose networks differ.
        Inexpressible: it is of a network that is known and not served.
    """
    if len(found) > 1:
        raise Undecided(
            "keys and shapes are those of several networks, and nothing says which",
            expected="a file that says what it is (a config, a name with its hash), or your word",
            found=" or ".join(s.family for s in found),
            fix="say which: --as NAME; 'ptv-hub identify FILE' names those it can be",
        )
    (scheme,) = found
    if scheme.refusal is not None:
        raise refused(f"{scheme.family} of {scheme.layout}", scheme.refusal, scheme.layout)
    return scheme


def scheme_for(tensors: Mapping[str, Tensor], name: str) -> Scheme:
    """The table of a layout by which these official tensors are written.

    Raises:
        LayoutError: the layout has no network like it.
    """
    item = layout(name)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    found = [scheme for scheme in item.schemes if scheme.writes(tensors) and scheme.fits(shapes)]
    if not found:
        raise LayoutError(
            f"the {name} layout has no such network",
            expected=" or ".join(dict.fromkeys(s.family for s in item.schemes)),
            fix="'ptv-hub identify FILE' says what the file is",
        )
    return one_scheme(tuple(found))


# ------------------------------------------------------------------------------ conversion


@dataclass(frozen=True)
class Converted:
    """Tensors in another layout, and what was done to them beyond renaming."""

    tensors: Tensors
    steps: tuple[Transformation, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """What the new tensors no longer hold."""
        return tuple(step.loses for step in self.steps if step.loses)


def officially(tensors: Mapping[str, Tensor], scheme: Scheme) -> Converted:
    """The tensors under official names and in official form, read by one table.

    Raises:
        LayoutError: a key that the table does not name, two keys that would become one, or
            tensors whose shapes a step cannot work on. Nothing is dropped but by a named step.
    """
    result: Tensors = rename(tensors, scheme)
    done = [step for step in scheme.steps if step.needed(result)]
    for step in done:
        result = apply(step.forward, step.name, result)
    return Converted(result, tuple(done))


def written(tensors: Mapping[str, Tensor], scheme: Scheme) -> Converted:
    """Official tensors as one table's layout has them.

    Raises:
        LayoutError: as ``officially``, or a step that has no way back.
    """
    result: Tensors = dict(tensors)
    steps = tuple(step for step in reversed(scheme.steps) if not step.tidies)
    for step in steps:
        if step.back is None:
            raise LayoutError(
                f"there is no way back to the {scheme.layout} layout for {scheme.family}",
                found=f"{step.name}: {step.loses}",
            )
        result = apply(step.back, step.name, result)
    return Converted(rename(result, scheme, back=True), steps)


def to_official(tensors: Mapping[str, Tensor]) -> Tensors:
    """The same weights under official keys, whichever layout they come in.

    Raises:
        Undecided: several tables can read them. LayoutError: as ``schemes``, ``officially``.
    """
    found = of_its_classes(schemes(tensors), tensors)
    return officially(tensors, one_scheme(found)).tensors


def convert(tensors: Mapping[str, T], source: str, target: str) -> dict[str, T]:
    """The same values under the target layout's keys, in the same order, by renaming alone.

    Raises:
        LayoutError: a key that the source or the target does not name, two keys that would
            become one, or a layout of several tables. Nothing is dropped.
        UnknownName: there is no such layout.
    """
    renamed = rename(tensors, _renaming(source, tensors))
    return rename(renamed, _renaming(target, renamed, back=True), back=True)


def _renaming(name: str, keys: Iterable[str], *, back: bool = False) -> Scheme:
    """The layout's table for these keys; its first where none names all, which then says which."""
    item, keys = layout(name), list(keys)
    if not item.wraps and name != OFFICIAL:
        raise LayoutError(
            f"the {name} layout has a table for each family of networks",
            fix="'officially' and 'written' take the table",
        )
    found = (s for s in item.schemes if (s.writes(keys) if back else s.reads(keys)))
    return next(found, item.schemes[0])


def _some(keys: list[str], count: int = 3) -> str:
    more = f", ... ({len(keys) - count} more)" if len(keys) > count else ""
    return ", ".join(keys[:count]) + more
