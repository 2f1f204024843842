"""``ptv-hub fetch``, ``cache`` and ``lock``: files of weights, here and on their way here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.options import All, Json
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.errors import FetchError, UsageError

if TYPE_CHECKING:
    from ptv_hub.fetching.cache import CachedFile
    from ptv_hub.zoo.entry import Artifact, Entry

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Models; none for all there are.")
]

CHECK_FAILED = 3


def register(app: typer.Typer) -> None:
    app.command()(fetch)
    app.command()(lock)
    family = typer.Typer(
        no_args_is_help=True,
        help="What lies in the cache (PTV_HUB_CACHE, else torch's hub folder).",
    )
    for command in (size, verify, remove, clean):
        family.command()(command)
    family.command("list")(list_)
    app.add_typer(family, name="cache")


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models to fetch.")
    ] = None,
    all_: All = False,
    json: Json = False,
) -> None:
    """Bring weights into the cache, verified; print their paths.

    Examples:

        ptv-hub fetch x3d_m slowfast_r50

        PTV_HUB_MIRROR=https://mirror.example/zoo ptv-hub fetch --all

        ptv-hub --lock ptv-hub.lock fetch --all
    """
    from ptv_hub.fetching.artifacts import fetch as fetch_file
    from ptv_hub.fetching.hub import entry
    from ptv_hub.zoo.manifest import entries

    if bool(names) == all_:
        raise UsageError("fetch what?", expected="names of models, or --all", found=names or None)
    wanted = entries() if all_ else [entry(name) for name in names or ()]
    found, failed = [], False
    for item in wanted:
        try:
            file = fetch_file(item, progress=sys.stderr.isatty())
        except FetchError as error:  # the other models may be had
            failed = True
            typer.echo(f"ptv-hub: {error}", err=True)
            continue
        found.append({"name": item.name, **file.model_dump(mode="json")})
        where = "in the cache" if file.from_cache else f"fetched from the {file.artifact.zoo} zoo"
        talk = f"{item.name}: {where}, sha256 {file.sha256[:12]}... ({file.vouched_by})"
        typer.echo(talk, err=True)
        if not json:
            typer.echo(file.path)
    if json:
        print_json(found)
    if failed:
        raise typer.Exit(1)


def lock(
    names: Names = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to.")] = Path("ptv-hub.lock"),
) -> None:
    """Write the hashes of weights as they are known here, for a team to use the same files.

    Published hashes and those pinned on first use go in; ``--lock FILE`` or PTV_HUB_LOCK
    enforces them.

    Examples:

        ptv-hub lock -o ptv-hub.lock

        ptv-hub lock x3d_m slowfast_r50 -o ptv-hub.lock
    """
    from ptv_hub.fetching.cache import lockable, write_lock
    from ptv_hub.fetching.hub import entry
    from ptv_hub.zoo.manifest import entries

    wanted = [entry(name) for name in names] if names else list(entries())
    for item in wanted if names else ():
        if not lockable(item.artifacts):
            raise FetchError(
                f"no hash of {item.name} is known here",
                fix=f"'ptv-hub fetch {item.name}' pins it; then write the lock file",
            )
    files = lockable(artifact for item in wanted for artifact in item.artifacts)
    write_lock(out, files)
    models = [item.name for item in wanted if any(a.url in files for a in item.artifacts)]
    typer.echo(f"{out}: {len(files)} files of {len(models)} models", err=True)
    missing = [item.name for item in wanted if item.name not in models]
    if missing:
        typer.echo(f"not fetched yet, so not locked: {', '.join(missing)}", err=True)


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
    from ptv_hub.zoo.manifest import entries

    return {key(artifact): (item, artifact) for item in entries() for artifact in item.artifacts}


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
    from ptv_hub.fetching.cache import cached_files, folder, leftovers

    files, parts = cached_files(), leftovers()
    facts: dict[str, Any] = {
        "folder": str(folder()),
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "leftover_bytes": sum(path.stat().st_size for path in parts),
    }
    if json:
        print_json(facts)
        return
    typer.echo(f"{facts['folder']}: {_count(len(files))}, {_megabytes(facts['bytes'])}")
    if parts:
        left = _megabytes(facts["leftover_bytes"])
        typer.echo(
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
    """
    from ptv_hub.fetching.cache import damaged

    owners = _owners()
    rows = []
    for file in _chosen(names):
        error = damaged(file)
        model = owners[file.key][0].name if file.key in owners else file.key
        result = "changed" if error else "as recorded" if file.pin else "no record"
        rows.append({"model": model, "file": str(file.path), "result": result})
        if error:
            typer.echo(f"ptv-hub: {error}", err=True)
    if json:
        print_json(rows)
    else:
        print_table(
            ["model", "result", "file"], [[r["model"], r["result"], r["file"]] for r in rows]
        )
    if any(row["result"] == "changed" for row in rows):
        raise typer.Exit(CHECK_FAILED)


def _chosen(names: list[str] | None) -> list[CachedFile]:
    """Cached files of these models (or keys, as ``cache list`` shows them); all without names."""
    from ptv_hub.fetching.cache import cached_files, key
    from ptv_hub.fetching.hub import entry

    files = cached_files()
    if not names:
        return files
    keys: set[str] = set()
    for name in names:
        if name in {file.key for file in files}:
            keys.add(name)
        else:
            keys.update(key(artifact) for artifact in entry(name).artifacts)
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
    from ptv_hub.fetching.hub import entry

    if bool(names) == all_:
        raise UsageError("remove what?", expected="names of models, or --all", found=names or None)
    files = _chosen(names)
    for file in files:
        cache.remove(file)
    if forget:
        keys = {file.key for file in files}
        for name in names or ():
            if name not in keys:
                keys.update(cache.key(artifact) for artifact in entry(name).artifacts)
        cache.forget(list(cache.pins()) if all_ else sorted(keys))
    if json:
        print_json([str(file.path) for file in files])
        return
    freed = _megabytes(sum(file.size for file in files))
    typer.echo(f"removed {_count(len(files))}, {freed}", err=True)


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
    typer.echo(f"removed {_count(count)}, {_megabytes(freed)}", err=True)
