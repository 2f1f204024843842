"""``ptv-hub bench``: how fast a model runs on this machine, on which backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ptv_hub.cli.options import (
    ADVANCED,
    All,
    AnyWeights,
    BatchViews,
    Calibrate,
    CalibrateSeed,
    CalibrateViews,
    ConfigFile,
    Device,
    Json,
    Name,
    Opts,
    Threads,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell, tell_lines
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import UsageError


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
        typer.Option(
            help="fp32, bf16, fp16 (GPUs) or int8 (OpenVINO); may be given again. [default: fp32]"
        ),
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
    calibrate: Calibrate = None,
    calibrate_views: CalibrateViews = 64,
    calibrate_seed: CalibrateSeed = 0,
    all_: All = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Of --all: folder of the table, which the same command completes."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure how fast a model runs here: views a second, latency, memory, first call.

    Each line is measured in a process of its own. Differences are of the scores, from the first
    line's. Nothing is downloaded.

    Examples:

        ptv-hub bench x3d_m

        ptv-hub bench slowfast_r50 --backend torch --dtype fp32 --dtype bf16 --batch-views 1

        ptv-hub bench x3d_m --weights X3D_M.pyth --dtype fp32 --dtype int8 --calibrate videos/

        ptv-hub bench --all -o here

        ptv-hub bench --config X3D_M.yaml DATA.TEST_CROP_SIZE 312
    """
    dtypes = dtype or ["fp32"]
    if all_ or out is not None:
        one = {"NAME": name, "KEY VALUE": opts, "--config": config, "--weights": weights}
        settings = {
            "backends": tuple(backend or ()),
            "dtypes": tuple(dtypes),
            "batch_views": batch_views,
            "calls": calls,
            "device": device,
            "threads": threads,
            "keep_memory": keep_memory,
            "calibrate": None if calibrate is None else str(calibrate),
            "calibrate_views": calibrate_views,
            "calibrate_seed": calibrate_seed,
        }
        _all(out if all_ else None, [key for key, value in one.items() if value], settings, json)
        return
    from ptv_hub.cli.loading import calibration_of
    from ptv_hub.inference.speed import bench as run

    wanted = asked(name, opts, config=config, weights=weights, needs_weights=False)

    calibration = calibration_of(
        wanted,
        "int8" if "int8" in dtypes else dtypes[0],
        calibrate,
        views=calibrate_views,
        seed=calibrate_seed,
    )

    def told(line: str) -> None:
        tell(line)

    found = run(
        wanted.to_run,
        backend or None,
        dtypes,
        weights=wanted.weights,
        any_weights=any_weights,
        batch_views=batch_views,
        calls=calls,
        device=device,
        threads=threads,
        keep_memory=keep_memory,
        calibration=calibration,
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


def _all(out: Path | None, of_one: Sequence[str], settings: Mapping[str, Any], json: bool) -> None:
    """The table of every model. Raises UsageError: words that are for one model."""
    if out is None or of_one:
        raise UsageError(
            "--all measures every model into a folder",
            expected="--all -o FOLDER, and no model",
            found=", ".join(of_one) or "--all without -o, or -o without --all",
        )
    if settings["calibrate"] is not None and "int8" not in settings["dtypes"]:
        raise UsageError("--calibrate is for int8", found=f"--dtype {settings['dtypes'][0]}")
    from ptv_hub.runs.speed_table import Settings, measure_all
    from ptv_hub.zoo.manifest import entries

    found = measure_all(entries(), out, Settings.model_validate(settings), report=tell_lines)
    if json:
        print_json({"machine": found.machine, "models": found.models})
    tell(f"written: {', '.join(map(str, found.files))}")
    raise typer.Exit(int(any(one["failures"] for one in found.models)))


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
