"""Recorded outputs for given weights, found by the weights' digest.

``goldens.json`` beside this file holds what PySlowFast computed from the drawn weights of
``tools/draw.py`` (written by ``tools/goldens.py``), ``attested.json`` what those computed who
fetched the zoo's real files (written by ``ptv-hub attest --merge``). ``verify --record`` keeps
what this machine computes in ``goldens.json`` of the cache folder: good for noticing that
something changed, no proof that it was right.
"""

from __future__ import annotations

from functools import cache as cached
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor

from ptv_hub.errors import FetchError
from ptv_hub.fetching import cache
from ptv_hub.files import write_text
from ptv_hub.zoo.records import Record, Sha256, first_fault

FOLDER = Path(__file__).parent
DRAWN_FILE, ATTESTED_FILE = "goldens.json", "attested.json"


class DrawnVideo(Record):
    """What a model gave for one clip and crop of a drawn video (``datasets.drawn``)."""

    id: str
    frames_sha256: Sha256
    """Over all frames as they are decoded, RGB of uint8, (T, H, W, 3)."""
    scores: tuple[float, ...]
    """One a class, after the protocol's activation."""


class Golden(Record):
    """What a model gave for one drawn clip."""

    digest: Sha256
    """Of the weights."""
    entry: str
    """Name of the entry whose weights they are."""
    weights: str
    """Which weights these are, in words."""
    computed_by: str
    num_frames: Annotated[int, Field(gt=0)]
    crop_size: Annotated[int, Field(gt=0)]
    seed: int = 0
    """Of the clip: ``drawn_clip(num_frames, crop_size, seed)``."""
    activation: Literal["softmax", "sigmoid"]
    logits: tuple[float, ...]
    """One a class, the mean over the head's positions."""
    scores: tuple[float, ...]
    """One a class: the activation at each position, then the mean."""
    videos: tuple[DrawnVideo, ...] = ()
    """Of drawn videos; empty where nobody ran them."""
    attested_by: str | None = None
    """Who ran the published file, and when; null of weights that were drawn."""


class GoldenFile(Record):
    schema_version: Literal[1] = 1
    goldens: tuple[Golden, ...] = ()


def drawn_clip(num_frames: int, size: int, seed: int = 0) -> Tensor:
    """Normal noise, float32, (1, 3, num_frames, size, size); the same on every machine."""
    rng = np.random.default_rng([seed, num_frames, size])
    return torch.from_numpy(rng.standard_normal((1, 3, num_frames, size, size), dtype=np.float32))


@cached
def shipped() -> dict[str, Golden]:
    """The goldens that come with the package, by digest."""
    drawn, attested = (FOLDER / name for name in (DRAWN_FILE, ATTESTED_FILE))
    return {**read_goldens(drawn), **(read_goldens(attested) if attested.exists() else {})}


def kept() -> dict[str, Golden]:
    """The goldens that this machine recorded, by digest.

    Raises:
        FetchError: the record cannot be read.
    """
    path = cache.folder() / "goldens.json"
    if not path.exists():
        return {}
    try:
        return read_goldens(path)
    except (OSError, ValidationError) as error:
        raise FetchError(
            "the recorded goldens cannot be read",
            where=path,
            found=first_fault(error),
            fix="restore the file, or remove it and record them anew",
        ) from error


def read_goldens(path: Path) -> dict[str, Golden]:
    """The goldens of a file, by digest. Raises OSError, ValidationError."""
    content = GoldenFile.model_validate_json(path.read_bytes())
    return {golden.digest: golden for golden in content.goldens}


def keep(golden: Golden) -> None:
    """Keep a golden in the cache folder; one of the same digest is replaced.

    Raises:
        WriteError: the folder cannot be written.
    """
    path = cache.folder() / "goldens.json"
    with cache.locked(path):
        known = {**kept(), golden.digest: golden}
        write_text(path, to_json(tuple(known.values())))


def to_json(goldens: tuple[Golden, ...]) -> str:
    """The text of a file of goldens; figures with the nine digits that float32 needs."""

    rows = ",\n".join(
        nine_digits(golden).model_dump_json(
            exclude={name for name in ("videos", "attested_by") if not getattr(golden, name)}
        )
        for golden in goldens
    )
    return f'{{"schema_version":1,"goldens":[\n{rows}\n]}}\n'


def nine_digits(golden: Golden) -> Golden:
    """The golden with figures of the nine digits that float32 needs."""

    def short(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(float(f"{x:.9g}") for x in values)

    videos = tuple(v.model_copy(update={"scores": short(v.scores)}) for v in golden.videos)
    return golden.model_copy(
        update={
            "logits": short(golden.logits),
            "scores": short(golden.scores),
            "videos": videos,
        }
    )
