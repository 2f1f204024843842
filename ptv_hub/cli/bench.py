"""``ptv-hub bench``: how fast a model runs on this machine, on which backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ptv_hub.cli.options import (
    ADVANCED,
    AnyWeights,
    BatchViews,
    ConfigFile,
    Device,
    Json,
    Name,
    Opts,
    Threads,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.which_model import asked


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
    device: Device = "auto",
    threads: Threads = None,
    keep_memory: Annotated[
        bool,
        typer.Option(
            help="Whether the process keeps freed memory, as predict and eval do.",
            rich_help_panel=ADVANCED,
        ),
    ] = True,
    weights: Annotated[
        str | None,
        typer.Option(
            help="A file, folder, run, address or name. [default: drawn weights, which are as fast]"
        ),
    ] = None,
    any_weights: AnyWeights = False,
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
    from ptv_hub.inference.speed import bench as run

    wanted = asked(name, opts, config=config, weights=weights, needs_weights=False)

    def told(line: str) -> None:
        tell(line)

    found = run(
        wanted.to_run,
        backend or None,
        dtype or ("fp32",),
        weights=wanted.weights,
        any_weights=any_weights,
        batch_views=batch_views,
        calls=calls,
        device=device,
        threads=threads,
        keep_memory=keep_memory,
        report=told,
    )
    if json:
        told_of = {"model": found.model, "device": found.device, "weights": found.weights}
        print_json({**told_of, "rows": found.rows})
    elif found.rows:
        if found.weights != "drawn":
            told(found.weights)
        _print(found.model, found.rows)
    raise typer.Exit(int(bool(found.failures)))


def _print(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
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
