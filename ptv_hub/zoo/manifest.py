"""JSON files -> entries; a name -> the one entry it means.

The zoo's own manifests stand in ``manifests/`` at the root of a checkout and inside the
package in a wheel. Manifests of one's own join them: ``PTV_HUB_MANIFESTS`` names files or
folders (separated as in ``PATH``), and so does ``--manifest`` on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from ptv_hub.errors import AmbiguousName, ManifestError, NotServed, UnknownName
from ptv_hub.files import expanded
from ptv_hub.zoo.entry import Entry, LeftOut
from ptv_hub.zoo.manifest_file import manifest_folder, read_file, read_manifest

MANIFESTS_VARIABLE = "PTV_HUB_MANIFESTS"


CORE = ("kinetics400", "ssv2", "charades")
_OTHERS = ("pytorchvideo", "pyslowfast_native", "mmaction2", "torchvision")
"""The zoo's own manifests: those of a plain list, and those of other collections."""


def entries() -> tuple[Entry, ...]:
    """The entries that a plain list shows: the zoo's core, then those of ``PTV_HUB_MANIFESTS``.

    Raises:
        ManifestError: as ``read_manifest``, or two entries of one name.
    """
    return tuple(item for item in _read_all(_stamped(_files())) if not item.demonstration)


def demonstrations() -> tuple[Entry, ...]:
    """The entries that show that things work: known by name, and in no list. Raises as above."""
    files = [*_files(), manifest_folder() / "demo.json"]
    return tuple(item for item in _read_all(_stamped(files)) if item.demonstration)


def known() -> tuple[Entry, ...]:
    """Every entry that has a name: ``all_entries``, and ``demonstrations``."""
    return (*all_entries(), *demonstrations())


def all_entries() -> tuple[Entry, ...]:
    """As ``entries``, then those of the other collections, but for names that are taken."""
    listed = entries()
    taken = {item.name.casefold() for item in listed}
    others = _read_all(_stamped(_other_files()))
    return (*listed, *(item for item in others if item.name.casefold() not in taken))


def left_out() -> tuple[LeftOut, ...]:
    """The rows of all tables that are not served, each with its reason."""
    return _read_left_out(_stamped([*_files(), *_other_files()]))


def left_out_of(zoo: str) -> tuple[LeftOut, ...]:
    """Those of one collection's tables, or of ``all``."""
    files = _other_files() if zoo == "all" else [f for f in _other_files() if f.stem == zoo]
    return _read_left_out(_stamped(files))


def zoos() -> tuple[str, ...]:
    """Names of the collections: ``core``, and those that a plain list does not show."""
    return tuple(dict.fromkeys(["core", *_OTHERS, *(i.zoo for i in all_entries() if i.zoo)]))


def _stamped(files: Iterable[Path]) -> tuple[tuple[Path, int], ...]:
    return tuple((path, path.stat().st_mtime_ns) for path in files)


def _other_files() -> list[Path]:
    folder = manifest_folder()
    return [folder / f"{name}.json" for name in _OTHERS]


@lru_cache(maxsize=8)
def _read_left_out(stamped: tuple[tuple[Path, int], ...]) -> tuple[LeftOut, ...]:
    return tuple(row for path, _ in stamped for row in read_file(path).left_out)


def _files() -> list[Path]:
    folder = manifest_folder()
    files = [folder / f"{name}.json" for name in CORE]
    for item in os.environ.get(MANIFESTS_VARIABLE, "").split(os.pathsep):
        if not item:
            continue
        path = expanded(item)
        found = [p for p in sorted(path.glob("*.json")) if p.name != "schema.json"]
        if path.is_file():
            found = [path]
        if not found:
            raise ManifestError(
                "no manifest there",
                where=f"{path} (from {MANIFESTS_VARIABLE} or --manifest)",
                expected="a JSON file, or a folder with JSON files",
                found="an empty folder" if path.is_dir() else "nothing",
            )
        files += [p for p in found if p.resolve() not in {f.resolve() for f in files}]
    return files


