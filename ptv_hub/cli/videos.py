"""The videos that a command names, and how it goes through them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.options import ADVANCED
from ptv_hub.cli.talk import tell, tell_lines
from ptv_hub.errors import PtvHubError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptv_hub.inference.finding import Found
    from ptv_hub.runs.collection import Done, Share, Work

VideoList = Annotated[
    Path | None,
    typer.Option("--list", help="A file with a video a line; - for standard input."),
]
DecodingWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that decode ahead of the model. [default: half of the cores, "
        "0 for fewer than 4 videos]",
        rich_help_panel=ADVANCED,
    ),
]
Shard = Annotated[
    str,
    typer.Option(
        help="Only part I of N: a job of a scheduler's array.",
        metavar="I/N",
        rich_help_panel=ADVANCED,
    ),
]
Across = Annotated[
    bool | None,
    typer.Option(
        "--across-videos/--within-videos",
        help="Whether a batch may hold several videos. [default: on GPUs]",
        rich_help_panel=ADVANCED,
    ),
]


class VideoRun:
    """What the words name: videos, and a record of each word, and then video, that failed."""

    def __init__(self, words: Sequence[str], listed: Path | None = None) -> None:
        from ptv_hub.inference.finding import find

        self.videos: list[Found] = []
        self.failures: list[dict[str, object]] = []
        self._undrawn = False
        for word in [*words, *_lines(listed)]:
            try:
                self.videos += find(word)
            except PtvHubError as error:
                self.failed(word, str(error))

    def share(self, workers: int | None, shard: str) -> Share:
        """How the run is shared out. Raises UsageError."""
        from ptv_hub.runs.collection import Share, parse_shard

        few = len(self.videos) < 4
        default = 0 if few else max(1, (os.cpu_count() or 2) // 2)
        return Share(
            default if workers is None else workers, parse_shard(shard), sys.stderr.isatty()
        )

    def through(self, work: Work, out: Path | None, share: Share) -> Iterator[Done]:
        """Every video that could be done, as soon as it is; the others are told and counted."""
        from ptv_hub.runs.collection import run

        before = len(share.own(list({one.key for one in self.videos})))
        for done in run(work, self.videos, out, share):
            before -= 1
            if done.failure is not None:
                self.failed(done.video.told, done.failure.error)
                continue
            assert done.made is not None
            for note in done.made.notes:
                tell(f"{done.video.told}: {note}")
            yield done
        if before and _ranks() == 1:
            tell(f"{before} {'was' if before == 1 else 'were'} done before: {out}")

    def failed(self, name: str, error: str) -> None:
        """Tell of a video that could not be done, and remember it."""
        tell_lines(f"ptv-hub: {error}")
        self.failures.append({"video": name, "error": error})

    def undrawn(self, error: PtvHubError) -> None:
        """A picture of what was found could not be drawn; what was found stands."""
        tell_lines(f"ptv-hub: {error}")
        self._undrawn = True

    def end(self, out: Path | None = None) -> None:
        """Exit with 1 if a video, or its picture, could not be done.

        Of several ranks the first does, when all are through, for those of all: torchrun ends
        every rank as soon as one exits with another code than 0.
        """
        from ptv_hub.runs.collection import FAILURES

        if _ranks() > 1:
            if int(os.environ.get("RANK", "0")) > 0:
                return
            if out is not None and not self.failures and (out / FAILURES).exists():
                tell(f"some could not be done: {out / FAILURES}")
                raise typer.Exit(1)
        if self.failures:
            tell(f"{len(self.failures)} could not be done")
        if self.failures or self._undrawn:
            raise typer.Exit(1)


def _ranks() -> int:
    """Of torchrun, that share the videos."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _lines(listed: Path | None) -> list[str]:
    """The lines of a list that are not empty; names may begin with ``#`` or hold blanks."""
    if listed is None:
        return []
    try:
        text = sys.stdin.read() if str(listed) == "-" else listed.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("a list of videos cannot be read", where=listed, found=error) from error
    return [line for line in text.splitlines() if line.strip()]


def across_videos(asked: bool | None, model: Any) -> bool:
    """Whether batches may hold several videos: on a GPU short videos alone do not fill one.

    On a CPU a batch is no faster than its views one by one, and numbers stay the same to the bit
    whatever else is in the collection.
    """
    from ptv_hub.inference.batching import device_of

    return device_of(model).type == "cuda" if asked is None else asked
