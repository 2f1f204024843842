"""One JSON file -> its rows as entries. The only room that sees raw dicts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ptv_hub.errors import ManifestError
from ptv_hub.zoo.documents import read_json
from ptv_hub.zoo.entry import BESIDE, Entry, EntryRow, LeftOut, License, ValidationSet
from ptv_hub.zoo.names import Base, Below, Line
from ptv_hub.zoo.records import Record, first_faults


class ManifestFile(Record):
    """A manifest as it stands in a file; ``manifests/schema.json`` is its JSON Schema."""

    schema_: str | None = Field(None, alias="$schema")
    schema_version: Literal[1]
    dataset: Line
    """Name of the data set of all rows, for lists and for telling equal names apart."""
    title: str
    labels: Below | tuple[Line, ...] = ()
    """Class names in index order: a text file beside the manifest, one a line, or a list."""
    base_url: Base
    """The address that the paths of files go on from; ``.`` where they lie beside the manifest."""
    demonstration: bool = False
    """Whether the rows are here to show that things work: known by name, and in no list."""
    source: Line
    license: License
    zoo: Line | None = None
    """Name of the collection, for ``list --zoo``; null for one that a plain list shows."""
    validation: ValidationSet | None = None
    entries: tuple[EntryRow, ...]
    left_out: tuple[LeftOut, ...] = ()
    """The rows of the table that are not served, each with its reason."""


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
    """The entries of the manifest file at ``path``, in its order; no other manifest is read.

    Raises:
        ManifestError: not JSON, a field missing, unknown or of a wrong type, a label
            file missing, or a number of labels that is not the number of classes.
    """
    manifest = read_file(Path(path))
    return entries_of(manifest, Path(path))


def read_file(path: Path) -> ManifestFile:
    """A manifest as it stands in its file. Raises ManifestError, as ``read_manifest``."""
    try:
        raw = read_json(path)
    except json.JSONDecodeError as error:
        raise ManifestError(
            "a manifest is not JSON", where=f"{path}:{error.lineno}:{error.colno}", found=error.msg
        ) from error
    except (OSError, ValueError) as error:
        raise ManifestError("a manifest cannot be read", where=path, found=error) from error
    try:
        return ManifestFile.model_validate(raw)
    except ValidationError as error:
        raise _misfit(path, error, raw) from error


def entries_of(manifest: ManifestFile, path: Path) -> tuple[Entry, ...]:
    """The entries of a manifest that stands, or is to stand, at ``path``. Raises ManifestError."""
    labels = _labels(manifest.labels, path)
    base = f"{BESIDE}{path.parent.resolve()}" if manifest.base_url == "." else manifest.base_url
    found = []
    try:
        for row in manifest.entries:
            own = labels if row.labels is None else _labels(row.labels, path)
            found.append(_entry(row, manifest, own, base))
    except ValidationError as error:
        raise _misfit(path, error, {"name": row.name}) from error
    return tuple(found)


def _misfit(path: Path, error: ValidationError, raw: object) -> ManifestError:
    return ManifestError(
        "a manifest does not hold together",
        where=path,
        found=first_faults(error, within=raw),
        expected="the fields of manifests/schema.json, and no others",
    )


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


def _entry(row: EntryRow, manifest: ManifestFile, labels: tuple[str, ...], base: str) -> Entry:
    fields = row.model_dump()
    for artifact in fields["artifacts"]:
        artifact["base_url"] = base
    return Entry.model_validate(
        {
            **fields,
            "dataset": row.dataset or manifest.dataset,
            "labels": labels,
            "license": row.license or manifest.license,
            "source": row.source or manifest.source,
            "zoo": row.zoo or manifest.zoo,
            "demonstration": row.demonstration or manifest.demonstration,
            "validation": row.validation or manifest.validation,
        }
    )
