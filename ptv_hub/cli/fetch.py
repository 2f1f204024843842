"""``ptv-hub fetch`` and ``lock``: files of weights, brought here, and kept the same elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.options import All, Json, Names, Overwrite
from ptv_hub.cli.tables import print_json
from ptv_hub.cli.talk import put, tell, tell_error
from ptv_hub.errors import FetchError, UsageError
from ptv_hub.files import ready_file, refuse_existing

if TYPE_CHECKING:
    from ptv_hub.fetching.artifacts import Fetched
    from ptv_hub.zoo.entry import Artifact, Entry


def register(app: typer.Typer) -> None:
    app.command()(fetch)
    app.command()(lock)


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models or addresses to fetch.")
    ] = None,
    all_: All = False,
    json: Json = False,
) -> None:
    """Bring weights into the cache, verified; print their paths.

    Examples:

        ptv-hub fetch x3d_m slowfast_r50

        PTV_HUB_MIRROR=https://mirror.example/zoo ptv-hub fetch --all

        ptv-hub --lock ptv-hub.lock fetch --all

        ptv-hub fetch hf-hub:org/x3d_m
    """
    from ptv_hub.fetching.artifacts import fetch as fetch_file
    from ptv_hub.fetching.hub import entry
    from ptv_hub.zoo.manifest import entries, find
    from ptv_hub.zoo.repository import is_address

    if bool(names) == all_:
        raise UsageError("fetch what?", expected="names of models, or --all", found=names or None)
    # A misspelt name is told before anything is fetched; an address may be a network's trouble.
    wanted = [n if is_address(n) else find(n) for n in names or ()]
    found, failed = [], False
    for one in entries() if all_ else wanted:
        try:
            item = entry(one) if isinstance(one, str) else one
            file = fetch_file(item, progress=sys.stderr.isatty())
        except FetchError as error:  # the other models may be had
            failed = True
            tell_error(error)
            continue
        found.append({"name": item.name, **file.model_dump(mode="json")})
        talk = f"{item.name}: {_whence(file)}, sha256 {file.sha256[:12]}... ({file.vouched_by})"
        tell(talk)
        if not json:
            put(file.path)
    if json:
        print_json(found)
    if failed:
        raise typer.Exit(1)


def _whence(file: Fetched) -> str:
    """Where a file was found."""
    from ptv_hub.zoo.repository import FOLDER, is_address

    base = file.artifact.base_url
    if base.startswith(FOLDER):
        return f"in the folder of {base}"
    if is_address(base):
        return f"in huggingface_hub's cache, {base}" if file.from_cache else f"fetched from {base}"
    return "in the cache" if file.from_cache else f"fetched from the {file.artifact.zoo} zoo"


def lock(
    names: Names = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to.")] = Path("ptv-hub.lock"),
    overwrite: Overwrite = False,
) -> None:
    """Write the hashes of weights as they are known here, for a team to use the same files.

    Published hashes and those pinned on first use go in; ``--lock FILE`` or PTV_HUB_LOCK
    enforces them.

    Examples:

        ptv-hub lock -o ptv-hub.lock

        ptv-hub lock x3d_m slowfast_r50 hf-hub:org/x3d_m -o ptv-hub.lock --overwrite
    """
    from ptv_hub.fetching.cache import lockable, write_lock
    from ptv_hub.fetching.hub import entry
    from ptv_hub.zoo.manifest import entries

    refuse_existing(out, overwrite)
    ready_file(out)
    wanted = [entry(name) for name in names] if names else list(entries())
    for item in wanted if names else ():
        if not lockable(_files(item)):
            raise FetchError(
                f"no hash of {item.name} is known here",
                fix=f"'ptv-hub fetch {item.name}' pins it; then write the lock file",
            )
    files = lockable(artifact for item in wanted for artifact in _files(item))
    write_lock(out, files)
    models = [item.name for item in wanted if any(a.url in files for a in item.artifacts)]
    tell(f"{out}: {len(files)} files of {len(models)} models")
    missing = [item.name for item in wanted if item.name not in models]
    if missing:
        tell(f"not fetched yet, so not locked: {', '.join(missing)}")


def _files(item: Entry) -> Sequence[Artifact]:
    """The files that ``fetch`` would take: of an address its own, and no other."""
    from ptv_hub.zoo.repository import own_file

    own = own_file(item)
    return item.artifacts if own is None else (own,)
