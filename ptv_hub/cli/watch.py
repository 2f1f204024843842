"""``ptv-hub watch``: what a model says of live video, window by window."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.loading import load_on
from ptv_hub.cli.options import (
    ADVANCED,
    AnyWeights,
    Backend,
    Device,
    Dtype,
    RequiredName,
    Threads,
    Weights,
)
from ptv_hub.cli.talk import put, tell
from ptv_hub.cli.which_model import asked

if TYPE_CHECKING:
    from ptv_hub.inference.watching import Watched, Watching


def register(app: typer.Typer) -> None:
    app.command()(watch)


def watch(
    name: RequiredName,
    source: Annotated[
        str,
        typer.Argument(help="A camera (0, /dev/video0), rtsp://, http://, or a file of video."),
    ],
    window: Annotated[
        str | None,
        typer.Option(help="Length of a window: 32 (frames), or 2s. [default: the published clip]"),
    ] = None,
    stride: Annotated[
        str | None,
        typer.Option(help="From a window's start to the next: 16, or 0.5s. [default: half of it]"),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=1, help="Classes to show. [default: 3]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only classes with this score or more, however many."),
    ] = None,
    realtime: Annotated[
        bool,
        typer.Option(
            "--realtime",
            help="A recording at its own pace; what the model has no time for is left out.",
        ),
    ] = False,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            help="How often in a row a stream that broke is opened again in vain.",
            rich_help_panel=ADVANCED,
        ),
    ] = 5,
    weights: Weights = None,
    any_weights: AnyWeights = False,
    device: Device = "auto",
    threads: Threads = None,
    backend: Backend = None,
    dtype: Dtype = "fp32",
    json: Annotated[
        bool, typer.Option("--json", help="Write JSON to stdout, a line a window.")
    ] = False,
) -> None:
    """Say what happens in live video, a line for each window as soon as it has passed.

    When the model is slower than the stream, the newest window is taken and what was left out is
    counted. A stream that breaks is opened again. Ctrl-C ends it.

    Examples:

        ptv-hub watch x3d_m 0

        ptv-hub watch x3d_m rtsp://camera.local/stream --stride 1s --json

        ptv-hub watch motion_x3d dancing.mp4 --realtime
    """
    from ptv_hub.engines.machine import Machine
    from ptv_hub.inference.live import origin_of
    from ptv_hub.inference.sliding import Wanted, sliding_windows
    from ptv_hub.inference.watching import Following, Watching

    wanted = asked(name, weights=weights)
    origin = origin_of(source, realtime=realtime)
    windows = sliding_windows(wanted.entry.input, window, stride)
    machine = Machine(device=device, threads=threads, backend=backend, dtype=dtype)
    model = load_on(machine, wanted.to_run, wanted.weights, any_weights=any_weights)
    how = Following(realtime=realtime, retries=retries, say=tell)
    before = signal.signal(signal.SIGTERM, _interrupt)
    count = top_k or (3 if threshold is None else None)
    watching = Watching(model, origin, Wanted(windows, count, threshold), how)
    try:
        with watching:
            for one in watching:
                put(one.model_dump_json() if json else _line(one))
    except KeyboardInterrupt:  # how a live source is left
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        tell(_sum(watching))


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _line(one: Watched) -> str:
    said = ", ".join(f"{best.label} {best.score:.2f}" for best in one.predictions)
    left = ""
    if one.skipped:
        windows, frames = _count(one.skipped, "window"), _count(one.dropped, "frame")
        left = f"  ({windows} passed over, {frames} unseen)"
    return f"{one.start:8.2f} - {one.end:.2f}  {said or '-'}{left}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sum(watching: Watching) -> str:
    return (
        f"{_count(watching.windows, 'window')}; {watching.skipped} passed over, "
        f"{_count(watching.dropped, 'frame')} unseen"
    )
