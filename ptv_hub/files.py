"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ptv_hub.errors import UsageError, WriteError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes, on the systems that allow the most."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path that a user, or a file, names; ``~`` is the home folder, where there is one.

    Raises:
        UsageError: no path can be called so.
    """
    text = os.path.expanduser(os.fspath(path))  # as it is where nobody is called so
    try:
        told = os.fsencode(text)
    except UnicodeEncodeError:
        told = b"\0"
    longest = max(map(len, told.replace(os.sep.encode(), b"/").split(b"/")))
    if b"\0" in told or longest > _LONGEST_NAME or len(told) > _LONGEST_PATH:
        raise UsageError(
            "no file can be called so",
            found=text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)",
            expected=f"a path of at most {_LONGEST_NAME} bytes between slashes",
        )
    return Path(text)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, fix: str | None = None) -> Iterator[Path]:
    """A temporary path beside ``path``; what was written to it takes its place at the end.

    On any error the temporary file goes, and what stood under ``path`` before still stands.
    An interrupted process leaves at most a hidden ``.NAME.*.tmp``, never half a file. ``fix``
    is what the error advises to do.

    Raises:
        WriteError: the folder is missing or not writable, or the disk is full; or the path is of
            something that is no file.
    """
    path = Path(path)
    _refuse_no_file(path)
    # Not tempfile's: its files are for the owner alone, whatever the umask says.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        # An early, plain error: some writers hide the reason for theirs.
        with open(temporary, "xb"):
            pass
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise WriteError.because(error, path, fix=fix) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for a while, in the system's place for such; it goes at the end.

    That of a process that was killed goes when the next one is made.
    """
    place = Path(tempfile.gettempdir())
    # Numbers of processes are a machine's own, and such places may be shared by several.
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    prefix = f"ptv_hub-{machine}-"
    for left in place.glob(f"{prefix}*-*"):
        owner = left.name.removeprefix(prefix).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    try:
        folder = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place)
    except OSError as error:
        raise WriteError.because(error, place) from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether a process of this number is running, or may be: another machine's, say."""
    if os.name != "posix":
        return True  # there a signal 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def ready_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, and see that files can be written into it.

    Asked before the work whose results are to go there, so that none of it is lost.

    Raises:
        WriteError: it cannot be made, or written into.
    """
    path = Path(path)
    probe = path / f".ready.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        try:
            with open(probe, "xb"):
                pass
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError.because(error, path) from error
    return path


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As ``ready_folder``; of what was made for it nothing empty stays if the work fails."""
    path = Path(path)
    made = [one for one in (path, *path.parents) if not os.path.exists(one)]
    try:
        yield ready_folder(path)
    except BaseException:
        for one in made:
            with suppress(OSError):  # not if something is in it
                one.rmdir()
        raise


def _refuse_no_file(path: Path) -> None:
    """That no device or pipe is lost: as root, a file would take the place of /dev/null itself."""
    # Not the path's own methods: they raise where the name is too long, and so does opening it.
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise WriteError(
            "a file could not be written",
            where=path,
            found="something that is no file is in its place: a device, a pipe or a socket",
            fix="give the name of a file",
        )


def ready_file(path: str | os.PathLike[str]) -> Path:
    """Make the folder of a file that is to be written, and see that it can be.

    Raises:
        WriteError: it cannot be made, or written into; or what bears the file's name is a
            folder, a device or a pipe.
    """
    path = Path(path)
    _refuse_no_file(path)
    ready_folder(path.parent)
    if path.is_dir():
        raise WriteError(
            "a file could not be written", where=path, found="a folder is in the place of the file"
        )
    return path


def refuse_existing(
    path: str | os.PathLike[str],
    overwrite: bool,
    *,
    sources: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """That nobody's file is lost to one that is to be written; asked before the work is done.

    Raises:
        WriteError: it is one of the sources, whatever is said; or it is there, and ``overwrite``
            was not said.
    """
    path = Path(path)
    if not os.path.isfile(path):  # what is no file ``ready_file`` refuses
        return
    if any(os.path.exists(source) and path.samefile(source) for source in sources):
        raise WriteError("a file would be written onto its own source", where=path)
    if not overwrite:
        raise WriteError(
            "there is such a file",
            where=path,
            fix="--overwrite, in Python overwrite=True, replaces it; or give another name",
        )


def write_text(path: str | os.PathLike[str], text: str, *, fix: str | None = None) -> None:
    """Write a text file, UTF-8, whole or not at all. Raises as ``atomic_write``."""
    with atomic_write(path, fix=fix) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write several text files, UTF-8, all of them or none: on an error what stood there stands.

    A process killed between two of them leaves the later ones as they were; doing the same
    again ends it.

    Raises:
        WriteError: one could not be written.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    done: list[Path] = []
    try:
        with ExitStack() as stack:
            for path, text in texts.items():
                # All are on the disk, beside their places, before the first takes its own.
                stack.enter_context(_placed(path, text, done))
    except BaseException:
        for path in done:
            old = before[path]
            if old is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(old)
        raise


@contextmanager
def _placed(path: Path, text: str, done: list[Path]) -> Iterator[None]:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        yield
    done.append(path)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits. Raises OSError."""
    hasher = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()
