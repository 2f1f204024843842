"""``ptv-hub data``: look at a data set, or prepare it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.families import Family, panel_of
from ptv_hub.cli.options import (
    Data,
    DatasetName,
    Json,
    Limit,
    Overwrite,
    Strict,
    Videos,
    Workers,
    part,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.files import ready_file, ready_folder, refuse_existing

if TYPE_CHECKING:
    from ptv_hub.datasets.check import CheckedVideo, DataCheck
    from ptv_hub.datasets.extract import Extracted


def register(app: typer.Typer) -> None:
    data = Family(no_args_is_help=True, help="Look at a data set, or prepare it.")
    data.command("check")(check)
    data.command("extract")(extract)
    data.command("draw")(draw)
    app.add_typer(data, name="data", rich_help_panel=panel_of("data"))


def check(
    name: DatasetName,
    data: Data,
    videos: Videos = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode all frames that an evaluation would.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the list of the usable videos to this file.")
    ] = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
    limit: Limit = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Say what of a data set is there, what is missing, and what cannot be decoded.

    Examples:

        ptv-hub data check kinetics400 --data kinetics400 --videos kinetics400/val

        ptv-hub data check ssv2 --data ssv2 --videos ssv2/frames --write ssv2/val.csv
    """
    from ptv_hub.datasets.check import check as checked
    from ptv_hub.datasets.check import write_usable
    from ptv_hub.datasets.reading import read_listing

    item = _of_dataset(name)
    if write is not None:
        refuse_existing(write, overwrite)
        ready_file(write)
    listing = part(read_listing(item, data, videos=videos), limit, None, 0)
    with _bar(len(listing.items)) as bar:
        found = checked(
            item, listing, decode_all=decode, workers=_cores(workers), on_video=bar.update
        )
    if json:
        print_json(found)
    else:
        _print_check(found)
    if write is not None:
        below = videos or (data if data.is_dir() else data.parent)
        count = write_usable(item, listing, found, write, below)
        tell(f"written: {write} ({count} videos)")
    raise typer.Exit(int(strict and bool(found.failures)))


def extract(
    name: DatasetName,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the frame folders and their list.")],
    videos: Videos = None,
    workers: Workers = None,
    limit: Limit = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Extract the frames of SSv2 or Charades as the zoo's owners did: JPEGs at 30 a second.

    Examples:

        ptv-hub data extract ssv2 --data ssv2 --videos ssv2/20bn-something-something-v2 --out frames

        ptv-hub eval slow_r50_ssv2 --data ssv2 --videos frames
    """
    from ptv_hub.datasets.extract import extract as extracted
    from ptv_hub.datasets.reading import read_listing

    item = _of_dataset(name)
    ready_folder(out)
    listing = part(read_listing(item, data, videos=videos), limit, None, 0)
    with _bar(len(listing.items)) as bar:
        found = extracted(item, listing, out, workers=_cores(workers), on_video=bar.update)
    if json:
        print_json(found)
    else:
        _print_extracted(found)
    raise typer.Exit(int(strict and bool(found.failures)))


def draw(
    out: Annotated[Path, typer.Argument(help="The folder.")],
    train: Annotated[int, typer.Option(min=0, help="Videos of each class to train on.")] = 60,
    val: Annotated[int, typer.Option(min=0, help="Videos of each class to watch.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other videos.")] = 0,
) -> None:
    """Draw videos that differ in nothing but motion: down, in, left, out, right, up.

    They are small, lossless, and the same on every machine; `--data drawn` draws those that
    the demonstration model was measured on.

    Example:

        ptv-hub data draw motion --train 60 --val 20
    """
    from ptv_hub.datasets.motion import CLASSES, write_split

    with _bar((train + val) * len(CLASSES)) as bar:
        for split, count in (("train", train), ("val", val)):
            write_split(out, split, count, seed=seed, on_video=bar.update)


def _of_dataset(name: str) -> Any:
    """The entry of a name, or the first of a data set."""
    from ptv_hub.fetching.hub import entry
    from ptv_hub.zoo.manifest import entries

    wanted = name.casefold()
    return next((item for item in entries() if item.dataset.casefold() == wanted), None) or entry(
        name
    )


def _cores(workers: int | None) -> int:
    return (os.cpu_count() or 1) if workers is None else workers


def _bar(total: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, unit="video", dynamic_ncols=True)


_SHOWN = 20


def _print_check(found: DataCheck) -> None:
    """What a data set was found to be, to stdout."""
    way = "every frame decoded" if found.decoded else "time stamps read, first frame decoded"
    rows = [
        ("annotation", ", ".join(found.files)),
        ("checked for", f"{found.model}, {way}"),
        ("listed", f"{found.listed} videos of {found.classes} classes"),
        ("usable", str(found.usable)),
        *(("note", note) for note in found.annotation_notes),
        *((f"{count} not usable", reason) for reason, count in found.failures_by_reason.items()),
        *((f"{count} noted", note) for note, count in found.notes.items()),
    ]
    print_table((found.dataset, ""), rows)
    _print_failures(found.failures)


def _print_extracted(found: Extracted) -> None:
    """What came of an extraction, to stdout."""
    rows = [
        ("listed", f"{found.listed} videos"),
        ("folders", f"{found.extracted} ({found.already} stood there before)"),
        ("frames", str(found.frames)),
        ("frame list", found.frame_list),
        *((f"{count} failed", reason) for reason, count in found.failures_by_reason.items()),
    ]
    print_table((found.folder, ""), rows)
    _print_failures(found.failures)


def _print_failures(failures: Sequence[CheckedVideo]) -> None:
    if not failures:
        return
    from ptv_hub.evaluation.report import one_line

    rows = [(video.id, one_line(video.error or "")) for video in failures[:_SHOWN]]
    more = len(failures) - len(rows)
    if more:
        rows.append((f"and {more} more", "all are in the --json output"))
    print_table(("video", "what happened"), rows)
