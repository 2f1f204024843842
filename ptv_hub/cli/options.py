"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.datasets.listing import Listing

Name = Annotated[
    str, typer.Argument(help="A model's name, or a data set's: kinetics400, ssv2, charades.")
]
Data = Annotated[
    Path, typer.Option(help="Folder of the annotation files, or one of them; or a folder a class.")
]
Videos = Annotated[
    Path | None, typer.Option(help="Folder below which the videos or frame folders lie.")
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes; as many as cores if not given.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video cannot be used.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def part(listing: Listing, limit: int | None, sample: int | None, seed: int) -> Listing:
    if limit is not None and sample is not None:
        raise UsageError("--limit and --sample contradict each other", fix="leave one out")
    if limit is not None:
        return listing.head(limit)
    return listing if sample is None else listing.sample(sample, seed)
