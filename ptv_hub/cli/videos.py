"""The videos that a command's words name, gone through one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import typer

from ptv_hub.cli.talk import tell, tell_error
from ptv_hub.errors import PtvHubError

Video = str | list[str]
"""A file, URL or folder; or the images that are one video's frames."""
Done = TypeVar("Done")


class VideoRun:
    """What the words name: videos, and a record of each word, and then video, that failed."""

    def __init__(self, words: Sequence[str]) -> None:
        from ptv_hub.inference.video import find_videos

        self.videos: list[Video] = []
        self.failures: list[dict[str, object]] = []
        for word in words:
            try:
                self.videos += find_videos([word])
            except PtvHubError as error:
                self._failed(word, error)

    def each(self, one: Callable[[Video], tuple[Done, Sequence[str]]]) -> list[Done]:
        """What ``one`` makes of each video, and says of it; with a progress bar in a terminal."""
        from tqdm import tqdm

        from ptv_hub.errors import VideoError

        quiet = not sys.stderr.isatty()
        results: list[Done] = []
        with tqdm(self.videos, unit="video", file=sys.stderr, leave=False, disable=quiet) as bar:
            for video in bar:
                try:
                    done, notes = one(video)
                except VideoError as error:
                    bar.clear()
                    self._failed(video, error)
                    continue
                bar.clear()
                results.append(done)
                for note in notes:
                    tell(f"{video}: {note}")
        return results

    def _failed(self, video: Video, error: PtvHubError) -> None:
        name = video if isinstance(video, str) else f"{len(video)} images"
        tell_error(error)
        self.failures.append({"video": name, "error": str(error), "predictions": []})

    def end(self) -> None:
        """Exit with 1 if a video could not be done."""
        if self.failures:
            tell(f"{len(self.failures)} could not be done")
            raise typer.Exit(1)


def rate(video: Video, fps: float | None) -> float | None:
    """``--fps`` is for the folders of frames among the videos."""
    return fps if isinstance(video, list) or Path(video).is_dir() else None
