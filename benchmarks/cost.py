"""What features of a collection cost, fitted to runs of one process, and predicted of others."""

from __future__ import annotations

from dataclasses import dataclass

from ptv_hub.fetching.hub import entry
from ptv_hub.inference.outputs import EMBEDDING, channels_of


@dataclass(frozen=True)
class Parts:
    """What the journals of a run say, and its files; sums over all videos."""

    decode: float
    """Seconds of decoding and preparing."""
    network: float
    files: int
    windows: int
    bytes: int
    megapixels: float
    """Of the frames that the model saw, as they came and as they were scaled, each once."""


@dataclass(frozen=True)
class Run:
    model: str
    processes: int
    seconds: float
    """That passed."""
    parts: Parts


@dataclass(frozen=True)
class Fit:
    """What a collection costs on this machine; seconds."""

    decode: float
    """Of one second of video."""
    transform: float
    """Of a million pixels."""
    start: float
    beside: float
    """Bytes of a file beside its rows."""


@dataclass(frozen=True)
class Amount:
    """How much of everything a run has."""

    video: float
    """Seconds."""
    megapixels: float
    windows: int
    window: float
    """Seconds of one through the network."""
    crowd: float
    """Times that a pass through it takes longer while every core is at one."""


def row_bytes(model: str) -> int:
    """Of one row in a file: its vector, six times, and which frames were seen."""
    item = entry(model)
    return 4 * channels_of(item, EMBEDDING) + 8 * (6 + item.input.num_frames)


def fitted(runs: list[Run], video: float, decode: float) -> Fit:
    """From runs of one process on collections of ``video`` seconds that ``decode`` took."""
    over = sum((run.parts.decode - decode) * run.parts.megapixels for run in runs)
    transform = max(0.0, over / sum(run.parts.megapixels**2 for run in runs))
    starts = [run.seconds - run.parts.decode - run.parts.network for run in runs]
    beside = [
        (run.parts.bytes - run.parts.windows * row_bytes(run.model)) / run.parts.files
        for run in runs
    ]
    return Fit(
        decode=decode / video,
        transform=transform,
        start=sum(starts) / len(starts),
        beside=sum(beside) / len(beside),
    )


def seconds(fit: Fit, amount: Amount, processes: int, cores: int) -> float:
    """Every process starts; what there is to do is shared by as many as have a core."""
    busy = min(processes, cores)
    work = amount.video * fit.decode + amount.megapixels * fit.transform
    work += amount.windows * amount.window
    slower = amount.crowd if busy == cores and cores > 1 else 1.0
    return slower * (fit.start * max(1.0, processes / cores) + work / busy)


def second_of_video(fit: Fit, amount: Amount) -> float:
    """Core seconds, where every core is at work and a window begins each second, of video whose
    frames are as large as those of a run."""
    megapixels = amount.megapixels / amount.windows
    return amount.crowd * (fit.decode + megapixels * fit.transform + amount.window)
