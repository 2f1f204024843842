"""Which model a command is asked to run: a NAME, as ``weights.named`` takes it, or a config.

Commands with ``--config`` take ``KEY VALUE`` pairs behind it, as PySlowFast's own do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.cli.talk import tell
from ptv_hub.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from ptv_hub.zoo.entry import Entry
    from ptv_hub.zoo.input_spec import Protocol
    from ptv_hub.zoo.pyslowfast import Config, Paths


@dataclass(frozen=True)
class Asked:
    """A model, how it is to be run, and on what."""

    entry: Entry
    """The model as it is known, with the protocol that its published numbers were made by."""
    protocol: Protocol
    """The protocol that was asked for."""
    weights: Path | None = None
    """A file in place of the entry's own."""
    data: Path | None = None
    """What the config names as data; ``None`` without a config."""
    videos: Path | None = None

    @property
    def to_run(self) -> Entry:
        """The entry with the protocol that was asked for."""
        return self.entry.model_copy(update={"protocol": self.protocol})


def asked(
    name: str | None,
    opts: Sequence[str] | None = None,
    *,
    config: Path | None = None,
    weights: str | Path | None = None,
    needs_weights: bool = True,
) -> Asked:
    """The model of ``NAME``, or of ``--config X.yaml [KEY VALUE]...``.

    Raises:
        UsageError: neither or both of them, or pairs without a config.
        ConfigError: the config cannot be used, or there are no weights for it.
        CheckpointError: NAME is a weights file that does not say what it is.
        PtvHubError: as ``weights.named``.
    """
    _require_there(weights)
    words = [*([] if name is None else [name]), *(opts or ())]
    if config is not None:
        _refuse_name(words)
        return _of_config(config, words, weights, needs_weights)
    if name is None:
        raise UsageError("no model is named", expected="NAME, or --config X.yaml")
    if opts:
        raise UsageError(
            "keys and values are for a config",
            found=" ".join(opts),
            fix="'ptv-hub config NAME > X.yaml' writes one; then --config X.yaml",
        )
    return _of_name(name, weights)


def asked_with_videos(
    name: str | None,
    words: Sequence[str] | None,
    *,
    config: Path | None,
    weights: str | Path | None,
) -> tuple[Asked, list[str]]:
    """As ``asked`` of ``NAME VIDEO...``, or of ``--config X.yaml VIDEO... [KEY VALUE]...``."""
    if config is None:
        return asked(name, weights=weights), list(words or ())
    words = [*([] if name is None else [name]), *(words or ())]
    _refuse_name(words)
    first = next((place for place, word in enumerate(words) if _is_key(word)), len(words))
    return _of_config(config, words[first:], weights, True), words[:first]


def _refuse_name(words: Sequence[str]) -> None:
    """Raise if the first word is a model's name: beside a config it would be a second one."""
    if words and _is_name(words[0]):
        raise UsageError(
            "NAME and --config contradict each other",
            found=words[0],
            fix="leave one out; '--weights' gives a config's model the weights of a file",
        )


def _is_name(word: str) -> bool:
    from ptv_hub.errors import AmbiguousName, NotServed, UnknownName
    from ptv_hub.weights.named import SUFFIXES, existing, holds_model
    from ptv_hub.zoo.manifest import find
    from ptv_hub.zoo.repository import is_address

    path = existing(word)
    if path is not None:
        return holds_model(path) if path.is_dir() else path.suffix in SUFFIXES
    if is_address(word):
        return True
    try:
        return bool(find(word))
    except UnknownName:
        return False
    except (AmbiguousName, NotServed):
        return True


def _is_key(word: str) -> bool:
    """Whether it is a key of PySlowFast, or a misspelt one of a section that there is."""
    from ptv_hub.zoo.pyslowfast.values import defaults

    section, dot, _ = word.partition(".")
    known = any(key.startswith(f"{section}.") for key in defaults())
    return word in defaults() or (bool(dot) and known and not Path(word).exists())


# ---------------------------------------------------------------------------- by name


def _require_there(weights: str | Path | None) -> None:
    """A file that was named with a suffix of weights is meant as one: without it, misuse."""
    from ptv_hub.weights.named import SUFFIXES, existing
    from ptv_hub.zoo.repository import is_address

    if weights is None or is_address(weights) or existing(str(weights)) is not None:
        return
    if Path(weights).suffix in SUFFIXES:
        raise UsageError("there is no such file of weights", where=weights)


def _of_name(name: str, weights: str | Path | None) -> Asked:
    from ptv_hub.weights.named import named

    found = named(name, weights)
    if found.note:
        tell(found.note)
    return Asked(found.entry, found.entry.protocol, found.file)


def _agree(one: Entry, other: Entry, fields: Sequence[str]) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in fields)


# ---------------------------------------------------------------------------- by config


def _of_config(
    path: Path, pairs: Sequence[str], weights: str | Path | None, needs_weights: bool
) -> Asked:
    from ptv_hub.weights.own_word import recorded_or_none
    from ptv_hub.zoo.pyslowfast import from_config

    settings = from_config(path, pairs)
    tell_ignored(settings)
    file = _weights_of(settings.paths, weights)
    item = _known(settings.entry, None if file is None else recorded_or_none(file))
    if needs_weights and file is None and not item.artifacts:
        raise ConfigError(
            "there are no weights for a config's model",
            where=path,
            expected="--weights FILE, TEST.CHECKPOINT_FILE_PATH, last.pyth in OUTPUT_DIR, or a "
            "model of the zoo",
            found=f"{item.arch} {item.depth}, {item.num_classes} classes: none of the zoo's",
        )
    paths = settings.paths
    return Asked(
        item,
        settings.entry.protocol,
        file,
        Path(paths.data) if paths.data else None,
        Path(paths.prefix) if paths.prefix else None,
    )


def _weights_of(paths: Paths, given: str | Path | None) -> Path | None:
    """Where PySlowFast looks for what it tests: the test's checkpoint, the last of the run."""
    from ptv_hub.weights.named import weights_file

    if given is not None:
        return weights_file(given)
    last = Path(paths.output) / "last.pyth"
    if not paths.test_weights and not last.is_file():
        return None
    found = weights_file(paths.test_weights) if paths.test_weights else last
    tell(f"weights: {found}")
    return found


def _known(item: Entry, own: Entry | None) -> Entry:
    """Who the model of a config is: what its weights say, or the one of the zoo that is alike."""
    from ptv_hub.zoo.manifest import entries

    for other in (own,) if own else entries():
        if _agree(other, item, ("builder", "num_classes", "input")):
            return other
    # Another input, say: no model of the zoo, but the classes may be known.
    others = (own,) if own else (e for e in entries() if e.dataset == item.dataset)
    labels = next((e.labels for e in others if e.num_classes == item.num_classes), ())
    return item.model_copy(update={"labels": labels})


def tell_ignored(settings: Config) -> None:
    """Say on stderr which keys of a config have no effect here, once."""
    if settings.ignored:
        tell(f"keys without effect here: {'; '.join(settings.ignored)}")
