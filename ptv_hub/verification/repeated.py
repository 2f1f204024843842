"""Level ``accuracy`` of a model whose manifest keeps what it said of each video.

``NAME.csv`` beside the file of weights: of each held-out video the sha256 of its decoded
frames, and what the model took it for. An accuracy can be right by chance; this cannot.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptv_hub.errors import ManifestError
from ptv_hub.verification.records import Check
from ptv_hub.zoo.entry import Entry

WITHIN = 2
"""Videos that may be taken for something else: other kernels round otherwise."""
_SHOWN = 10


@dataclass(frozen=True)
class Said:
    """What is kept of one video."""

    frames_sha256: str
    """Over all frames as they are decoded, RGB of uint8, (T, H, W, 3)."""
    predicted: str


def kept(entry: Entry) -> dict[str, Said]:
    """Id -> what is kept of the video; empty of a model that keeps nothing.

    Raises:
        ManifestError: the file is there, and cannot be read.
    """
    weights = next((a.beside for a in entry.artifacts if a.beside is not None), None)
    path = None if weights is None else weights.with_suffix(".csv")
    if path is None or not path.is_file():
        return {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return {
                row["id"]: Said(row["frames_sha256"], row["predicted"])
                for row in csv.DictReader(file)
            }
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ManifestError(
            "what a model said of its videos cannot be read",
            where=path,
            expected="columns id, frames_sha256, predicted",
            found=error,
        ) from error


def predictions(scores: Path, labels: Sequence[str]) -> dict[str, str]:
    """Id -> the class with the highest score, of a ``scores.npz``."""
    with np.load(scores) as file:
        ids, best = file["ids"], file["scores"].argmax(axis=1)
    return {str(item): labels[int(index)] for item, index in zip(ids, best, strict=True)}


def check_repeated(before: Mapping[str, Said], now: Mapping[str, str]) -> Check:
    """Whether the same videos are taken for the same: all but ``WITHIN``; those that are not."""
    flipped = [
        f"{item} ({before[item].predicted} -> {said})"
        for item, said in now.items()
        if before[item].predicted != said
    ]
    told = flipped[:_SHOWN] + ([f"and {len(flipped) - _SHOWN} more"] if flipped[_SHOWN:] else [])
    return Check(
        level="accuracy",
        name="video by video",
        verdict="holds" if len(flipped) <= WITHIN else "fails",
        expected=f"as published, but for {WITHIN} of {len(now)} videos at most",
        found=f"{len(flipped)} flipped" + (f": {'; '.join(told)}" if told else ""),
    )
