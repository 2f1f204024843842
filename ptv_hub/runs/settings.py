"""What a run is: the settings that its scores depend on, and what its journals say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ptv_hub.errors import EvaluationError
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import Protocol
from ptv_hub.zoo.records import Record

NVDEC = "nvdec"
PREPROCESS = ("host", "device", NVDEC)


class Settings(Record):
    """What a score depends on: a run goes on only with the same."""

    model: str
    num_classes: int
    weights: str | None
    """Digest of the model's tensors; null for a model that has none to be read."""
    protocol: Protocol
    backend: str
    """How the model is run: ``eager``, or a backend's name."""
    dtype: str
    videos: str
    """Digest of the list of videos and labels."""
    keep_views: bool
    quantized: str | None = None
    """Of int8 which quantized file."""
    preprocess: str = "host"
    """Where frames are normalised and resized: ``device`` rounds otherwise, and ``nvdec`` decodes
    there too."""


class Header(Record):
    """What a journal says of its run."""

    settings: Settings
    entry: Entry
    part: str | None
    """Which part of the annotation the list is, where it is not all of it."""
    files: tuple[str, ...]
    """The annotation files."""
    notes: tuple[str, ...]


def same_settings(mine: Settings, theirs: Settings, where: Path) -> None:
    """That two runs may be one.

    Raises:
        EvaluationError: saying what differs.
    """
    ours, others = mine.model_dump(), theirs.model_dump()
    for values in (ours, others):
        protocol = values.pop("protocol").items()
        values |= {f"protocol.{key}": value for key, value in protocol}
    differing = [name for name in ours if ours[name] != others[name]]
    if differing:
        raise EvaluationError(
            f"the folder holds another run; different are: {', '.join(differing)}",
            where=where,
            expected=_told(others, differing),
            found=_told(ours, differing),
            fix="give the same again to resume it, or another --out for a new run",
        )


def _told(values: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {str(values[name])[:16]}" for name in names)
