"""``ptv-hub attest``: see every file of the zoo, say so, and merge what others saw."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.options import ADVANCED, All, Videos
from ptv_hub.cli.tables import print_table
from ptv_hub.cli.talk import put, tell
from ptv_hub.errors import UsageError
from ptv_hub.files import ready_file

if TYPE_CHECKING:
    from ptv_hub.attestation.bringing import Wanted
    from ptv_hub.attestation.records import Attestation, SeenModel
    from ptv_hub.zoo.entry import Entry


def register(app: typer.Typer) -> None:
    app.command()(attest)


def attest(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models to look at.")
    ] = None,
    all_: All = False,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Where to; what stands there is gone on with.")
    ] = Path("attestation.json"),
    by: Annotated[
        str | None, typer.Option(help="Who looks, and how to reach them: name and address.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Fetch without being asked.")] = False,
    delete_after: Annotated[
        bool,
        typer.Option("--delete-after", help="Remove each model's files once they were looked at."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Measure the accuracy, too: a folder for each data set, or one's own."),
    ] = None,
    videos: Videos = None,
    merge: Annotated[
        Path | None,
        typer.Option(help="Only put this attestation into manifests, goldens and README."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="The checkout to merge into; the one that runs.", rich_help_panel=ADVANCED
        ),
    ] = None,
    differing: Annotated[
        bool,
        typer.Option(
            "--differing",
            help="Merge models, too, whose two zoos hold other tensors.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
) -> None:
    """See every file of both zoos with one's own eyes, and write what was seen.

    Of each: size, sha256, ETag, layout, keys, types, training state, digest, verify's checks;
    whether both zoos' tensors are equal; scores on a drawn clip and on drawn videos. The same
    command goes on where it was interrupted. Exits with 3 when a check does not hold or a file
    was refused, with 1 when one could not be had.

    Examples:

        ptv-hub attest --all --by 'A. Name <a@example.org>' -o attestation.json

        ptv-hub attest x3d_xs x3d_s --by 'A. Name <a@example.org>' --yes --delete-after

        ptv-hub attest --all --by 'A. Name <a@example.org>' --data datasets

        ptv-hub attest --merge attestation.json
    """
    if merge is not None:
        _no_names(names, all_, by, data)
        _merge(merge, into, differing)
        return
    if into is not None or differing:
        raise UsageError("--into and --differing belong to --merge")
    if by is None:
        raise UsageError("who looks?", expected="--by 'NAME <ADDRESS>'", fix="it is in every hash")
    if data is None and videos is not None:
        raise UsageError("--videos belongs to --data", fix="give --data DIR")
    items = _entries(names, all_)
    ready_file(out)
    from ptv_hub.attestation.bringing import wanted
    from ptv_hub.attestation.measuring import Videos as Measuring
    from ptv_hub.attestation.walk import Asked
    from ptv_hub.attestation.walk import attest as run

    _agree(wanted(_unseen(items, out)), delete_after=delete_after, yes=yes)
    where = None if data is None else Measuring(data, out.with_suffix(".runs"), videos)
    asked = Asked(by, out, delete_after, where, progress=sys.stderr.isatty())
    try:
        made = run(items, asked, on_model=lambda seen: tell(_told(seen)))
    except KeyboardInterrupt:
        tell("stopped; the same command goes on where it was")
        raise typer.Exit(1) from None
    _print(made)
    tell(f"written to {out}; docs/first-day.md says where to send it")
    raise typer.Exit(_exit_code(made))


def _entries(names: Sequence[str] | None, all_: bool) -> list[Entry]:
    from ptv_hub.zoo.manifest import entries, find

    if bool(names) == all_:
        raise UsageError("attest what?", expected="names of models, or --all", found=names or None)
    items = list(entries()) if all_ else [find(name) for name in names or ()]
    for item in items:
        if not item.artifacts or any(artifact.beside for artifact in item.artifacts):
            raise UsageError(f"{item.name} has no file that is fetched from somewhere")
    return items


def _unseen(items: Sequence[Entry], out: Path) -> list[Entry]:
    """Those of whose files some are not in the attestation yet, and these files alone."""
    from ptv_hub.attestation.records import read_attestation

    if not out.exists():
        return list(items)
    seen = {
        file.url
        for model in read_attestation(out).models
        for file in model.files
        if file.status == "brought"
    }
    rest = [
        item.model_copy(update={"artifacts": tuple(a for a in item.artifacts if a.url not in seen)})
        for item in items
    ]
    return [item for item in rest if item.artifacts]


def _agree(files: Sequence[Wanted], *, delete_after: bool, yes: bool) -> None:
    """Say what is about to be fetched, and ask."""
    from ptv_hub.fetching import cache

    to_fetch = [file for file in files if not file.here]
    known = [file.bytes for file in to_fetch if file.bytes is not None]
    unknown = len(to_fetch) - len(known)
    models = len({file.entry.name for file in to_fetch})
    told = f"to fetch: {len(to_fetch)} files of {models} models, {_gigabytes(sum(known))}"
    tell(told + (f", and {unknown} whose size nobody states" if unknown else ""))
    if len(files) > len(to_fetch):
        tell(f"in the cache already: {len(files) - len(to_fetch)} files")
    folder = cache.folder()
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    most = max(known, default=0) * 2 if delete_after else sum(known)
    free = shutil.disk_usage(there).free
    tell(f"on the disk at a time: {_gigabytes(most)} at most; free in {folder}: {_gigabytes(free)}")
    if not to_fetch or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", fix="--yes fetches without being asked")
    typer.confirm("Fetch them?", abort=True, err=True)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10_000_000 else f"{size / 1e6:.2f} MB"


def _told(seen: SeenModel) -> str:
    """One line for a model that is done."""
    files = [
        f"{file.zoo} zoo: {file.status}"
        + (f", {len(file.failures)} checks fail" * bool(file.failures))
        for file in seen.files
    ]
    equal = {True: "equal tensors", False: "TENSORS DIFFER", None: "not compared"}
    return f"{seen.name}: {'; '.join(files)}; {equal[seen.tensors_equal]}"


def _print(made: Attestation) -> None:
    rows = []
    for model in made.models:
        for file in model.files:
            fails = ", ".join(f"{c.level} ({c.name})" for c in file.failures)
            size = "-" if file.size is None else f"{file.size:,}"
            told = file.why or (f"FAILS: {fails}" if fails else "all checks hold")
            rows.append([model.name, file.zoo, size, (file.sha256 or "-")[:12], told[:100]])
    print_table(("name", "zoo", "bytes", "sha256", ""), rows, right=("bytes",))


def _exit_code(made: Attestation) -> int:
    files = [file for model in made.models for file in model.files]
    differ = any(model.tensors_equal is False for model in made.models)
    if differ or any(file.failures or file.status == "refused" for file in files):
        return 3
    return int(any(file.status != "brought" for file in files))


# ---------------------------------------------------------------------------- merging


def _no_names(names: Sequence[str] | None, all_: bool, by: str | None, data: Path | None) -> None:
    if names or all_ or by is not None or data is not None:
        raise UsageError("--merge needs nothing but the attestation: all is in it")


def _merge(path: Path, into: Path | None, differing: bool) -> None:
    from ptv_hub.attestation.merging import Project, merge, this_project

    project = this_project() if into is None else Project(into)
    done = merge(path, project, differing=differing)
    for line in done.merged:
        tell(f"attested: {line}")
    for line in done.held_back:
        tell(f"held back: {line}")
    if not done.files:
        tell("nothing is new: all of it was known")
        return
    tell("changed, for one commit:")
    for file in done.files:
        put(file)
