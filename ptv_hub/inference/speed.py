"""How fast a model runs on this machine, on each backend: the rows of ``ptv-hub bench``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ptv_hub.engines.calibrated import CalibrationViews
from ptv_hub.engines.device import usable_device
from ptv_hub.engines.machine import EAGER, Machine
from ptv_hub.engines.measure import Case, measure
from ptv_hub.engines.optimized import BACKENDS, INT8, installed
from ptv_hub.errors import PtvHubError, UsageError, WrongInput
from ptv_hub.models.builders import VideoModel
from ptv_hub.weights.load import load
from ptv_hub.zoo.entry import Entry


@dataclass(frozen=True)
class Benchmark:
    """What ``bench`` measured."""

    model: str
    device: str
    weights: str
    """Where they came from; ``drawn``: any are as fast."""
    rows: tuple[dict[str, Any], ...]
    """A row for each backend and type that could be measured; times in milliseconds."""
    failures: tuple[PtvHubError, ...]
    """Why the others could not."""


def bench(
    model: VideoModel | Entry | str | os.PathLike[str],
    backends: Sequence[str] | None = None,
    dtypes: Sequence[str] = ("fp32",),
    *,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    batch_views: int = 3,
    calls: int = 10,
    device: str = "auto",
    threads: int | None = None,
    keep_memory: bool = True,
    calibration: CalibrationViews | None = None,
    report: Callable[[str], None] | None = None,
) -> Benchmark:
    """Measure a model: views a second, latency, memory, first call; each in a process of its own.

    A script then needs its ``if __name__ == "__main__":``.

    Args:
        model: a loaded model, or what ``load`` takes; without ``weights`` they are then drawn, and
            nothing is fetched.
        weights, any_weights, device: as of ``load``.
        backends: ``eager``, ``torch``, ``compile``, ``openvino``; all but ``compile`` if not given.
        dtypes: of each backend but ``eager``, which computes in fp32; ``int8`` of OpenVINO alone.
        calibration: what int8 is calibrated on; its rows then say how near it is to float32.
        batch_views: views in a call.
        calls: to measure, after the first.
        threads: of a CPU; as torch has them if not given.
        keep_memory: as of ``optimize``.
        report: called with what is measured next, and with what could not be.

    Raises:
        UsageError: no such backend or device; and as ``load``.
    """
    place = str(usable_device(device))
    names = _backends(backends, place)
    net = _network(model, weights, any_weights)
    told = report if report is not None else _silence
    rows: list[dict[str, Any]] = []
    failures = []
    reference = None
    for name in names:
        for dtype in dtypes if name != EAGER else ("fp32",):
            if dtype == INT8 and name != "openvino" and not backends:
                continue
            told(f"{name} {dtype} ...")
            views = calibration if dtype == INT8 else None
            machine = Machine(place, threads, name, dtype, keep_memory, views)
            try:
                found = asdict(measure(net, Case(machine, batch_views, calls)))
            except PtvHubError as error:
                told(f"ptv-hub: {error}")
                failures.append(error)
                continue
            scores = found.pop("scores")
            quantization = found.pop("quantization")
            reference = reference or scores
            head = {"backend": name, "dtype": dtype, "batch_views": batch_views}
            row = {**head, **found, "difference": _difference(scores, reference)}
            if quantization is not None:
                row |= {"quantization": quantization.model_dump()}
                told(f"{name} {dtype}: {quantization.told}")
            rows.append(row)
    of = "drawn" if net.origin is None else net.origin.told
    return Benchmark(net.entry.name, place, of, tuple(rows), tuple(failures))


def _silence(told: str) -> None:
    """In place of a ``report`` where there is none."""


def _network(
    model: VideoModel | Entry | str | os.PathLike[str],
    weights: str | os.PathLike[str] | None,
    any_weights: bool,
) -> VideoModel:
    if isinstance(model, VideoModel):
        return model
    if not isinstance(model, (str, os.PathLike, Entry)):
        raise WrongInput(
            "not a model of the zoo",
            expected="what ptv_hub.load returns, or what it takes",
            found=f"a {type(model).__name__}",
        )
    if weights is not None:
        return load(model, weights=weights, any_weights=any_weights)
    net = load(model, pretrained=False)
    _draw(net)
    return net


def _backends(names: Sequence[str] | None, device: str) -> list[str]:
    """Those asked for, or all that can be used here but the one that takes long to compile."""
    known = (EAGER, *BACKENDS)
    for name in names or ():
        if name not in known:
            raise UsageError("no such backend", expected=", ".join(known), found=name)
    quick = [name for name in installed(device.split(":")[0]) if name != "compile"]
    return list(names or [EAGER, *quick])


def _difference(scores: Sequence[Sequence[float]], first: Sequence[Sequence[float]]) -> float:
    return max(
        abs(a - b)
        for row, other in zip(scores, first, strict=True)
        for a, b in zip(row, other, strict=True)
    )


def _draw(model: VideoModel) -> None:
    """Numbers as after training: with the initial ones every score is the same."""
    draw = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            assert module.running_var is not None
            module.weight.data.uniform_(0.3, 0.7, generator=draw)
            module.running_var.uniform_(0.5, 1.5, generator=draw)
    spec = model.entry.input
    side = 32 * -(-spec.train_crop_size // 32)
    clip = torch.randn((1, 3, spec.num_frames, side, side), generator=draw)
    head = model.get_submodule(model.classifier)
    assert isinstance(head, torch.nn.Linear)
    with torch.inference_mode():
        spread = float(model(clip).std())
    head.weight.data.mul_(2 / max(spread, 1e-30))
