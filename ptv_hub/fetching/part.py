"""A file on its way: what has arrived, its hash so far, and what it is a part of.

What has arrived is in the file at once, so that a killed process loses nothing of it; what
the file is a part of stands beside it (``.part.json``), so that the next one goes on from there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from ptv_hub.errors import FetchError, WriteError
from ptv_hub.fetching import headers as said
from ptv_hub.files import write_text
from ptv_hub.zoo.records import Record

CHUNK = 1 << 20
"""Bytes read and written at once."""

Report = Callable[[int, "int | None", int], None]
"""Called with the bytes that are there, the bytes there will be (``None`` if unknown), and how
many of the former have arrived since the last call."""

FIX = "make room or get the right to write there, or set PTV_HUB_CACHE elsewhere"


def discard(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    state_path(part).unlink(missing_ok=True)


class State(Record):
    """What a part is a part of."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None


def state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


class Partial:
    """A file on its way: its bytes, their hash so far, and what they are a part of.

    The caller holds the lock of the file; nobody else writes here.
    """

    def __init__(self, path: Path, url: str, *, vouched: bool) -> None:
        self.path = path
        self.url = url
        self.encoded = False
        self.joined = False
        """Whether the bytes came in more than one answer, by proofs that a bad server may break."""
        self.discarded = False
        """Whether the bytes were given up as wrong."""
        self._vouched = vouched
        self._state = State(url=url)
        self._hasher = _Hasher()
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _own_file(path)
            self.size = self._file.tell()
        state = self._read_state()
        if state is not None and state.url == url:
            self._state = state
        if self.resumable or self.complete:
            self._hasher.add_file(path, self.size)
            self.joined = True
        else:
            self.restart()

    def _read_state(self) -> State | None:
        try:
            return State.model_validate_json(state_path(self.path).read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def total(self) -> int | None:
        return self._state.total

    @total.setter
    def total(self, value: int) -> None:
        self._state = self._state.model_copy(update={"total": value})

    @property
    def validator(self) -> str | None:
        """What proves to the server that we have a part of the very same file (If-Range)."""
        etag = self._state.etag
        # A weak etag promises a like file, not the same bytes; RFC 9110 forbids it here.
        return etag if etag and not etag.startswith("W/") else self._state.last_modified

    @property
    def resumable(self) -> bool:
        """Whether to ask for the rest: with a proof of sameness, or a hash that will tell."""
        proof = self.validator is not None or (self._vouched and self.total is not None)
        return self.size > 0 and proof and (self.total is None or self.size < self.total)

    @property
    def complete(self) -> bool:
        """Whether all bytes are here already: a process was killed just before the end."""
        return 0 < self.size == self.total

    def begin(self, headers: Mapping[str, str], encoding: str) -> None:
        """A whole file follows: forget what was here, write down what this is."""
        self.restart()
        self.encoded = encoding != "identity"
        if self.encoded:
            return  # lengths and validators speak of the compressed form: no resuming
        self._state = State(
            url=self.url,
            etag=headers.get("ETag"),
            last_modified=headers.get("Last-Modified"),
            total=said.length(headers.get("Content-Length")),
        )
        write_text(state_path(self.path), self._state.model_dump_json(), fix=FIX)

    def continues(self, headers: Mapping[str, str], encoding: str) -> bool:
        """Whether an answer 206 goes on exactly where the part ends, with the same file."""
        given = said.content_range(headers.get("Content-Range"))
        if given is None or encoding != "identity":
            return False
        if given.start != self.size or self.size == 0:
            return False
        state = self._state
        if given.total is not None:
            if state.total not in (None, given.total):
                return False
            self.total = given.total
        for name, known in (("ETag", state.etag), ("Last-Modified", state.last_modified)):
            if known is not None and headers.get(name) not in (None, known):
                return False
        self.joined = True
        return True

    def write(self, chunk: bytes) -> None:
        with _writing(self.path, undo=self.discard):
            view = memoryview(chunk)
            while view:  # an unbuffered file may take less than it is given
                written = self._file.write(view)
                view = view[written:]
        self._hasher.add(chunk)
        self.size += len(chunk)

    def make_room(self) -> None:
        """Say that the disk is too small before it is full."""
        if self.total is None:
            return
        missing, free = self.total - self.size, shutil.disk_usage(self.path.parent).free
        if missing > free:
            raise WriteError(
                "the disk has no room for the file",
                where=self.path.parent,
                expected=f"{missing} bytes free",
                found=f"{free} bytes free",
                fix="make room, or set PTV_HUB_CACHE to a folder on another disk",
            )

    def sha256(self) -> str:
        return self._hasher.result()

    def restart(self) -> None:
        """Forget all bytes."""
        with _writing(self.path):
            self._file.truncate(0)
            # After the bytes: a part without a state is started anew, the reverse would be mixed.
            state_path(self.path).unlink(missing_ok=True)
        self.size = 0
        self.encoded = False
        self.joined = False
        self._state = State(url=self.url)
        self._hasher.stop()
        self._hasher = _Hasher()

    def discard(self) -> None:
        self.close()
        discard(self.path)
        self.size = 0
        self.discarded = True

    def close(self) -> None:
        self._hasher.stop()
        self._file.close()
        if self.size == 0:
            discard(self.path)


def _own_file(path: Path) -> FileIO:
    """The file, to append to, made if it is not there; a link in its place is nobody's part."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_NONBLOCK", 0)  # a pipe in its place would wait for a reader
    for _ in range(2):
        if path.is_symlink():
            path.unlink(missing_ok=True)
        descriptor = os.open(path, flags, 0o666)
        facts = os.fstat(descriptor)
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
            return FileIO(descriptor, "ab")
        os.close(descriptor)
        path.unlink()  # another name of a file that is not ours to write
    raise FileExistsError(errno.EEXIST, "another process puts links in the place of the file")


@contextmanager
def _writing(path: Path, *, undo: Callable[[], None] | None = None) -> Iterator[None]:
    """Turn what the system says of a file into a ``WriteError``."""
    try:
        yield
    except OSError as error:
        if undo and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            undo()  # what half fills a full disk is of no use to anybody
        raise WriteError.because(error, path, fix=FIX) from error


class _Hasher:
    """sha256 in a thread of its own, while the next bytes arrive (hashlib lets go of the GIL)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._work: queue.Queue[bytes | tuple[Path, int] | None] = queue.Queue(maxsize=32)
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def add(self, chunk: bytes) -> None:
        self._put(chunk)

    def add_file(self, path: Path, size: int) -> None:
        """Take in the first ``size`` bytes of a file."""
        self._put((path, size))

    def _put(self, item: bytes | tuple[Path, int]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._work.put(item)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            if isinstance(item, bytes):
                self._hash.update(item)
                continue
            path, left = item
            try:
                with open(path, "rb", buffering=0) as file:
                    while left and (chunk := file.read(min(CHUNK, left))):
                        self._hash.update(chunk)
                        left -= len(chunk)
            except OSError as error:
                self._error = error

    def result(self) -> str:
        self.stop()
        if self._error is not None:
            raise FetchError("a partial file cannot be read", found=self._error)
        return self._hash.hexdigest()

    def stop(self) -> None:
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None
