"""``ptv-hub cache``: files of weights that were fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.families import Family, panel_of
from ptv_hub.cli.options import Json, Names
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import put, tell, tell_error
from ptv_hub.errors import FetchError, UsageError

if TYPE_CHECKING:
    from ptv_hub.fetching.cache import CachedFile
    from ptv_hub.zoo.entry import Artifact, Entry

CHECK_FAILED = 3


def register(app: typer.Typer) -> None:
    family = Family(
        no_args_is_help=True,
        help="What lies in the cache (PTV_HUB_CACHE, else torch's hub folder).",
    )
    for command in (size, verify, remove, clean):
        family.command()(command)
    family.command("list")(list_)
    app.add_typer(family, name="cache", rich_help_panel=panel_of("cache"))


def list_(json: Json = False) -> None:
    """List the files in the cache, and who vouches for them.

    Example:

        ptv-hub cache list
    """
    from ptv_hub.fetching.cache import cached_files

    owners = _owners()
    rows = [_row(file, owners) for file in cached_files()]
    if json:
        print_json(rows)
        return
    print_table(
        ["model", "zoo", "MB", "sha256", "vouched for by", "file"],
        [
            [
                row["model"] or "-",
                row["zoo"] or "-",
                f"{row['size'] / 1e6:.1f}",
                (row["sha256"] or "-")[:12],
                row["vouched_by"] or "nobody yet",
                row["file"],
            ]
            for row in rows
        ],
        right=["MB"],
    )


def _owners() -> dict[str, tuple[Entry, Artifact]]:
    """Key of a file -> the entry and artifact it belongs to."""
    from ptv_hub.fetching.cache import key
    from ptv_hub.zoo.manifest import all_entries

    return {
        key(artifact): (item, artifact) for item in all_entries() for artifact in item.artifacts
    }


def _row(file: CachedFile, owners: dict[str, tuple[Entry, Artifact]]) -> dict[str, Any]:
    from ptv_hub.fetching.cache import expectation

    item, artifact = owners.get(file.key, (None, None))
    expected = expectation(artifact) if artifact else None
    return {
        "model": item.name if item else None,
        "zoo": artifact.zoo if artifact else None,
        "file": file.key,
        "path": str(file.path),
        "size": file.size,
        "sha256": file.pin.sha256 if file.pin else None,
        "vouched_by": expected.vouched_by if expected else None,
        "since": file.pin.since if file.pin else None,
        "source": file.pin.source if file.pin else None,
    }


def size(json: Json = False) -> None:
    """Show how much the cache holds.

    Example:

        ptv-hub cache size
    """
    from ptv_hub.fetching.cache import cached_files, folder, leftovers, size_of

    files, parts = cached_files(), leftovers()
    facts: dict[str, Any] = {
        "folder": str(folder()),
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "leftover_bytes": size_of(parts),
    }
    if json:
        print_json(facts)
        return
    put(f"{facts['folder']}: {_count(len(files))}, {_megabytes(facts['bytes'])}")
    if parts:
        left = _megabytes(facts["leftover_bytes"])
        put(
            f"and {left} of interrupted downloads: fetching goes on from there,"
            " 'ptv-hub cache clean' removes them"
        )


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def verify(names: Names = None, json: Json = False) -> None:
    """Read files of the cache from start to end and compare them with their recorded hashes.

    Exit code 3 when one has changed.

    Examples:

        ptv-hub cache verify

        ptv-hub cache verify x3d_m --json

        ptv-hub cache verify local-dir:run/model
    """
    from ptv_hub.fetching.cache import damaged
    from ptv_hub.zoo.repository import is_address

    owners = _owners()
    rows = [_verified_address(name) for name in names or () if is_address(name)]
    beside = {name: item for name in names or () if (item := _beside_manifest(name)) is not None}
    rows += [_verified_beside(item) for item in beside.values()]
    others = [name for name in names or () if not is_address(name) and name not in beside]
    for file in _chosen(others) if others or not names else ():
        error = damaged(file)
        model = owners[file.key][0].name if file.key in owners else file.key
        result = "changed" if error else "as recorded" if file.pin else "no record"
        rows.append({"model": model, "file": str(file.path), "result": result})
        if error:
            tell_error(error)
    if json:
        print_json(rows)
    else:
        print_table(
            ["model", "result", "file"], [[r["model"], r["result"], r["file"]] for r in rows]
        )
    if any(row["result"] == "changed" for row in rows):
        raise typer.Exit(CHECK_FAILED)


def _verified_address(name: str) -> dict[str, str]:
    """As a row of ``verify``: the file of an address against the hash that its config states."""
    from ptv_hub.errors import HashMismatch
    from ptv_hub.fetching import hub
    from ptv_hub.zoo.repository import own_file

    own = own_file(hub.entry(name))
    assert own is not None, "an address's entry begins with its own file"
    row = {"model": name, "file": own.url, "result": "as recorded"}
    if not hub.is_here(own):
        raise FetchError(
            "the file of an address is not here", where=own.url, fix=f"'ptv-hub fetch {name}'"
        )
    try:
        return {**row, "file": str(hub.download(own, progress=False))}
    except HashMismatch as error:
        tell_error(error)
        return {**row, "result": "changed"}


def _beside_manifest(name: str) -> Entry | None:
    """The entry of a name if its files lie beside their manifest."""
    from ptv_hub.errors import AmbiguousName, UnknownName
    from ptv_hub.zoo.manifest import demonstrations, resolve

    try:
        item = resolve(name, demonstrations())
    except (AmbiguousName, UnknownName):
        return None
    return item if item.artifacts and item.artifacts[0].beside is not None else None


def _verified_beside(item: Entry) -> dict[str, str]:
    """As a row of ``verify``: the file beside a manifest against the hash in it."""
    from ptv_hub.errors import HashMismatch
    from ptv_hub.fetching.artifacts import fetch

    row = {"model": item.name, "file": item.artifacts[0].url, "result": "as recorded"}
    try:
        return {**row, "file": str(fetch(item, progress=False).path)}
    except HashMismatch as error:
        tell_error(error)
        return {**row, "result": "changed"}


def _chosen(names: list[str] | None) -> list[CachedFile]:
    """Cached files of these models (or keys, as ``cache list`` shows them); all without names.

    Raises:
        UsageError: an address, whose files lie elsewhere.
    """
    from ptv_hub.fetching.cache import cached_files, key
    from ptv_hub.zoo.manifest import find
    from ptv_hub.zoo.repository import FOLDER, is_address

    files = cached_files()
    if not names:
        return files
    keys: set[str] = set()
    for name in names:
        if name in {file.key for file in files}:
            keys.add(name)
        elif is_address(name):
            raise UsageError(
                "the cache holds no files of addresses",
                found=name,
                fix="the folder is your own: remove it"
                if name.startswith(FOLDER)
                else "huggingface_hub keeps them: 'hf cache' lists and removes them",
            )
        else:
            keys.update(key(artifact) for artifact in find(name).artifacts)
    return [file for file in files if file.key in keys]


def remove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models, or files of the list.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All files.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Drop the pins too: trust whatever comes next.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove files from the cache; what is fetched next must be the same, unless --forget.

    Examples:

        ptv-hub cache remove slowfast_r101

        ptv-hub cache remove x3d_m --forget

        ptv-hub cache remove --all
    """
    from ptv_hub.fetching import cache
    from ptv_hub.zoo.manifest import find

    if bool(names) == all_:
        raise UsageError("remove what?", expected="names of models, or --all", found=names or None)
    files = _chosen(names)
    for file in files:
        cache.remove(file)
    if all_:
        cache.remove_drawn()
    if forget:
        keys = {file.key for file in files}
        for name in names or ():
            if name not in keys:
                found = find(name).artifacts
                keys.update(cache.key(artifact) for artifact in found)
        cache.forget(list(cache.pins()) if all_ else sorted(keys))
    if json:
        print_json([str(file.path) for file in files])
        return
    freed = _megabytes(sum(file.size for file in files))
    tell(f"removed {_count(len(files))}, {freed}")


def clean(json: Json = False) -> None:
    """Remove what interrupted downloads left; whole files and pins stay.

    Example:

        ptv-hub cache clean
    """
    from ptv_hub.fetching import cache

    count, freed = cache.clean()
    if json:
        print_json({"files": count, "bytes": freed})
        return
    tell(f"removed {_count(count)}, {_megabytes(freed)}")
