"""What stands where a model is named -> its entry and, where it is a file, its weights.

The same everywhere, on the command line and in Python: an existing path is a path first (a
weights file, a folder that ``push`` wrote, a run), then an address, then a name of the zoo.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.errors import (
    CheckpointError,
    UnknownName,
    UnreadableFile,
    UsageError,
    WrongInput,
)
from ptv_hub.fetching import hub
from ptv_hub.files import expanded
from ptv_hub.weights.own_word import recorded, recorded_or_none
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import find
from ptv_hub.zoo.repository import CONFIG_FILE, FOLDER, HUB, WEIGHTS_FILE, is_address

log = logging.getLogger("ptv_hub")

SUFFIXES = (".pyth", ".pth", ".pt", ".safetensors")
"""Of files of weights."""
_CONFIGS = (".yaml", ".yml")
_RUNS = ("best.pyth", "last.pyth")
_VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".ts", ".mpg", ".mpeg", ".gif", ".wmv")


@dataclass(frozen=True)
class Named:
    """A model that was asked for."""

    entry: Entry
    file: Path | None = None
    """Weights in place of the entry's own."""
    note: str | None = None
    """How the words were taken, where that is not plain."""


def entry(word: str | os.PathLike[str]) -> Entry:
    """The entry that ``word`` means: a name, an address, a file of weights, a folder or a run.

    Raises:
        UnknownName, AmbiguousName, UsageError: nothing of that name; and as ``fetching.hub.entry``.
        CheckpointError: a file of weights that does not say which model it is.
    """
    return named(word).entry


def entry_of(
    model: object,
    *,
    failed: str = "not a model of the zoo",
    expected: str = "a model of ptv_hub.load, a name or an Entry",
) -> Entry:
    """The entry of a loaded model, of what ``entry`` takes, or the entry itself.

    Raises:
        WrongInput: something else, in the words given. Of a word as ``entry``.
    """
    if isinstance(model, (str, os.PathLike)):
        return entry(model)
    item = model if isinstance(model, Entry) else getattr(model, "entry", None)
    if not isinstance(item, Entry):
        raise WrongInput(failed, expected=expected, found=f"a {type(model).__name__}")
    return item


def hub_address(name: str | os.PathLike[str], revision: str | None = None) -> str:
    """What a name means to users of Hugging Face libraries, as ``load`` takes it.

    A path that exists, an address, and a name without a slash are themselves; ``org/name`` is a
    repository of the Hub.

    Raises:
        UsageError: a revision of something else than a repository.
    """
    word = os.fspath(name)
    repository = not is_address(word) and existing(word) is None and word.count("/") == 1
    address = f"{HUB}{word}" if repository else word
    if revision is None:
        return address
    if not address.startswith(HUB) or "@" in address:
        raise UsageError(
            "only a repository of the Hub has revisions",
            found=f"{word}, revision={revision!r}",
            fix="leave the revision out",
        )
    return f"{address}@{revision}"


def named(
    word: str | os.PathLike[str] | Entry,
    weights: str | os.PathLike[str] | None = None,
    *,
    progress: bool = True,
) -> Named:
    """The model of a word, and the weights of another word for it.

    Raises:
        UsageError: two files of weights; and as ``entry`` and ``weights_file``.
    """
    if isinstance(word, Entry):
        return Named(word, None if weights is None else weights_file(weights, progress=progress))
    name = os.fspath(word)
    path = existing(name)
    if path is not None and path.is_file():
        if weights is not None:
            raise UsageError("two files of weights", found=f"{name} and {os.fspath(weights)}")
        return _of_file(path)
    if path is None:
        _refuse_missing(name)
    item = in_words(name)
    if weights is None:
        return Named(item)
    file = weights_file(weights, progress=progress)
    return _as_it_says(item, file)


def weights_file(word: str | os.PathLike[str], *, progress: bool = True) -> Path:
    """The file of weights that a path, a folder, a run, an address or a name means.

    Raises:
        UnreadableFile: there is no such file, or a folder without one.
        UnknownName: neither a file nor a model; and as ``fetching.hub.entry`` and ``fetch``.
    """
    name = os.fspath(word)
    path = existing(name)
    if path is None and not is_address(name) and Path(name).suffix in SUFFIXES:
        return expanded(name)  # who reads it says that it is not there
    if path is None:
        from ptv_hub.fetching.artifacts import fetch  # a file at hand needs no network's packages

        return fetch(in_words(name, kind="file or model"), progress=progress).path
    if path.is_file():
        return path
    inside = [path / file for file in (WEIGHTS_FILE, *_RUNS, f"model/{WEIGHTS_FILE}")]
    found = next((file for file in inside if file.is_file()), None)
    if found is None:
        raise UnreadableFile(
            "the folder holds no weights",
            where=path,
            expected=f"{WEIGHTS_FILE}, as 'ptv-hub push' writes it, or a run's {_RUNS[0]}",
        )
    return found


