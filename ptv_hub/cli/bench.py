"""``ptv-hub bench``: how fast a model runs on this machine, on which backend."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.options import (
    ADVANCED,
    BatchViews,
    ConfigFile,
    Device,
    Json,
    Name,
    Opts,
    Threads,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell, tell_error
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import PtvHubError, UsageError

if TYPE_CHECKING:
    from ptv_hub.engines.measure import Case
    from ptv_hub.models.builders import VideoModel


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    name: Name = None,
    opts: Opts = None,
    config: ConfigFile = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="eager, torch, compile or openvino; may be given again. [default: all but compile]"
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16 or fp16 (GPUs); may be given again. [default: fp32]"),
    ] = None,
    batch_views: BatchViews = 3,
    calls: Annotated[int, typer.Option(min=1, help="Calls to measure, after the first.")] = 10,
    device: Device = "cpu",
    threads: Threads = None,
    keep_memory: Annotated[
        bool,
        typer.Option(
            help="Whether the process keeps freed memory, as predict and eval do.",
            rich_help_panel=ADVANCED,
        ),
    ] = True,
    weights: Annotated[
        Path | None,
        typer.Option(help="A local file. [default: drawn weights, which are as fast]"),
    ] = None,
    json: Json = False,
) -> None:
    """Measure how fast a model runs here: views a second, latency, memory, first call.

    Each line is measured in a process of its own. Differences are of the scores, from the first
    line's. Nothing is downloaded.

    Examples:

        ptv-hub bench x3d_m

        ptv-hub bench slowfast_r50 --backend torch --dtype fp32 --dtype bf16 --batch-views 1

        ptv-hub bench --config X3D_M.yaml DATA.TEST_CROP_SIZE 312
    """
    from ptv_hub.engines.machine import Machine
    from ptv_hub.engines.measure import Case
    from ptv_hub.weights.load import load

    backends = _backends(backend, device)
    wanted = asked(name, opts, config=config, weights=weights, needs_weights=False)
    if wanted.weights is not None:
        model = load(wanted.to_run, weights=wanted.weights)
    else:
        model = load(wanted.to_run, pretrained=False)
        _draw(model)
    cases = [
        Case(Machine(device, threads, one, kind, keep_memory), batch_views, calls)
        for one in backends
        for kind in (dtype if dtype and one is not None else ["fp32"])
    ]
    rows = _measured(model, cases)
    if json:
        print_json({"model": model.entry.name, "device": device, "rows": rows})
    elif rows:
        _print(model.entry.name, rows)
    raise typer.Exit(int(len(rows) < len(cases)))


_EAGER = "eager"
"""The model as it was loaded: no backend."""


def _backends(names: list[str] | None, device: str) -> list[str | None]:
    """Those asked for, or all that can be used here but the one that takes long to compile."""
    from ptv_hub.engines.optimized import BACKENDS, installed

    known = (_EAGER, *BACKENDS)
    for name in names or ():
        if name not in known:
            raise UsageError("no such backend", expected=", ".join(known), found=name)
    quick = [name for name in installed(device.split(":")[0]) if name != "compile"]
    return [None if name == _EAGER else name for name in names or [_EAGER, *quick]]


def _measured(model: VideoModel, cases: list[Case]) -> list[dict[str, Any]]:
    """A row for each case that could be measured, with the difference from the first's scores."""
    from ptv_hub.engines.measure import measure

    rows: list[dict[str, Any]] = []
    reference = None
    for case in cases:
        backend, dtype = case.machine.backend or _EAGER, case.machine.dtype
        tell(f"{backend} {dtype} ...")
        try:
            found = asdict(measure(model, case))
        except PtvHubError as error:
            tell_error(error)
            continue
        scores = found.pop("scores")
        reference = reference or scores
        difference = max(
            abs(a - b)
            for row, first in zip(scores, reference, strict=True)
            for a, b in zip(row, first, strict=True)
        )
        told = {"backend": backend, "dtype": dtype, "batch_views": case.batch_views}
        rows.append({**told, **found, "difference": difference})
    return rows


def _print(name: str, rows: list[dict[str, object]]) -> None:
    titles = {
        "views_per_second": "views/s",
        "median_ms": "median ms",
        "p90_ms": "90 % ms",
        "worst_ms": "worst ms",
        "first_call_ms": "first ms",
        "peak_mb": "peak MB",
    }

    def text(value: object) -> str:
        return "" if value is None else f"{value:.4g}"

    print_table(
        ["backend", "dtype", *titles.values(), "difference"],
        [
            [
                str(row["backend"]),
                str(row["dtype"]),
                *(text(row[key]) for key in titles),
                f"{row['difference']:.0e}",
            ]
            for row in rows
        ],
        right=[*titles.values(), "difference"],
        title=f"{name}, {rows[0]['batch_views']} views at once",
    )


def _draw(model: VideoModel) -> None:
    """Numbers as after training: with the initial ones every score is the same."""
    import torch

    draw = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            assert module.running_var is not None
            module.weight.data.uniform_(0.3, 0.7, generator=draw)
            module.running_var.uniform_(0.5, 1.5, generator=draw)
    spec = model.entry.input
    side = 32 * -(-spec.train_crop_size // 32)
    clip = torch.randn((1, 3, spec.num_frames, side, side), generator=draw)
    head: torch.nn.Linear = model.blocks[-1].proj  # type: ignore[assignment]
    with torch.inference_mode():
        spread = float(model(clip).std())
    head.weight.data.mul_(2 / max(spread, 1e-30))
