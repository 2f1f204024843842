"""JSON files -> entries; a name -> the one entry it means. The only room that sees raw dicts.

The zoo's own manifests stand in ``manifests/`` at the root of a checkout and inside the
package in a wheel. Manifests of one's own join them: ``PTV_HUB_MANIFESTS`` names files or
folders (separated as in ``PATH``), and so does ``--manifest`` on the command line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ptv_hub.errors import AmbiguousName, ManifestError, UnknownName
from ptv_hub.zoo.entry import Entry, EntryRow, License, Record, first_faults

MANIFESTS_VARIABLE = "PTV_HUB_MANIFESTS"


class ManifestFile(Record):
    """A manifest as it stands in a file; ``manifests/schema.json`` is its JSON Schema."""

    schema_: str | None = Field(None, alias="$schema")
    schema_version: Literal[1]
    dataset: str
    """Name of the data set of all rows, for lists and for telling equal names apart."""
    title: str
    labels: str | tuple[str, ...] = ()
    """Class names in index order: a text file beside the manifest, one a line, or a list."""
    base_url: str = Field(pattern=r"^(https?|file)://.*[^/]$")
    source: str
    license: License
    entries: tuple[EntryRow, ...]


def manifest_folder() -> Path:
    """The folder of the zoo's own manifests: inside the package (wheel) or beside it (checkout)."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "manifests", package.parent / "manifests"):
        if (folder / "kinetics400.json").is_file():
            return folder
    raise ManifestError(
        "the zoo's manifests are missing",
        where=package,
        expected="a folder 'manifests' in the package or beside it",
        fix="install ptv_hub anew",
    )


def read_manifest(path: str | os.PathLike[str]) -> tuple[Entry, ...]:
    """The entries of one manifest file, in its order.

    Raises:
        ManifestError: not JSON, a field missing, unknown or of a wrong type, a label
            file missing, or a number of labels that is not the number of classes.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError("a manifest cannot be read", where=path, found=error) from error
    except json.JSONDecodeError as error:
        raise ManifestError(
            "a manifest is not JSON", where=f"{path}:{error.lineno}:{error.colno}", found=error.msg
        ) from error
    try:
        manifest = ManifestFile.model_validate(raw)
        labels = _labels(manifest.labels, path)
        return tuple(_entry(row, manifest, labels) for row in manifest.entries)
    except ValidationError as error:
        raise ManifestError(
            "a manifest does not hold together",
            where=path,
            found=first_faults(error, within=raw),
            expected="the fields of manifests/schema.json, and no others",
        ) from error


def _labels(labels: str | tuple[str, ...], manifest: Path) -> tuple[str, ...]:
    if not isinstance(labels, str):
        return labels
    path = manifest.parent / labels
    try:
        return tuple(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            "the labels of a manifest cannot be read", where=f"{manifest}: labels", found=error
        ) from error


def _entry(row: EntryRow, manifest: ManifestFile, labels: tuple[str, ...]) -> Entry:
    fields = row.model_dump()
    for artifact in fields["artifacts"]:
        artifact["base_url"] = manifest.base_url
    return Entry.model_validate(
        {
            **fields,
            "dataset": manifest.dataset,
            "labels": labels,
            "license": manifest.license,
            "source": manifest.source,
        }
    )


def entries() -> tuple[Entry, ...]:
    """All entries: the zoo's, then those of ``PTV_HUB_MANIFESTS``.

    Raises:
        ManifestError: as ``read_manifest``, or two entries of one name.
    """
    stamped = tuple((path, path.stat().st_mtime_ns) for path in _files())
    return _read_all(stamped)


def _files() -> list[Path]:
    folder = manifest_folder()
    files = [folder / f"{name}.json" for name in ("kinetics400", "ssv2", "charades")]
    for item in os.environ.get(MANIFESTS_VARIABLE, "").split(os.pathsep):
        if not item:
            continue
        path = Path(item).expanduser()
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
    raise UnknownName(
        "model",
        name,
        [item.name for item in among],
        spellings={s: item.name for item in among for s in (_fold(item.name), *_spellings(item))},
        see="'ptv-hub list' shows all there are",
    )


def _fold(name: str) -> str:
    folded = name.strip().casefold().replace("\\", "/").replace("-", "_")
    return folded.removeprefix("configs/").removesuffix(".yaml").removesuffix(".pyth")


def _short_config(config: str) -> str:
    return config.replace("/pytorchvideo/", "/")


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
    pattern: str = "*",
    *,
    arch: str | None = None,
    dataset: str | None = None,
    depth: str | None = None,
    max_gflops: float | None = None,
    max_params_millions: float | None = None,
) -> list[str]:
    """Names of the entries that match, in the manifest's order.

    ``pattern`` is a glob over hub names and zoo names (``"x3d_*"``); ``arch``, ``dataset``
    and ``depth`` are compared without case (``arch="r2plus1d"`` is ``R(2+1)D``). The limits
    are on the published figures; entries without them do not match.
    """
    return [
        item.name
        for item in filter_entries(
            entries(),
            pattern,
            arch=arch,
            dataset=dataset,
            depth=depth,
            max_gflops=max_gflops,
            max_params_millions=max_params_millions,
        )
    ]


def filter_entries(
    among: Iterable[Entry],
    pattern: str = "*",
    *,
    arch: str | None = None,
    dataset: str | None = None,
    depth: str | None = None,
    max_gflops: float | None = None,
    max_params_millions: float | None = None,
) -> list[Entry]:
    """The entries among the given ones that match, as in ``list_models``."""

    def matches(item: Entry) -> bool:
        names = (item.name, item.zoo_name, _short_config(item.config))
        return (
            any(fnmatchcase(_fold(s), _fold(pattern)) for s in names)
            and _one_of(arch, item.arch, item.builder.name)
            and _one_of(dataset, item.dataset, item.config.split("/")[0])
            and _one_of(depth, item.depth)
            and _under(max_gflops, item, "gflops")
            and _under(max_params_millions, item, "params_millions")
        )

    return [item for item in among if matches(item)]


def _one_of(wanted: str | None, *values: str) -> bool:
    return wanted is None or wanted.casefold() in {value.casefold() for value in values}


def _under(limit: float | None, item: Entry, figure: str) -> bool:
    if limit is None:
        return True
    return item.published is not None and getattr(item.published, figure) <= limit
