"""What the words of a command line name -> videos, each with a name that no other has."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ptv_hub.errors import VideoError
from ptv_hub.files import expanded, sha256_of
from ptv_hub.inference.video import IMAGES, VIDEOS, is_address, natural


@dataclass(frozen=True)
class Found:
    """One video."""

    source: str | tuple[str, ...]
    """A file, an address, a folder of frames; or the images that are one video's frames."""
    stem: str
    """What it is called: its path below the folder that was named, without a suffix."""

    @property
    def key(self) -> str:
        """The same for the same file, however it is spelled."""
        first = self.source if isinstance(self.source, str) else self.source[0]
        return first if is_address(first) else os.path.abspath(os.path.expanduser(first))

    @property
    def told(self) -> str:
        """How it is named to a user."""
        return self.source if isinstance(self.source, str) else f"{len(self.source)} images"

    def quick(self) -> str:
        """What changes when its content does, without reading it; empty where nothing tells."""
        try:
            stats = [os.stat(path) for path in self._files()]
        except OSError:
            return ""
        told = [f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}" for stat in stats]
        return told[0] if len(told) == 1 else _digest(told) if told else ""

    def content(self) -> str:
        """sha256 of its file, or over those of its images; of an address its own.

        Raises:
            VideoError: it cannot be read.
        """
        try:
            digests = [sha256_of(path) for path in self._files()]
        except OSError as error:
            raise VideoError("the video cannot be read", where=self.told, found=error) from error
        return digests[0] if len(digests) == 1 else _digest(digests or [self.key])

    def _files(self) -> Sequence[str]:
        if not isinstance(self.source, str):
            return self.source
        if is_address(self.source):
            return ()
        path = expanded(self.source)
        return [str(image) for image in images(path)] if path.is_dir() else (str(path),)


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def find(word: str) -> list[Found]:
    """What a word stands for: a file, an address, a glob, or a folder, to the bottom.

    A folder of images without videos is one video, wherever it lies; a glob that matches images
    alone is one video of these frames, another one what each match stands for.

    Raises:
        VideoError: nothing there.
    """
    if is_address(word):
        name = PurePosixPath(unquote(urlsplit(word).path)).name
        return [Found(word, _stem(name) or "video")]
    path = expanded(word)
    if path.is_file():
        return [Found(word, _stem(path.name))]
    if path.is_dir():
        found = list(_below(word, path))
        if not found:
            raise VideoError(
                "no videos in the folder",
                where=word,
                expected="video files, or folders of frames, in it or below it",
            )
        return found
    if glob.has_magic(word):
        matches = sorted(glob.glob(str(path), recursive=True), key=natural)
        if not matches:
            raise VideoError("nothing matches", where=word)
        frames = [match for match in matches if Path(match).suffix.lower() in IMAGES]
        if frames == matches:
            return [Found(tuple(matches), Path(matches[0]).absolute().parent.name or "video")]
        return [one for match in matches for one in find(match)]
    raise VideoError("there is no such video", where=word)


def _below(word: str, top: Path) -> Iterator[Found]:
    """Videos and folders of frames, each folder's own first; no folder twice through links."""
    seen: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            inside = sorted(folder.iterdir(), key=natural)
        except OSError as error:
            raise VideoError("a folder cannot be read", where=folder, found=error) from error
        videos = [item for item in inside if item.suffix.lower() in VIDEOS and not item.is_dir()]
        below = folder.relative_to(top)
        for video in videos:
            yield Found(str(video), (below / _stem(video.name)).as_posix())
        if not videos and images(folder):
            name = below.as_posix() if folder != top else (folder.resolve().name or "video")
            yield Found(word if folder == top else str(folder), name)
        waiting[:0] = [item for item in inside if item.is_dir()]


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in VIDEOS | IMAGES else path.name


def images(folder: Path) -> list[Path]:
    """The JPEGs and PNGs of a folder, in natural order."""
    return sorted(
        (item for item in folder.iterdir() if item.suffix.lower() in IMAGES and item.is_file()),
        key=natural,
    )


def named(videos: Iterable[Found], before: Mapping[str, str] | None = None) -> dict[str, Found]:
    """Name -> video, in their order; no two share one, and no order of words changes one.

    A video that is named twice is one. Of several of the same stem the first by path has it, the
    others a number behind that is nobody's stem. Names that differ in case alone are the same:
    on some file systems they are.

    Args:
        before: key -> name, of names that were given earlier and stay.
    """
    unique: dict[str, Found] = {}
    for one in videos:
        if one.key not in unique or _order(one) < _order(unique[one.key]):
            unique[one.key] = one
    before = before or {}
    names = {key: before[key] for key in unique if key in before}
    taken = {_folded(name) for name in before.values()}
    stems = {_folded(one.stem) for one in unique.values()}
    for key, one in sorted(unique.items(), key=lambda pair: natural_path(pair[0])):
        if key in names:
            continue
        name, number = one.stem, 1
        while _folded(name) in taken or (number > 1 and _folded(name) in stems):
            number += 1
            name = f"{one.stem}-{number}"
        taken.add(_folded(name))
        names[key] = name
    return {names[key]: one for key, one in unique.items()}


def _order(one: Found) -> tuple[int, str]:
    """Of two ways to the same video, the one from further up says more of where it lies."""
    return -one.stem.count("/"), one.stem


def natural_path(path: str) -> tuple[list[tuple[int, str]], str]:
    """Key of an order of whole paths, in which 2 comes before 10."""
    parts = re.split(r"(\d+)", path)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts], path


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