@lru_cache(maxsize=8)
def _read_all(stamped: tuple[tuple[Path, int], ...]) -> tuple[Entry, ...]:
    homes: dict[str, Path] = {}
    result: list[Entry] = []
    for path, _ in stamped:
        for item in read_manifest(path):
            if item.name.casefold() in homes:
                raise ManifestError(
                    f"two entries are named {item.name!r}",
                    where=f"{homes[item.name.casefold()]} and {path}",
                    fix="give one of them another name",
                )
            homes[item.name.casefold()] = path
            result.append(item)
    return tuple(result)


def find(name: str) -> Entry:
    """The entry that ``name`` means: of those that a plain list shows, else of all.

    Raises:
        AmbiguousName: several entries have this zoo name (``SLOW_8x8_R50``).
        NotServed: it is a row of a table that is left out; the error says why.
        UnknownName: none has; the error names the nearest.
    """
    try:
        return resolve(name, entries())
    except UnknownName:
        pass
    wanted = _fold(name)
    row = next((row for row in left_out() if wanted in _left_out_spellings(row)), None)
    try:
        return resolve(name, known())
    except UnknownName:
        if row is None:
            raise
        raise NotServed(row.name, row.reason) from None


def _left_out_spellings(row: LeftOut) -> set[str]:
    file = (row.url or "").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return {_fold(row.name), _fold(row.name.rsplit("/", 1)[-1]), _fold(file)}


def resolve(name: str, among: Sequence[Entry]) -> Entry:
    """The one of these entries that ``name`` means: hub name, zoo name or config path, in any case.

    ``x3d_m``, ``X3D_M``, ``Kinetics/X3D_M`` and ``configs/Kinetics/pytorchvideo/X3D_M.yaml``
    are the same entry. Where an address will do as well, ``fetching.hub.entry`` is asked.

    Raises:
        AmbiguousName: several entries have this zoo name (``SLOW_8x8_R50``).
        UnknownName: none has; the error names the nearest.
    """
    wanted = _fold(name)
    by_name = [item for item in among if _fold(item.name) == wanted]
    found = by_name or [item for item in among if wanted in _spellings(item)]
    if len(found) == 1:
        return found[0]
    if found:
        spellings = [s for item in found for s in (item.name, _short_config(item.config))]
        raise AmbiguousName(name, spellings, count=len(found))
    named = {_fold(item.name): item.name for item in among}
    spelled = {s: item.name for item in reversed(among) for s in _spellings(item)}
    raise UnknownName(
        "model",
        name,
        [item.name for item in among],
        spellings=named | {s: whose for s, whose in spelled.items() if s not in named},
        see="'ptv-hub list' shows all there are",
    )


def _fold(name: str) -> str:
    folded = name.strip().casefold().replace("\\", "/").replace("-", "_")
    folded = folded.removeprefix("configs/")
    for suffix in (".yaml", ".pyth", ".pkl", ".pth", ".py"):
        folded = folded.removesuffix(suffix)
    return folded


def _short_config(config: str) -> str:
    return config.replace("/pytorchvideo/", "/").replace("/c2/", "/")


def _spellings(item: Entry) -> set[str]:
    return {
        _fold(s)
        for s in (
            item.zoo_name,
            item.config,
            _short_config(item.config),
            f"{item.dataset}/{item.zoo_name}",
            f"{item.dataset}/{item.name}",
        )
    }


def list_models(
    pattern: str | Sequence[str] = "*",
    *,
    exclude: str | Sequence[str] = (),
    arch: str | None = None,
    dataset: str | None = None,
    depth: str | None = None,
    max_gflops: float | None = None,
    max_params_millions: float | None = None,
    pretrained: bool = False,
    zoo: str = "core",
) -> list[str]:
    """Names of the entries that match, in the manifest's order.

    ``pattern`` is a glob over hub names, zoo names and families (``"x3d_*"``; families are the
    architectures: ``"SlowFast"``), or a part of one (``"r50"``); several are any of them, and
    ``exclude`` takes out what it matches. ``k400`` and the like are understood as data sets.
    ``arch``, ``dataset`` and ``depth`` are compared without case (``arch="r2plus1d"`` is
    ``R(2+1)D``). ``max_gflops`` (1e9, of one view) and
    ``max_params_millions`` are limits on the published figures; entries without them do not match.
    ``pretrained`` leaves out those of which no weights can be fetched (you bring the file).
    ``zoo`` is a collection: ``core`` (with manifests of one's own), ``pyslowfast_native``,
    ``mmaction2``, or ``all``.

    Raises:
        UnknownName: there is no such collection, architecture, data set or depth.
    """
    among = [item for item in of_zoo(zoo) if item.artifacts or not pretrained]
    return [
        item.name
        for item in filter_entries(
            among,
            pattern,
            exclude=exclude,
            arch=arch,
            dataset=dataset,
            depth=depth,
            max_gflops=max_gflops,
            max_params_millions=max_params_millions,
        )
    ]


