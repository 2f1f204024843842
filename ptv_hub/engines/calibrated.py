"""What a quantized model was calibrated on, and what is known of it: records for its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ptv_hub.engines.agreement import Agreement
from ptv_hub.zoo.records import Record


class Calibration(Record):
    """What a network was calibrated on, and what it was compared on."""

    source: str
    """The folder or list, as it was named."""
    videos: int
    """That views were taken of, those held out included."""
    views: int
    held_out_views: int
    held_out_videos: int
    """Videos that only held-out views are of; 0 where one video had to serve both."""
    seed: int
    digest: str
    """sha256 over the files (name, size, time) and the views that were drawn of each."""
    notes: tuple[str, ...] = ()


class Quantization(Record):
    """What a quantized file says of itself."""

    name: str
    weights_digest: str
    """Of the float32 weights."""
    calibration: Calibration
    kept: tuple[str, ...]
    """The roles whose layers stay in float32."""
    agreement: Agreement
    made_with: str

    @property
    def told(self) -> str:
        """In words, for reports."""
        of = self.calibration
        kept = f"; in float32 stay: {', '.join(self.kept)}" if self.kept else ""
        return (
            f"quantized on {of.views} views of {of.source} (seed {of.seed}){kept}; "
            f"{self.agreement.told}"
        )


class CalibrationViews(Protocol):
    """Views to calibrate on and to compare on; nothing is decoded before they are asked for."""

    @property
    def record(self) -> Calibration: ...

    def calibrating(self) -> Iterable[Tensor]:
        """Of each view (3, T, S, S); the same every time."""

    def held_out(self) -> Iterable[Tensor]:
        """As ``calibrating``, other views."""


@dataclass(frozen=True)
class Quantized:
    """A quantized network in the cache."""

    path: Path
    """OpenVINO's ``.xml``; the weights lie beside it."""
    record: Quantization

    @property
    def identity(self) -> str:
        """The same for the same numbers."""
        return self.path.stem
