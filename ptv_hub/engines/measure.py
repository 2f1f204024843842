"""How fast a model runs on this machine: latency, views a second, memory, first call."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from ptv_hub.engines.calibrated import Quantization, Quantized
from ptv_hub.engines.machine import Machine, run_on
from ptv_hub.errors import PtvHubError, UsageError
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.zoo.entry import Entry


@dataclass(frozen=True)
class Case:
    """What is to be measured."""

    machine: Machine
    batch_views: int
    calls: int
    """After the first."""


class Killed(UsageError):
    """The process that measured was killed, as where the memory is too small for it."""


@dataclass(frozen=True)
class Measurement:
    """What was measured of one case."""

    views_per_second: float
    """From the median call."""
    median_ms: float
    p90_ms: float
    worst_ms: float
    first_call_ms: float
    """With all that the backend compiles, or reads from its cache."""
    peak_mb: float | None
    """The most memory that the process had, megabytes; ``None`` where it cannot be told."""
    scores: tuple[tuple[float, ...], ...]
    """Of the views of the batch."""
    quantization: Quantization | None = None
    """Of int8 what is known of it."""


def measure(model: VideoModel, case: Case) -> Measurement:
    """Measure one case in a process of its own, since cases in one would change each other's heap.

    Raises:
        Killed: the process died.
        PtvHubError: as ``optimize``.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, model.entry, model.state_dict(), case))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        process.join()
        raise Killed(
            f"the process that measured {model.entry.name} ended",
            found=f"exit code {process.exitcode}",
        ) from None
    finally:
        ours.close()
    process.join()
    if isinstance(found, PtvHubError):
        raise found
    assert isinstance(found, Measurement)
    return found


def end_with_parent() -> None:
    """From now on this process ends when the one that started it does, even if that was killed.

    Left alone it would measure on, beside the command that is given again, and slow that one down.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _child(
    connection: Connection, entry: Entry, weights: dict[str, torch.Tensor], case: Case
) -> None:
    end_with_parent()
    try:
        connection.send(_measured(entry, weights, case))
    except PtvHubError as error:
        connection.send(error)


def _measured(entry: Entry, weights: dict[str, torch.Tensor], case: Case) -> Measurement:
    net = build(entry, activation=entry.protocol.activation, device="meta").eval()
    net.load_state_dict(weights, assign=True)
    model = run_on(net, case.machine)
    device = next(model.parameters()).device
    spec = entry.input
    views = torch.randn(
        (case.batch_views, 3, spec.num_frames, spec.crop_size, spec.crop_size),
        generator=torch.Generator().manual_seed(0),
    ).to(device)

    def call() -> tuple[float, torch.Tensor]:
        start = time.perf_counter()
        scores = model(views).cpu()  # on a GPU that waits for the result
        return time.perf_counter() - start, scores

    with torch.inference_mode():
        first, scores = call()
        seconds = sorted(call()[0] for _ in range(case.calls))
    median = statistics.median(seconds)
    quantized: Quantized | None = getattr(model, "quantized", None)
    return Measurement(
        views_per_second=case.batch_views / median,
        median_ms=1000 * median,
        p90_ms=1000 * _percentile(seconds, 0.9),
        worst_ms=1000 * seconds[-1],
        first_call_ms=1000 * first,
        peak_mb=_peak_mb(),
        scores=tuple(map(tuple, scores.float().tolist())),
        quantization=None if quantized is None else quantized.record,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _peak_mb() -> float | None:
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