def of_zoo(name: str) -> tuple[Entry, ...]:
    """The entries of a collection, or of ``all``. Raises UnknownName."""
    if name == "core":
        return entries()
    if name == "all":
        return all_entries()
    if name not in zoos():
        raise UnknownName("zoo", name, (*zoos(), "all"))
    return tuple(item for item in all_entries() if item.zoo == name)


def filter_entries(
    among: Iterable[Entry],
    pattern: str | Sequence[str] = "*",
    *,
    exclude: str | Sequence[str] = (),
    arch: str | None = None,
    dataset: str | None = None,
    depth: str | None = None,
    max_gflops: float | None = None,
    max_params_millions: float | None = None,
) -> list[Entry]:
    """The entries among the given ones that match, as in ``list_models``.

    Raises:
        UnknownName: no model at all is of this architecture, data set or depth.
    """

    def within(item: Entry) -> bool:
        return (
            _one_of(arch, item.arch, item.builder.name)
            and _one_of(_data_set(dataset), item.dataset, item.config.split("/")[0])
            and _one_of(depth, item.depth)
            and _under(max_gflops, item, "gflops")
            and _under(max_params_millions, item, "params_millions")
        )

    among = tuple(among)
    found = [item for item in among if within(item)]
    if not found:
        _require_known((*among, *known()), arch, dataset, depth)
    wanted = {item.name for item in _named_like(found, pattern)}
    unwanted = {item.name for item in _named_like(found, exclude)}
    return [item for item in found if item.name in wanted - unwanted]


def _require_known(
    every: Sequence[Entry], arch: str | None, dataset: str | None, depth: str | None
) -> None:
    for kind, wanted, values in (
        ("architecture", arch, [(item.arch, item.builder.name) for item in every]),
        ("data set", _data_set(dataset), [(e.dataset, e.config.split("/")[0]) for e in every]),
        ("depth", depth, [(item.depth,) for item in every]),
    ):
        if not any(_one_of(wanted, *own) for own in values):
            raise UnknownName(kind, wanted, dict.fromkeys(own[0] for own in values))


def _named_like(among: Sequence[Entry], patterns: str | Sequence[str]) -> list[Entry]:
    """The entries that some pattern names: as a whole, or else as a part of a name."""
    found: list[Entry] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        wanted = _fold(pattern)
        whole = [item for item in among if _is_like(item, wanted)]
        if not whole and not any(sign in wanted for sign in "*?["):
            whole = [item for item in among if _is_like(item, f"*{wanted}*")]
        found += whole
    return found


def _is_like(item: Entry, folded: str) -> bool:
    names = (item.name, item.zoo_name, _short_config(item.config), item.arch)
    return any(fnmatchcase(_fold(name), folded) for name in names)


_DATA_SETS = {
    **dict.fromkeys(("k400", "kinetics", "kinetics_400"), "kinetics400"),
    **dict.fromkeys(("sthv2", "something_something_v2", "something_something"), "ssv2"),
}
"""What else the zoo's data sets are called."""


def _data_set(name: str | None) -> str | None:
    return None if name is None else _DATA_SETS.get(_fold(name), name)


def _one_of(wanted: str | None, *values: str) -> bool:
    return wanted is None or wanted.casefold() in {value.casefold() for value in values}


def _under(limit: float | None, item: Entry, figure: str) -> bool:
    if limit is None:
        return True
    value = getattr(item.published, figure, None)
    return value is not None and value <= limit