def existing(word: str) -> Path | None:
    """The file or folder that a word names, if it is there.

    A folder without a model is none where a model of the zoo bears its name: ``x3d_m`` may hold
    the results of X3D_M.
    """
    if is_address(word):
        return None
    path = expanded(word)
    if path.is_dir() and not holds_model(path) and _is_of_zoo(word):
        return None
    return path if path.exists() else None


def holds_model(folder: Path) -> bool:
    """Whether it is one of ``push``, or a run."""
    inside = (CONFIG_FILE, f"model/{CONFIG_FILE}", *_RUNS)
    return any((folder / name).is_file() for name in inside)


def _is_of_zoo(word: str) -> bool:
    try:
        return bool(find(word))
    except UsageError:
        return False


def in_words(name: str, kind: str = "model") -> Entry:
    """The entry of a folder, an address or a name; an error says what else may stand there."""
    path = existing(name)
    if path is not None:
        return _of_folder(path)
    try:
        return hub.entry(name)
    except UnknownName as error:
        raise UnknownName(
            kind,
            name,
            error.known,
            spellings=error.spellings,
            see="'ptv-hub list' shows the models; a file of weights, a folder of 'ptv-hub push' "
            "or of a run (local-dir:PATH) and hf-hub:org/name will do as well",
        ) from error


def _of_folder(path: Path) -> Entry:
    for folder in (path, path / "model"):
        if (folder / CONFIG_FILE).is_file():
            return hub.entry(f"{FOLDER}{folder}")
    for name in _RUNS:
        found = recorded(path / name) if (path / name).is_file() else None
        if found is not None:
            return found
    raise UnknownName(
        "model in the folder",
        str(path),
        (),
        see=f"a folder that 'ptv-hub push' wrote holds {CONFIG_FILE} and {WEIGHTS_FILE}, "
        f"a run {_RUNS[0]}",
    )


def _of_file(path: Path) -> Named:
    """Of a file of weights the model that it says it is, or the only one that it can be."""
    if path.suffix.lower() in _CONFIGS:
        raise UsageError(
            "a config is no model's name",
            where=path,
            fix=f"--config {path}; in Python ptv_hub.from_config({str(path)!r}).entry",
        )
    if path.suffix.lower() in _VIDEOS:
        raise UsageError(
            "a video stands where the model is named",
            where=path,
            expected="NAME before the videos: x3d_m, X3D_M.pyth, local-dir:FOLDER, ...",
        )
    from ptv_hub.weights.identify import EVIDENCE, candidates
    from ptv_hub.weights.opened import OpenedWeights

    beside = path.parent / CONFIG_FILE
    if path.name == WEIGHTS_FILE and beside.is_file():
        return Named(hub.entry(f"{FOLDER}{path.parent}"))
    own = recorded(path)
    if own is not None:
        return Named(own, path)
    found = candidates(OpenedWeights(path))
    if len(found) == 1 and found[0].evidence != EVIDENCE[-1]:
        item = find(found[0].name)
        return Named(item, path, f"{path}: taken for {item.name}, by {found[0].evidence}")
    raise CheckpointError(
        "a weights file does not say which model it is",
        where=path,
        expected="one that its bytes, its keys or its own word tell apart",
        found=" or ".join(one.name for one in found) or "no model's keys and shapes",
        fix="name the model: NAME --weights FILE, in Python load(NAME, weights=FILE); "
        "'ptv-hub identify FILE' helps to find it",
    )


def _refuse_missing(name: str) -> None:
    """Of what can only be a file: that it is not there, before it is looked for elsewhere."""
    suffix = Path(name).suffix.lower()
    if is_address(name) or suffix not in (*SUFFIXES, *_VIDEOS):
        return
    stem = name[: -len(suffix)]
    if suffix in _VIDEOS:
        raise UsageError(
            "a video stands where the model is named",
            where=name,
            expected="NAME before the videos: x3d_m, X3D_M.pyth, local-dir:FOLDER, ...",
        )
    raise UnreadableFile(
        "there is no such file",
        where=name,
        fix=f"{stem!r} is the zoo's model of that name" if _is_of_zoo(stem) else None,
    )


def _as_it_says(item: Entry, file: Path) -> Named:
    """The model that the file of a run says it is, if that is one of this architecture."""
    own = recorded_or_none(file)
    told = ("num_classes", "labels", "input", "protocol")
    alike = own is not None and all(getattr(own, field) == getattr(item, field) for field in told)
    if own is None or alike or not _same_network(own, item):
        return Named(item, file)
    says = f"{own.name}, {own.num_classes} classes, {own.source}"
    return Named(own, file, f"{file}: taken for what it says it is: {says}")


def _same_network(one: Entry, other: Entry) -> bool:
    """Whether they are built alike but for dropout, which has no weights, and the classifier."""
    return one.builder.model_copy(update={"dropout": 0.0}) == other.builder.model_copy(
        update={"dropout": 0.0}
    )
